"""`enlarge compare` of pictures with transparency, and the same in Python."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from enlarge.cli import run
from enlarge.metrics import Protocol, ssim
from enlarge.metrics.comparison import alpha_likeness, difference
from enlarge.metrics.pictures import read_pixels

Said = pytest.CaptureFixture[str]
RANDOM = np.random.default_rng(11)


def picture(name: str, alpha: NDArray[Any] | int | None, mode: str = "RGB") -> NDArray[Any]:
    """Write 40×30 pixels, the same colours each time; the pixels with their alpha."""
    shape = (30, 40, len(mode))
    colours = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    if alpha is not None:
        plane = np.broadcast_to(np.asarray(alpha, np.uint8), (30, 40))[..., None]
        colours, mode = np.concatenate([colours, plane], axis=2), f"{mode}A"
    Image.fromarray(colours if colours.shape[2] > 1 else colours[..., 0], mode).save(name)
    return colours


def on_white(name: str) -> NDArray[Any]:
    """As Pillow shows it on white."""
    image = Image.open(name).convert("RGBA")
    return np.asarray(
        Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    )


def compared(*names: str, capsys: Said) -> Any:
    assert run(["compare", *names, "--json", "--overwrite", "--colour", "rgb"]) == 0
    return json.loads(capsys.readouterr().out)


def test_an_opaque_and_a_transparent_picture(here: Path, capsys: Said) -> None:
    picture("opaque.png", None)
    alpha = RANDOM.integers(0, 256, (30, 40), dtype=np.uint8)
    picture("transparent.png", alpha)
    found = compared("opaque.png", "transparent.png", capsys=capsys)
    apart = 255.0 - alpha
    expected = 10 * math.log10(255**2 / np.mean(apart**2))
    assert found["alpha"]["A and B"]["psnr"] == pytest.approx(expected)
    assert found["alpha"]["A and B"]["mean"] == pytest.approx(apart.mean())
    assert found["alpha"]["A and B"]["largest"] == apart.max()
    seen = on_white("opaque.png").astype(float) - on_white("transparent.png")
    colours = 10 * math.log10(255**2 / np.mean(seen**2))
    assert found["metrics"]["A and B"]["psnr"] == pytest.approx(colours, abs=0.05)
    assert found["places"]
    assert run(["compare", "opaque.png", "transparent.png", "--overwrite"]) == 0
    said = capsys.readouterr().out
    assert "∞" not in said
    assert "no difference" not in said
    assert "transparent parts are compared over white" in said
    assert f"A and B   {expected:7.2f}  differs by {apart.mean():.2f} levels on average" in said


def test_what_white_hides_is_found(here: Path, capsys: Said) -> None:
    Image.new("RGB", (40, 30), "white").save("a.png")
    Image.new("RGBA", (40, 30), (255, 255, 255, 0)).save("b.png")
    found = compared("a.png", "b.png", capsys=capsys)
    assert found["metrics"]["A and B"]["psnr"] == "inf"
    assert found["alpha"]["A and B"] == {"psnr": 0.0, "mean": 255.0, "largest": 255.0}
    assert found["places"]
    assert np.asarray(Image.open("a_vs_b_difference.png")).max() == 255
    assert run(["compare", "a.png", "b.png", "--overwrite"]) == 0
    assert "no difference" not in capsys.readouterr().out


def test_colours_that_nobody_sees_do_not_count(here: Path, capsys: Said) -> None:
    Image.new("RGBA", (40, 30), (255, 0, 0, 0)).save("a.png")
    Image.new("RGBA", (40, 30), (0, 0, 255, 0)).save("b.png")
    found = compared("a.png", "b.png", capsys=capsys)
    assert found["metrics"]["A and B"]["psnr"] == "inf"
    assert found["alpha"]["A and B"] == {"psnr": "inf", "mean": 0.0, "largest": 0.0}
    assert found["places"] == []


@pytest.mark.parametrize("alpha", [None, 255])
def test_opaque_pictures_say_nothing_of_alpha(here: Path, capsys: Said, alpha: int | None) -> None:
    picture("a.png", alpha)
    picture("b.png", None)
    assert compared("a.png", "b.png", capsys=capsys)["alpha"] == {}
    assert run(["compare", "a.png", "b.png", "--overwrite"]) == 0
    said = capsys.readouterr().out
    assert "no difference" in said
    assert "alpha" not in said


def test_gray_with_alpha(here: Path, capsys: Said) -> None:
    picture("a.png", None, "L")
    picture("b.png", 100, "L")
    found = compared("a.png", "b.png", capsys=capsys)
    assert found["alpha"]["A and B"]["largest"] == 155.0
    assert np.abs(read_pixels(Path("b.png")).astype(int) - on_white("b.png")).max() <= 1


def test_against_an_original(here: Path, capsys: Said) -> None:
    picture("hr.png", 128)
    picture("a.png", 128)
    picture("b.png", None)
    assert run(["compare", "a.png", "b.png", "--against", "hr.png", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["alpha"]
    assert {name: alike["largest"] for name, alike in found.items()} == {
        "A and B": 127.0,
        "A and HR": 0.0,
        "B and HR": 127.0,
    }


def test_the_border_is_left_out_of_alpha_too(here: Path, capsys: Said) -> None:
    alpha = np.full((30, 40), 255, np.uint8)
    alpha[:4] = 0
    picture("a.png", alpha)
    picture("b.png", None)
    assert run(["compare", "a.png", "b.png", "--border", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["alpha"] == {}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_arrays_with_alpha(dtype: type) -> None:
    top = 1.0 if np.issubdtype(dtype, np.floating) else float(np.iinfo(dtype).max)
    levels = RANDOM.random((20, 24, 4))
    rgba: NDArray[Any] = (levels * top).astype(dtype)
    exact = rgba.astype(float) / top
    seen = exact[..., :3] * exact[..., 3:] + 1 - exact[..., 3:]
    shown = Protocol("rgb", 0).measure(rgba, seen)
    assert shown.psnr > (50 if dtype == np.uint8 else 90)  # rounded once more
    opaque = rgba[..., :3]
    found = Protocol("rgb", 0).measure(rgba, opaque)
    apart = np.mean((seen - exact[..., :3]) ** 2)
    assert found.psnr == pytest.approx(-10 * math.log10(apart), abs=0.02)
    assert found.ssim == pytest.approx(
        ssim(seen * 255, exact[..., :3] * 255, data_range=255.0), abs=1e-3
    )
    alike = alpha_likeness(rgba, opaque)
    assert alike is not None
    assert alike.mean == pytest.approx(255 * np.mean(1 - exact[..., 3]))
    assert alpha_likeness(opaque, opaque[..., 0]) is None
    assert difference(rgba, opaque) == pytest.approx(
        255 * np.maximum(np.abs(seen - exact[..., :3]).mean(axis=2), 1 - exact[..., 3]), abs=0.6
    )


def test_further_frames_are_left_out_with_a_line(here: Path, capsys: Said) -> None:
    first, second = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (40, 30), "blue")
    first.save("a.gif", save_all=True, append_images=[second])
    first.save("b.gif")
    assert run(["compare", "a.gif", "b.gif"]) == 0
    line = "a.gif: has 2 frames; only the first is used"
    assert capsys.readouterr().err == f"enlarge: {line}\n"
    assert compared("a.gif", "b.gif", capsys=capsys)["notes"] == [line]
