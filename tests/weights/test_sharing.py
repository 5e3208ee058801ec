"""What `enlarge export` writes for other programs: parameters for spandrel, pairs for ncnn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import enlarge
from enlarge.errors import EnlargeError, WeightsError
from enlarge.weights import ncnn_writing
from enlarge.weights.export import export_model
from enlarge.weights.measuring import natural_picture
from enlarge.weights.ncnn_writing import upscayl_factor
from enlarge.weights.network_file import describe_network, load_network, save_network
from enlarge.weights.sharing import known_as, write_parameters
from tests.networks.conftest import Architecture
from tests.networks.conftest import spandrel as spandrel
from tests.networks.test_spandrel import shake
from tests.networks.tiny import TINY, tiny

pytestmark = pytest.mark.filterwarnings("ignore")


def saved(folder: Path, name: str, **options: Any) -> tuple[nn.Module, Path]:
    """A shaken network, and a file of it with a card."""
    network = tiny(name, **options).eval()
    shake(network)
    options = {**TINY[name], **options}
    card = describe_network(network, name="x", architecture=name, options=options)
    save_network(network, card, folder / f"{name}.safetensors")
    return network, folder / f"{name}.safetensors"


def in_spandrel(path: Path, image: torch.Tensor) -> torch.Tensor:
    from enlarge.weights.spandrel_networks import import_spandrel

    model = import_spandrel().ModelLoader(device="cpu").load_from_file(path)
    with torch.inference_mode():
        result = model(image)
    assert isinstance(result, torch.Tensor)
    return result


SWINIR = {"dim": 12, "depths": (2, 2), "heads": (2, 2)}


@pytest.mark.parametrize(
    ("name", "options", "theirs"),
    [
        ("srvgg", {}, "Compact"),
        ("rrdb", {"growth": 32, "blocks": 2}, "ESRGAN"),
        ("rrdb", {"growth": 32, "blocks": 2, "scale": 2}, "ESRGAN"),
        ("swinir", SWINIR, "SwinIR"),
        ("swinir", {**SWINIR, "window": 4, "upsampler": "nearest+conv"}, "SwinIR"),
        ("swinir", {**SWINIR, "upsampler": "pixelshuffle", "connection": "3conv"}, "SwinIR"),
    ],
)
def test_spandrel_opens_what_it_knows(
    name: str,
    options: dict[str, Any],
    theirs: str,
    spandrel: Architecture,
    tmp_path: Path,
) -> None:
    spandrel("SPAN")
    network, source = saved(tmp_path, name, **options)
    card = load_network(source)[1]
    assert known_as(card) == theirs
    target = tmp_path / "mine.safetensors"
    write_parameters(network, card, target)
    image = torch.from_numpy(natural_picture(48))[:, :, :36, :]
    with torch.inference_mode():
        wanted = network(image).clamp(0, 1)
    assert (in_spandrel(target, image) - wanted).abs().max() < 1e-5
    again, same = load_network(target)  # and it is still a file of this package
    assert same == card
    assert again.state_dict().keys() == network.state_dict().keys()
    for key, value in again.state_dict().items():
        assert torch.equal(value, network.state_dict()[key])


def test_what_spandrel_does_not_know(tmp_path: Path) -> None:
    for name, options in (
        ("replain", {}),
        ("edswin", {}),
        ("edsr", {}),
        ("rrdb", {"growth": 8}),
        ("rrdb", {"growth": 32, "blocks": 1}),
        ("swinir", {**SWINIR, "window": 7}),
    ):
        network = tiny(name, **options)
        card = describe_network(network, name="x", architecture=name, options=options)
        assert known_as(card) == ""
        write_parameters(network, card, tmp_path / f"{name}.safetensors")
        kept = load_file(tmp_path / f"{name}.safetensors")
        assert kept.keys() == network.state_dict().keys()


def test_a_file_that_spandrel_reads_as_another_network_is_not_written(
    spandrel: Architecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spandrel("SPAN")
    network, source = saved(tmp_path, "swinir", **SWINIR)
    card = load_network(source)[1]
    published: Any = network
    upside_down = {key: value.flip(-1) for key, value in published.constants().items()}
    monkeypatch.setattr(type(network), "constants", lambda network: upside_down)
    with pytest.raises(WeightsError, match="computes another result"):
        write_parameters(network, card, tmp_path / "mine.safetensors")
    assert not (tmp_path / "mine.safetensors").exists()


@pytest.fixture
def pnnx() -> None:
    """Skips where pnnx is not installed."""
    pytest.importorskip("pnnx")


def in_ncnn(param: Path, image: np.ndarray) -> np.ndarray:
    ncnn = pytest.importorskip("ncnn")
    from benchmarks.speed.ncnn import open_net

    pixels = np.ascontiguousarray(image[0])
    with open_net(param).create_extractor() as extractor:
        extractor.input("data", ncnn.Mat(pixels).clone())
        return np.array(extractor.extract("output")[1])[None]


@pytest.mark.parametrize("model", ["fast", "fast-x2"])
def test_a_bundled_model_in_ncnn_and_here_again(
    model: str, pnnx: None, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("enlarge.weights.measuring.FEW", (64,))
    target = tmp_path / f"{model}.param"
    card = export_model(model, target)
    assert target.with_suffix(".bin").stat().st_size == pytest.approx(4 * card.parameters, rel=0.01)
    assert upscayl_factor(target.stem) == card.scale
    first, *_, last = target.read_text().splitlines()[2:]
    assert first.split() == ["Input", "data", "0", "1", "data"]
    assert last.split()[5] == "output"
    image = natural_picture(72)[:, :, :53, :71]
    network = load_network(ncnn_writing_source(model))[0]
    with torch.inference_mode():
        wanted = network(torch.from_numpy(image.copy())).clamp(0, 1).numpy()
    again = enlarge.open_model(target, precision="f32")
    assert (again.card.network, again.card.scale, again.card.margin) == ("ncnn", card.scale, 20)
    here = again.upscale(image[0].transpose(1, 2, 0).copy()).transpose(2, 0, 1)
    assert np.abs(here - wanted[0]).max() < 1e-4
    assert np.abs(in_ncnn(target, image).clip(0, 1) - wanted).max() < 1e-4


def ncnn_writing_source(model: str) -> Path:
    """The parameters of a bundled model."""
    return enlarge.open_model(model).path.with_suffix(".safetensors")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("srvgg", {}),
        ("rrdb", {"growth": 8, "blocks": 1}),
        ("rrdb", {"growth": 8, "blocks": 1, "scale": 2}),
        ("edsr", {}),
        ("srresnet", {}),
        ("edswin", {"arrangement": "convolution"}),
    ],
)
def test_convolutional_networks(
    name: str, options: dict[str, Any], pnnx: None, tmp_path: Path
) -> None:
    network, source = saved(tmp_path, name, **options)
    target = tmp_path / "x4.param"
    ncnn_writing.write_pair(network, load_network(source)[1], target)  # compares
    assert target.is_file()
    assert target.with_suffix(".bin").is_file()


def test_f16_halves_the_weights(pnnx: None, cache: Path, tmp_path: Path) -> None:
    for name, half in (("f32", False), ("f16", True)):
        export_model("fast", tmp_path / f"{name}.param", half=half)
    sizes = [(tmp_path / f"{name}.bin").stat().st_size for name in ("f16", "f32")]
    assert sizes[0] < 0.52 * sizes[1]


def test_attention_is_refused_with_the_reason(pnnx: None, cache: Path, tmp_path: Path) -> None:
    for model in ("quality", "photo"):
        with pytest.raises(WeightsError, match="cannot become a model of ncnn: its attention"):
            export_model(model, tmp_path / "a.param")
    assert not list(tmp_path.glob("a.*"))


def test_another_result_is_not_written(
    pnnx: None, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ncnn_writing, "_as_convolution", lambda repeat: nn.Conv2d(3, 48, 1))
    with pytest.raises(WeightsError, match=r"differs in enlarge from torch by .* levels of 255"):
        export_model("fast", tmp_path / "a.param")
    assert not list(tmp_path.glob("a.*"))


def test_without_pnnx(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pnnx", None)
    with pytest.raises(
        WeightsError, match=r'needs pnnx; install it: pip install "enlarge\[pnnx\]"'
    ):
        export_model("fast", tmp_path / "a.param")


def test_both_files_are_kept(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(EnlargeError, match=r"a\.bin exists; --overwrite"):
        export_model("fast", tmp_path / "a.param")
    assert (tmp_path / "a.bin").read_bytes() == b"mine"


def test_the_factor_that_upscayl_takes() -> None:
    names = {"fast-x2": 2, "fast": 4, "4x_mine": 4, "2x-mine": 2, "mine-X3": 3, "mine": 4}
    assert {name: upscayl_factor(name) for name in names} == names
