"""`export_model`: what it writes, what it stores as fp16, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import enlarge
from enlarge.card import read_card
from enlarge.errors import EnlargeError, WeightsError
from enlarge.weights import onnx_file
from enlarge.weights.catalog import find_weights
from enlarge.weights.export import export_model
from enlarge.weights.network_file import describe_network, load_network, round_to_half
from enlarge.weights.onnx_file import export_onnx
from tests.networks.tiny import tiny
from tests.weights.test_preparing import in_torch, picture


@pytest.fixture
def checkpoint(tmp_path: Path, cache: Path) -> Path:
    """A network whose weights fp16 does not hold, as other people save it."""
    network = tiny("srvgg", features=16)
    torch.save({"params": network.state_dict()}, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth"


def network_of(checkpoint: Path) -> nn.Module:
    network = tiny("srvgg", features=16)
    network.load_state_dict(torch.load(checkpoint)["params"])
    return network


def test_both_formats(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.onnx"
    card = export_model(str(checkpoint), target, quiet=True)
    assert export_model(str(checkpoint), target.with_suffix(".safetensors"), quiet=True) == card
    assert card == read_card(target)
    assert (card.name, card.network, card.precisions[0]) == ("mine", "srvgg", "f32")
    assert card.tiles
    wanted = in_torch(network_of(checkpoint), picture())
    model = enlarge.open_model(target, precision="f32")
    assert np.abs(model.upscale(picture()) - wanted).max() < 1e-4
    network, same = load_network(target.with_suffix(".safetensors"))
    assert same == card
    assert np.abs(in_torch(network, picture()) - wanted).max() < 1e-6


def test_fp16_halves_the_file_and_both_files_hold_the_same(
    checkpoint: Path, tmp_path: Path
) -> None:
    for name, half in (("f32", False), ("f16", True)):
        for suffix in (".onnx", ".safetensors"):
            export_model(str(checkpoint), tmp_path / f"{name}{suffix}", half=half, quiet=True)
    sizes = {name: (tmp_path / f"{name}.safetensors").stat().st_size for name in ("f32", "f16")}
    weights = 4 * sum(p.numel() for p in network_of(checkpoint).parameters())
    assert sizes["f32"] - sizes["f16"] == pytest.approx(weights / 2, rel=0.02)
    stored = (tmp_path / "f16.onnx").stat().st_size
    assert (tmp_path / "f32.onnx").stat().st_size - stored > 0.4 * weights
    rounded = network_of(checkpoint)
    round_to_half(rounded)
    kept, _ = load_network(tmp_path / "f16.safetensors")
    for key, value in kept.state_dict().items():
        assert torch.equal(value, rounded.state_dict()[key])
        exact = network_of(checkpoint).state_dict()[key]
        assert value.ndim < 4 or not torch.equal(value, exact)  # slopes of 0.25 fp16 does hold
    model = enlarge.open_model(tmp_path / "f16.onnx", precision="f32")
    assert np.abs(model.upscale(picture()) - in_torch(rounded, picture())).max() < 1e-4


def test_a_fixed_tile(checkpoint: Path, tmp_path: Path) -> None:
    card = export_model(str(checkpoint), tmp_path / "fixed.onnx", tile=32, quiet=True)
    assert (card.fixed, list(card.tiles)) == (32, [32])
    (image,) = onnx.load(tmp_path / "fixed.onnx").graph.input
    assert [side.dim_value for side in image.type.tensor_type.shape.dim] == [1, 3, 32, 32]
    model = enlarge.open_model(tmp_path / "fixed.onnx", precision="f32")
    for size in ((70, 45), (32, 32)):
        wanted = in_torch(network_of(checkpoint), picture(*size))
        assert np.abs(model.upscale(picture(*size)) - wanted).max() < 1e-4
    small = model.upscale(picture(9, 20))  # padded by reflection to the one size there is
    assert small.shape == (36, 80, 3)
    inner = in_torch(network_of(checkpoint), picture(9, 20))[:8, :40]
    assert np.abs(small[:8, :40] - inner).max() < 1e-4
    with pytest.raises(EnlargeError, match="accepts only tiles of 32, got --tile 64"):
        model.upscale(picture(70, 70), tile=64)


def test_a_model_by_its_name(tmp_path: Path, cache: Path) -> None:
    card = export_model("fast", tmp_path / "again.safetensors")
    assert card.scores == enlarge.open_model("fast").card.scores
    assert load_network(tmp_path / "again.safetensors")[1].name == "again"


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("a.png", {}, r"-o must end in \.onnx, .* for ncnn, \.param, got '\.png'"),
        ("a", {}, "must end in"),
        ("gone/a.onnx", {}, "the folder .*gone does not exist"),
        ("there.onnx", {}, "there.onnx exists; --overwrite replaces it"),
        ("theirs.pth", {}, "must end in"),
        ("a.safetensors", {"tile": 64}, "--tile .* contradict"),
        ("a.onnx", {"tile": 8}, "--tile must be at least 15 .* overlap by 5 pixels.*; got 8"),
    ],
)
def test_what_is_refused(
    checkpoint: Path, tmp_path: Path, target: str, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "there.onnx").write_bytes(b"x")
    before = checkpoint.read_bytes()
    with pytest.raises(EnlargeError, match=message):
        export_model(str(checkpoint), tmp_path / target, quiet=True, **options)
    assert checkpoint.read_bytes() == before
    assert (tmp_path / "there.onnx").read_bytes() == b"x"
    assert not list(tmp_path.glob("a.*"))


def test_an_onnx_file_tells_no_parameters(tmp_path: Path, cache: Path) -> None:
    network = tiny("srvgg")
    card = describe_network(
        network, name="a", architecture="srvgg", options={"features": 8, "convs": 3}
    )
    export_onnx(network, card, tmp_path / "a.onnx")
    with pytest.raises(WeightsError, match=r"parameters.*expected a checkpoint, or a\.safetensors"):
        export_model(str(tmp_path / "a.onnx"), tmp_path / "b.onnx")
    with pytest.raises(EnlargeError, match="is the input itself"):
        export_model(str(tmp_path / "a.onnx"), tmp_path / "a.onnx", overwrite=True)


def test_a_graph_of_others_with_their_parameters_beside_it(tmp_path: Path, cache: Path) -> None:
    network = tiny("srvgg")
    card = describe_network(
        network, name="a", architecture="srvgg", options={"features": 8, "convs": 3}
    )
    export_onnx(network, card, tmp_path / "a.onnx")
    proto = onnx.load(tmp_path / "a.onnx")
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "a.onnx")
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    export_model(str(tmp_path / "a.onnx"), tmp_path / "b.safetensors", quiet=True)
    kept, found = load_network(tmp_path / "b.safetensors")
    assert found.network == "srvgg"
    assert np.abs(in_torch(kept, picture()) - in_torch(network, picture())).max() < 1e-6


def test_a_name_behind_which_there_is_a_graph_alone(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny("srvgg")
    card = describe_network(
        network, name="a", architecture="srvgg", options={"features": 8, "convs": 3}
    )
    export_onnx(network, card, tmp_path / "mine.onnx")
    monkeypatch.setenv("ENLARGE_MODELS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"an \.onnx file alone .* mine\.safetensors"):
        export_model("mine", tmp_path / "b.onnx")


def test_what_cannot_be_measured_leaves_the_old_file(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    target = tmp_path / "tile.onnx"
    target.write_bytes(b"old")
    find_weights(checkpoint, quiet=True)  # prepared, as this needs measuring, too
    monkeypatch.setattr("enlarge.weights.measuring.measured", broken)
    with pytest.raises(KeyboardInterrupt):
        export_model(str(checkpoint), target, tile=64, overwrite=True, quiet=True)
    assert target.read_bytes() == b"old"
    assert not list(tmp_path.glob(".*"))


def test_a_file_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "_TOLERANCE", -1.0)
    network = tiny("srvgg")
    card = describe_network(
        network, name="a", architecture="srvgg", options={"features": 8, "convs": 3}
    )
    with pytest.raises(WeightsError, match=r"differs from torch by .*; not written"):
        export_onnx(network, card, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_weights_beyond_fp16(tmp_path: Path) -> None:
    network = tiny("srvgg")
    with torch.no_grad():
        next(network.parameters()).fill_(7e4)
    with pytest.raises(WeightsError, match=r"body\.0\.weight holds 7e\+04, more than fp16's 65504"):
        round_to_half(network)


class Grouped(nn.Module):
    """Other people's network with a group norm, whose export writes 0 for "as it is" in a shape."""

    scale, multiple, margin = 2, 1, None

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1), nn.GroupNorm(3, 12), nn.PixelShuffle(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convs(x)


def test_a_traced_group_norm(tmp_path: Path) -> None:
    """`export_onnx` compares it with torch, at two sizes."""
    card = describe_network(Grouped().eval(), name="grouped", architecture="spandrel:x", options={})
    export_onnx(Grouped(), card, tmp_path / "model.onnx", traced=True)
    assert read_card(tmp_path / "model.onnx") == card
