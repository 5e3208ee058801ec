"""Models with a layer that enlarge does not know: run in ncnn itself, or named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

import enlarge
from enlarge.cli import run
from enlarge.engines import EngineOptions, TileSpec, pick_engine
from enlarge.errors import EngineError, OptionError, WeightsError
from enlarge.weights.catalog import find_weights
from enlarge.weights.measuring import natural_picture
from enlarge.weights.preparing import describe_file
from tests.weights.ncnn import tiny
from tests.weights.ncnn.cases import stored

ncnn = pytest.importorskip("ncnn")
PARAM = tiny.PARAM.replace("PReLU        act   1 1 a b 0=8", "CELU act 1 1 a b 0=0.5")
LEVELS = {"uint8": 255, "uint16": 65535, "float32": 1}


def write_pair(folder: Path, param: str = PARAM) -> Path:
    """The small model with an activation that enlarge does not know. Returns its layers."""
    first, bias, _, second, more = (part.reshape(-1) for part in tiny.arrays())
    forms = (("f16", first), ("raw", bias), ("f32", second), ("raw", more))
    (folder / "tiny.bin").write_bytes(b"".join(stored(*pair) for pair in forms))
    (folder / "tiny.param").write_text(param, encoding="utf-8")
    return folder / "tiny.param"


def in_torch(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1, 3, H, W) → (1, 3, 2H, 2W)."""
    first, bias, _, second, more = map(torch.from_numpy, tiny.arrays())
    x = torch.from_numpy(image)
    y = F.celu(F.conv2d(x, first.half().float(), bias, padding=1), 0.5)
    y = F.pixel_shuffle(F.conv2d(y, second, more, padding=1), 2)
    return (y + F.interpolate(x, scale_factor=2, mode="nearest")).numpy()


@pytest.fixture
def param(cache: Path, tmp_path: Path) -> Path:
    return write_pair(tmp_path)


@pytest.mark.parametrize(("height", "width"), [(37, 53), (61, 200)])
def test_the_picture_is_the_networks(param: Path, height: int, width: int) -> None:
    model = enlarge.open_model(param)
    card = model.card
    assert (card.network, card.scale, card.margin, card.halo, card.multiple) == ("ncnn", 2, 2, 2, 1)
    assert list(card.tiles) == [64]
    assert model.path == param.with_suffix(".bin")
    pixels = (natural_picture(200)[0, :, :height, :width].transpose(1, 2, 0) * 255).round()
    picture = pixels.astype(np.uint8)
    image = (picture.transpose(2, 0, 1)[None] / np.float32(255)).astype(np.float32)
    wanted = in_torch(image)[0].transpose(1, 2, 0).clip(0, 1) * 255
    for either in (param, param.with_suffix(".bin")):
        large = enlarge.open_model(either, engine="ncnn").upscale(picture)
        assert np.abs(large - wanted).max() <= 0.51


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("source", LEVELS)
def test_a_session_keeps_what_its_tiles_are(param: Path, source: str, channels: int) -> None:
    engine = pick_engine(find_weights(param, quiet=True))
    assert (engine.name, engine.device, engine.precision) == ("ncnn", "cpu", "f32")
    image = natural_picture(32)[:, :channels, :11, :14].repeat(3 // channels, 1)
    tile = (image[0, :channels].transpose(1, 2, 0) * LEVELS[source]).astype(source)
    planes = (tile / LEVELS[source]).astype(np.float32).transpose(2, 0, 1)
    exact = in_torch(planes[None].repeat(3 // channels, 1))
    wanted = exact[0].transpose(1, 2, 0)
    if channels == 1:
        wanted = wanted.mean(2, keepdims=True)
    for target in {source, "float32"}:
        spec = TileSpec(14, 11, channels, tile.dtype, np.dtype(target))
        large = engine.session(spec)(tile)
        assert (large.dtype, large.shape) == (np.dtype(target), (22, 28, channels))
        most = 0.51 if target != "float32" else 1e-5
        assert np.abs(large - wanted.clip(0, 1) * LEVELS[target]).max() <= most
    spec = TileSpec(14, 11, channels, tile.dtype, np.dtype(np.float32), clamped=False)
    assert np.abs(engine.session(spec)(tile) - wanted).max() <= 1e-5
    assert engine.forget() is False


def test_a_parameter_that_is_not_known_runs_in_ncnn_too(cache: Path, tmp_path: Path) -> None:
    text = tiny.PARAM.replace("0=1 1=2.000000e+00 2=2.000000e+00", '0=1 9="*(0w,2),*(0h,2)"')
    (tmp_path / "m.param").write_text(text, encoding="utf-8")
    (tmp_path / "m.bin").write_bytes(tiny.content())
    picture = np.full((20, 30, 3), 200, np.uint8)
    model = enlarge.open_model(tmp_path / "m.param")
    assert model.path.suffix == ".bin"
    image = np.full((1, 3, 20, 30), 200 / 255, np.float32)
    wanted = tiny.in_torch(image)[0].transpose(1, 2, 0).clip(0, 1) * 255
    assert np.abs(model.upscale(picture) - wanted).max() <= 0.51


def test_a_known_model_may_run_in_ncnn(cache: Path, tmp_path: Path) -> None:
    weights = find_weights(tiny.write_pair(tmp_path), quiet=True)
    assert pick_engine(weights).name == "openvino"
    picture = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    ours, theirs = (
        enlarge.open_model(tmp_path / "tiny.bin", engine=engine, precision="f32").upscale(picture)
        for engine in ("openvino", "ncnn")
    )
    assert np.abs(np.subtract(ours, theirs, dtype=int)).max() <= 1


def test_engines_that_cannot_run_it_are_refused(param: Path) -> None:
    weights = find_weights(param, quiet=True)
    with pytest.raises(
        OptionError, match="tiny has a layer that only ncnn computes, so --engine o"
    ):
        pick_engine(weights, EngineOptions("openvino"))
    with pytest.raises(OptionError, match="--engine ncnn runs on the CPU"):
        pick_engine(weights, EngineOptions("ncnn", "cuda:0"))
    with pytest.raises(EngineError, match="ncnn has no device cuda"):
        pick_engine(weights, EngineOptions("auto", "cuda:0"))
    with pytest.raises(
        OptionError, match="ncnn does not compute in bf16 on this CPU; it does in: f"
    ):
        pick_engine(weights, EngineOptions(precision="bf16"))
    with pytest.raises(OptionError, match=r"runs models of ncnn .*, and fast is none"):
        pick_engine(find_weights("fast"), EngineOptions("ncnn"))


def test_without_the_wheel_the_layer_is_named(param: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enlarge.weights.ncnn.running.find_spec", lambda name: None)
    message = r'layers that enlarge does not know: CELU; .* pip install "enlarge\[ncnn\]"'
    with pytest.raises(WeightsError, match=message):
        find_weights(param, quiet=True)
    with pytest.raises(WeightsError, match="CELU"):
        describe_file(param)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "Bogus act 1 1 a b",
            "know: Bogus, and ncnn does not run it: ncnn .* cannot load",
        ),
        ("Einsum act 1 1 a b", "know: Einsum, and ncnn does not run it"),
    ],
)
def test_what_ncnn_does_not_run_either(
    cache: Path, tmp_path: Path, line: str, message: str
) -> None:
    path = write_pair(tmp_path, PARAM.replace("CELU act 1 1 a b 0=0.5", line))
    with pytest.raises(WeightsError, match=message) as raised:
        find_weights(path, quiet=True)
    assert "\n" not in str(raised.value)


def test_the_command(
    param: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from PIL import Image

    Image.new("RGB", (50, 40), (90, 120, 30)).save(tmp_path / "a.png")
    code = run(
        [str(tmp_path / "a.png"), "--model", str(param), "--json", "-o", str(tmp_path / "out.png")]
    )
    said = capsys.readouterr()
    assert code == 0, said.err
    found = json.dumps(json.loads(said.out))
    assert '"engine": "ncnn"' in found
    assert '"precision": "f32"' in found
    with Image.open(tmp_path / "out.png") as large:
        assert large.size == (100, 80)
    assert run(["inspect", str(param)]) == 0
    entries = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert "network" in entries
    assert not {"parameters", "flops"} & {*entries}, "they are not counted, and not 0"
    monkeypatch.setenv("ENLARGE_MODELS", str(tmp_path))
    assert run(["models"]) == 0
    listed = capsys.readouterr().out.splitlines()
    (line,) = (line for line in listed if line.startswith("tiny "))
    assert line.count("not counted") == 2
    for command in (["models"], ["inspect", str(param)]):
        assert run([*command, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        facts = said if isinstance(said, dict) else next(c for c in said if c["name"] == "tiny")
        assert (facts["parameters"], facts["flops"]) == (None, None)
    assert run(["export", str(param), "-o", str(tmp_path / "x.onnx")]) == 1
    assert "is a model of ncnn; expected a checkpoint" in capsys.readouterr().err


def test_nothing_loads_ncnn_before_it_is_needed() -> None:
    code = "import sys, enlarge\nenlarge.models()\nassert 'ncnn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
