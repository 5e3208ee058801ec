"""`--salvage` on the command line and in Python: results, status, ledger, provenance."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import enlarge
from enlarge.cli import run
from enlarge.errors import InputError
from enlarge.media.reading import describe_picture

_SMALL = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)
IMAGE = Image.fromarray(_SMALL).resize((64, 64), Image.Resampling.BICUBIC)


def saved(form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    IMAGE.save(out, form, **options)
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`in/` with a JPEG that is cut off, one without its end marker, and a sound one."""
    place = tmp_path / "in"
    place.mkdir()
    data = saved("JPEG", quality=90)
    (place / "cut.jpg").write_bytes(data[: len(data) // 2])
    (place / "end.jpg").write_bytes(data[:-2])
    (place / "sound.jpg").write_bytes(data)
    return tmp_path


def recorded(folder: Path) -> dict[str, tuple[str, bool, str | None]]:
    """Of every output in the ledger: its state, whether it counts as salvaged, and the problem."""
    base = sqlite3.connect(folder / ".enlarge" / "ledger.sqlite")
    rows = base.execute("SELECT output, state, settings, problem FROM pictures").fetchall()
    base.close()
    return {name: (state, "salvage" in settings, why) for name, state, settings, why in rows}


def test_refused_salvaged_and_refused_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = str(folder / "in"), str(folder / "out")
    assert run([source, "-o", out]) == 3
    said = capsys.readouterr().err
    assert "cut.jpg: this JPEG is truncated" in said
    assert "--salvage" in said
    assert "end.jpg: lacks its end marker (EOI), but all of its pixels are there" in said
    assert sorted(path.name for path in Path(out).glob("*.png")) == ["end.png", "sound.png"]

    assert run([source, "-o", out, "--salvage", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (result,) = document["results"]  # the sound ones are not made again
    assert len(document["kept"]) == 2
    assert 0.2 < result["missing"] < 0.8
    assert "gray in the result" in result["notes"][0]
    assert recorded(Path(out)) == {
        "cut.png": ("done", True, f"{result['missing']:.1%} of the input is missing"),
        "end.png": ("done", False, None),
        "sound.png": ("done", False, None),
    }
    provenance = describe_picture(Path(out, "cut.png"))["provenance"]
    assert provenance["salvaged"] == f"{result['missing']:.1%} missing"
    assert "salvaged" not in describe_picture(Path(out, "end.png"))["provenance"]

    assert run([source, "-o", out, "--salvage"]) == 0
    assert "3 of 3 were already done" in capsys.readouterr().err
    assert run([source, "-o", out]) == 3  # a salvaged result is not taken for a sound one
    assert "cut.jpg: this JPEG is truncated" in capsys.readouterr().err
    assert Path(out, "cut.png").exists()


def test_sound_pictures_of_a_salvaging_run_count_without_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "in" / "cut.jpg").unlink()
    source, out = str(folder / "in"), str(folder / "out")
    assert run([source, "-o", out, "--salvage"]) == 0
    assert not any(salvaged for _, salvaged, _ in recorded(Path(out)).values())
    capsys.readouterr()
    assert run([source, "-o", out]) == 0
    assert "2 of 2 were already done" in capsys.readouterr().err


def test_gray_below_what_there_is(folder: Path) -> None:
    out = folder / "out.png"
    assert run([str(folder / "in" / "cut.jpg"), "-o", str(out), "--salvage", "--scale", "2"]) == 0
    pixels = np.asarray(Image.open(out)).astype(int)
    assert pixels.shape == (128, 128, 3)
    assert np.abs(pixels[-8:] - 128).max() <= 2
    assert pixels[:32].std() > 10


def test_members_of_a_zip_and_standard_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (folder / "in" / "cut.jpg").read_bytes()
    with zipfile.ZipFile(folder / "some.zip", "w") as archive:
        archive.writestr("cut.jpg", data)
    assert run([str(folder / "some.zip"), "-o", str(folder / "zip") + "/", "--salvage"]) == 0
    expected = (folder / "zip" / "cut.png").read_bytes()
    stdin = io.TextIOWrapper(io.BytesIO(data))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert run(["-", "-o", str(folder / "stdin.png"), "--salvage"]) == 0
    assert (folder / "stdin.png").read_bytes() == expected
    assert capsys.readouterr().err.count("gray in the result") == 2


def test_python(folder: Path) -> None:
    path = folder / "in" / "cut.jpg"
    with pytest.raises(InputError, match="is truncated"):
        enlarge.upscale(path)
    assert enlarge.upscale(path, salvage=True).shape == (256, 256, 3)
    done = enlarge.open_model("fast").upscale_file(path, folder / "one.png", salvage=True)
    assert done.missing is not None
    sound = enlarge.open_model("fast").upscale_file(
        folder / "in" / "sound.jpg", folder / "two.png", salvage=True
    )
    assert sound.missing is None
    assert sound.notes == ()


def test_provenance_of_a_picture_that_is_coarse_and_whole(tmp_path: Path) -> None:
    """The first scan of a progressive JPEG has all of the picture, without its details."""
    data = saved("JPEG", quality=90, progressive=True)
    (tmp_path / "a.jpg").write_bytes(data[: int(len(data) * 0.6)])
    assert run([str(tmp_path / "a.jpg"), "-o", str(tmp_path / "b.png"), "--salvage"]) == 0
    provenance = describe_picture(tmp_path / "b.png")["provenance"]
    assert provenance["salvaged"] == "all decoded, parts may be wrong"
