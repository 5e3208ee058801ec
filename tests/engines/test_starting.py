"""A checkpoint that was never used: it runs in torch at once, and is prepared in the background."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import enlarge
from enlarge.cli import run
from enlarge.engines import TileSpec
from enlarge.engines.torch import TorchEngine
from enlarge.errors import EngineError
from enlarge.picture import background, model
from enlarge.weights.activations import activation_bytes
from enlarge.weights.preparing import find_prepared, note_failure, prepared
from enlarge.weights.starting import starting_weights
from tests.networks.conftest import spandrel as spandrel
from tests.networks.tiny import tiny
from tests.weights.conftest import cache as cache


def checkpoint(folder: Path, name: str = "srvgg") -> Path:
    path = folder / f"{name}.pth"
    torch.save({"params": tiny(name).state_dict()}, path)
    return path


def picture(side: int = 48) -> Any:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


def in_torch(network: nn.Module, image: Any) -> Any:
    with torch.inference_mode():
        large = network(torch.from_numpy(image.transpose(2, 0, 1)[None] / np.float32(255)))
    return large[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255


@pytest.mark.parametrize("name", ["srvgg", "swinir", "rrdb"])
def test_it_runs_in_torch_and_later_within_a_level_of_that(
    cache: Path, tmp_path: Path, name: str
) -> None:
    path = checkpoint(tmp_path, name)
    first = enlarge.open_model(path)
    engine = first.engine(np.dtype(np.uint8))
    assert (engine.name, engine.precision) == ("torch", "f32")
    assert list(cache.iterdir()) == []
    quick = first.upscale(picture())
    assert np.abs(quick - in_torch(tiny(name), picture())).max() <= 0.5 + 1e-3
    prepared(path, quiet=True)
    second = enlarge.open_model(path, precision="f32")
    assert second.engine(np.dtype(np.uint8)).name == "openvino"
    assert np.abs(quick.astype(int) - second.upscale(picture()).astype(int)).max() <= 1
    assert second.digest == first.digest


def test_tiles_of_the_cautious_card_equal_the_whole(cache: Path, tmp_path: Path) -> None:
    path = checkpoint(tmp_path, "swinir")
    first = enlarge.open_model(path)
    assert first.card.margin is None
    tile = min(first.card.tiles)
    assert tile >= 3 * first.card.halo == 3 * 64
    image = picture(tile + 40)
    whole = in_torch(tiny("swinir"), image)
    assert np.abs(first.upscale(image, tile=tile) - whole).max() <= 1.5


@pytest.mark.parametrize(
    ("options", "name", "changes"),
    [
        ({"engine": "openvino"}, "openvino", False),
        ({"engine": "torch"}, "torch", False),
        ({"device": "cpu"}, "torch", True),
    ],
)
def test_an_engine_that_is_named_is_used(
    cache: Path, tmp_path: Path, options: dict[str, Any], name: str, changes: bool
) -> None:
    found = enlarge.open_model(checkpoint(tmp_path), **options)
    assert found.engine(np.dtype(np.uint8)).name == name
    assert found.is_provisional == changes


def test_a_model_in_use_changes_to_what_was_prepared_meanwhile(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "_INTERVAL", 0.0)
    path = checkpoint(tmp_path)
    Image.fromarray(picture(16)).save(tmp_path / "a.png")
    found = enlarge.open_model(path)
    engines = []
    for _ in range(2):
        done = found.upscale_file(tmp_path / "a.png", tmp_path / "b.png", overwrite=True)
        engines.append(done.engine)
        with Image.open(tmp_path / "b.png") as large:
            assert done.engine in str(large.info)
        prepared(path, quiet=True)
    assert engines == ["torch", "openvino"]


def test_it_is_prepared_in_the_background_after_its_first_picture(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(background.VARIABLE, "background")
    path = checkpoint(tmp_path)
    found = enlarge.open_model(path)
    before = len(background._children)
    found.upscale(picture(16))
    found.upscale(picture(16))
    (child,) = background._children[before:]
    try:
        assert child.wait(240) == 0
    finally:
        child.kill()
    assert find_prepared(path) is not None
    # The tile of that picture is compiled: the next start needs no ONNX.
    assert len(list(cache.parent.glob("*.blob"))) == 1
    second = enlarge.open_model(path)
    monkeypatch.setattr("enlarge.engines.openvino.OpenVinoEngine._read", None)
    second.upscale(picture(16))


def test_what_cannot_be_prepared_is_not_tried_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(background.VARIABLE, "background")
    monkeypatch.setattr("subprocess.Popen", None)
    path = checkpoint(tmp_path)
    note_failure(path, "an operator that ONNX lacks")
    assert enlarge.open_model(path).upscale(picture(16)).shape == (64, 64, 3)


def test_a_batch_that_torch_made_is_not_made_again(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkpoint(tmp_path)
    for name in ("a.png", "b.png"):
        Image.fromarray(picture(16)).save(tmp_path / name)
    command = [str(tmp_path / "a.png"), str(tmp_path / "b.png"), "-o", str(tmp_path / "out")]
    command += ["--model", str(path), "--json"]
    assert run(command) == 0
    said = capsys.readouterr()
    assert {done["engine"] for done in json.loads(said.out)["results"]} == {"torch"}
    assert said.err.startswith("enlarge: srvgg.pth is not prepared and runs in torch")
    prepared(path, quiet=True)
    times = [file.stat().st_mtime_ns for file in sorted((tmp_path / "out").glob("*.png"))]
    assert run(command) == 0
    assert "torch" not in capsys.readouterr().err
    assert [file.stat().st_mtime_ns for file in sorted((tmp_path / "out").glob("*.png"))] == times
    assert run([*command, "--overwrite", "--precision", "f32"]) == 0
    assert "openvino" in capsys.readouterr().out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("more", [[], ["--quiet"], ["--json"]], ids=["", "quiet", "json"])
def test_a_bar_from_the_first_second(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    path = checkpoint(tmp_path)
    Image.fromarray(picture(16)).save(tmp_path / "photo.png")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    shown: list[float] = []
    begun = time.monotonic()
    open_network = starting_weights

    def slow(*arguments: Any, **options: Any) -> Any:
        shown.append(time.monotonic() - begun if "opening srvgg.pth" in terminal.getvalue() else 99)
        return open_network(*arguments, **options)

    monkeypatch.setattr("enlarge.cli.enlarge.starting_weights", slow)
    assert run([str(tmp_path / "photo.png"), "--model", str(path), *more]) == 0
    assert (shown[0] < 10) == (not more)  # before the checkpoint is read
    assert ("photo.png" in terminal.getvalue()) == (not more)


def test_errors_of_other_projects_code_are_ours(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            raise IndexError("a width that nobody thought of")

    kind = np.dtype(np.uint8)
    session = TorchEngine(tmp_path / "m.pth", "cpu", "f32", 0, Odd()).session(
        TileSpec(8, 8, 3, kind, kind)
    )
    with pytest.raises(EngineError, match="a width that nobody thought of"):
        session(picture(8))


def test_the_memory_of_tensors_is_counted() -> None:
    """Two convolutions of eight features each: both results at once, and maybe the picture."""
    body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1))
    image, features = 3 * 4 * 32**2, 8 * 4 * 32**2
    assert activation_bytes(body, 32) in range(2 * features, 2 * features + image + 1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["HAT", "DAT"])
def test_networks_of_spandrel_start_at_once(
    spandrel: Any, cache: Path, tmp_path: Path, kind: str
) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"embed_dim": 32, "num_heads": [2], "upscale": 2}
    if kind == "HAT":
        options |= {"depths": [2], "window_size": 8, "mlp_ratio": 2, "compress_ratio": 3}
        options |= {"squeeze_factor": 3}
    else:
        options |= {"depth": [2], "split_size": [4, 8], "expansion_factor": 2}
    spandrel(kind)
    module = sys.modules[f"spandrel.architectures.{kind}.__arch.{kind}"]
    network = getattr(module, kind)(**options, upsampler="pixelshuffle").eval()
    torch.save({"params": network.state_dict()}, tmp_path / "theirs.pth")
    found = enlarge.open_model(tmp_path / "theirs.pth")
    assert found.card.network == f"spandrel:{kind}"
    large = found.upscale(picture(32))
    assert found.engine(np.dtype(np.uint8)).name == "torch"
    assert np.abs(large - in_torch(network, picture(32))).max() <= 0.5 + 1e-2
