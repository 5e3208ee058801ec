"""Halo, margin, working sets and closeness in bf16, as measured, against what is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from enlarge.card import Card
from enlarge.errors import WeightsError
from enlarge.model_file import Weights
from enlarge.weights import measuring
from enlarge.weights.measuring import (
    WorkingSet,
    computed_sets,
    holds_in_bf16,
    measured_halo,
    natural_picture,
    working_sets,
)
from enlarge.weights.network_file import describe_network
from enlarge.weights.onnx_file import export_onnx
from enlarge.weights.reach import _reach, margin_of, measured_margin
from enlarge.weights.runner import Runner
from tests.networks.tiny import TINY, tiny
from tests.precisions import require
from tests.weights.test_graphs import loud


def exported(name: str, folder: Path, **options: Any) -> tuple[nn.Module, Card, Path]:
    network = loud(tiny(name, **options))
    card = describe_network(
        network, name=name, architecture=name, options={**TINY[name], **options}
    )
    export_onnx(network, card, folder / f"{name}.onnx")
    return network, card, folder / f"{name}.onnx"


def test_made_pictures_are_pictures() -> None:
    image = natural_picture(96, seed=3)
    assert image.shape == (1, 3, 96, 96)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() <= 1
    assert np.array_equal(image, natural_picture(96, seed=3))
    assert not np.array_equal(image, natural_picture(96, seed=4))
    # Like photographs: neighbours are alike, what is far apart is not, and edges are sharp.
    lines = image[0].reshape(-1, 96).astype(np.float64)
    near, far = (np.abs(lines[:, step:] - lines[:, :-step]).mean() for step in (1, 40))
    assert near < 0.7 * far
    assert np.abs(np.diff(lines)).max() > 0.4


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("edsr", {}),
        ("srvgg", {"scale": 2}),
        ("rrdb", {}),
        ("replain", {"scale": 3}),
        ("replain", {"unshuffle": 2}),
    ],
)
def test_the_margin_is_what_the_network_says(
    name: str, options: dict[str, int], tmp_path: Path
) -> None:
    network, card, model = exported(name, tmp_path, **options)
    margin = measured_margin(Runner(model), card.scale, card.multiple)
    assert margin is not None
    assert isinstance(network.margin, int)
    assert 0 <= network.margin - margin <= (1 if name == "rrdb" else 0)  # what f32 shows of it


@pytest.mark.parametrize("name", ["edsr", "srvgg", "rrdb", "srresnet", "msrresnet"])
@pytest.mark.parametrize("scale", [2, 4])
def test_the_margin_is_read_off_a_graph_of_convolutions(
    name: str, scale: int, tmp_path: Path
) -> None:
    network, card, model = exported(name, tmp_path, scale=scale)
    run = Runner(model)
    assert margin_of(run, scale, card.multiple) == measured_margin(run, scale, card.multiple) or (
        card.multiple == 1 and margin_of(run, scale, 1) == network.margin
    )
    if card.multiple == 1:
        assert _reach(run.graph, 48) == network.margin


def test_the_margin_of_what_the_graph_does_not_tell_is_measured(tmp_path: Path) -> None:
    _, card, model = exported("swinir", tmp_path)
    assert _reach(Runner(model).graph, 4 * card.multiple) is None
    export_onnx(Global(), replace(card, multiple=1, scale=1, margin=5), tmp_path / "g.onnx")
    run = Runner(tmp_path / "g.onnx")
    assert _reach(run.graph, 48) is None
    assert margin_of(run, 1, 1) is None


class Global(nn.Module):
    """×1: what the whole picture's mean is goes into every pixel."""

    scale, margin, multiple = 1, None, 1

    def forward(self, image: Tensor) -> Tensor:
        return image + 0.5 * image.mean((2, 3), keepdim=True)


def test_what_looks_at_the_whole_picture_has_no_margin(tmp_path: Path) -> None:
    card = describe_network(Global(), name="g", architecture="g", options={})
    export_onnx(Global(), card, tmp_path / "g.onnx")
    run = Runner(tmp_path / "g.onnx")
    assert measured_margin(run, 1, 1) is None
    assert measured_halo(run, card) == 64  # no distance helps: as much as such tiles get


class Blur(nn.Module):
    """×1: a convolution with weights that fall off as 2^-distance, of radius 80."""

    scale, margin, multiple = 1, 80, 1

    def __init__(self) -> None:
        super().__init__()
        distance = (torch.arange(161) - 80).abs()
        line = 0.5 ** distance.float()
        self.register_buffer("line", (line / line.sum()).view(1, 1, 1, 161).repeat(3, 1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        assert isinstance(self.line, Tensor)
        return nn.functional.conv2d(image, self.line, padding=(0, 80), groups=3)


def test_the_halo_is_where_tiles_stop_to_matter(tmp_path: Path) -> None:
    """What lies beyond distance d adds at most 2^-d / 3 in all: under a level from d = 7 on."""
    card = describe_network(Blur(), name="b", architecture="b", options={})
    export_onnx(Blur(), card, tmp_path / "b.onnx")
    assert measured_halo(Runner(tmp_path / "b.onnx"), card) in (8, 16)


def test_tiles_with_the_measured_halo_differ_by_a_level_at_most(tmp_path: Path) -> None:
    network, card, model = exported("rrdb", tmp_path, blocks=5)
    assert card.margin == network.margin
    assert card.margin is not None
    assert card.margin > 64
    halo = measured_halo(Runner(model), card)
    assert 8 <= halo < card.margin
    image, (start, stop) = torch.from_numpy(natural_picture(160, seed=9)), (40, 120)
    with torch.inference_mode():
        whole, tile = (
            (network(part).clamp(0, 1) * 255).round()
            for part in (image, image[..., start:stop, start:stop])
        )
    inner = slice(4 * halo, 4 * (stop - start - halo))
    whole = whole[..., 4 * start : 4 * stop, 4 * start : 4 * stop]
    assert (whole - tile)[..., inner, inner].abs().max() <= 1


def test_working_sets_grow_and_leave_out_what_is_all_halo(tmp_path: Path) -> None:
    _, card, model = exported("srvgg", tmp_path)
    sizes = working_sets(model, replace(card, halo=20), (32, 128, 48))
    assert list(sizes) == [48, 128]
    assert 1e6 < sizes[48] < sizes[128] < 2e9
    assert list(working_sets(model, replace(card, halo=20), (32,))) == [60]


def test_other_working_sets_are_computed_from_one() -> None:
    # Running adds 60, so 240 on twice the side; compiling takes 50 at most.
    found = computed_sets(WorkingSet(128, 100, 50, 40, 90), (64, 128, 256))
    assert found == {64: max(50, round(1.06 * (40 + 15))), 128: 100, 256: round(1.06 * 280)}
    # Where compiling takes the most, what is left after running tells.
    found = computed_sets(WorkingSet(128, 200, 200, 40, 60), (64, 128, 256))
    assert found == {64: 200, 128: 200, 256: 200}
    found = computed_sets(WorkingSet(128, 200, 200, 40, 60), (512,))
    assert found == {512: round(1.06 * (40 + 16 * 20)), 128: 200}


def test_without_a_ladder_one_tile_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, card, model = exported("srvgg", tmp_path)
    asked, measure = [], measuring._working_set

    def watched(weights: Weights, side: int) -> WorkingSet | str:
        asked.append(side)
        return measure(weights, side)

    monkeypatch.setattr(measuring, "_working_set", watched)
    sizes = working_sets(model, replace(card, halo=8))
    assert asked == [256]
    assert list(sizes) == [64, 128, 192, 256, 384, 512]
    assert list(sizes.values()) == sorted(sizes.values())


def test_an_onnx_file_is_measured_in_openvino_whatever_lies_beside_it(tmp_path: Path) -> None:
    _, card, model = exported("srvgg", tmp_path)
    other = model.rename(tmp_path / "srvgg.pth")
    (tmp_path / "srvgg.param").write_text("7767517\n0 0\n", encoding="utf-8")
    assert list(working_sets(other, replace(card, halo=20), (48,))) == [48]


def test_a_model_that_does_not_run_says_why(tmp_path: Path) -> None:
    _, card, model = exported("srvgg", tmp_path)
    with pytest.raises(WeightsError, match=r"gone\.onnx: does not run on a tile of 48×48: "):
        working_sets(tmp_path / "gone.onnx", card, (48,))
    with pytest.raises(WeightsError, match=r"gone\.onnx: OpenVINO cannot read it"):
        Runner(tmp_path / "gone.onnx")
    assert model.is_file()


def test_bf16_holds_where_rounding_is_harmless(tmp_path: Path) -> None:
    require("bf16")
    _, card, model = exported("srvgg", tmp_path)
    assert holds_in_bf16(card, Runner(model))
    # A difference of large numbers: 1 + 2^9 x, minus 2^9 x, keeps no fraction in bf16.
    weights = onnx.load(model)
    for constant in weights.graph.initializer:
        if constant.name == "body.0.bias":
            values = np.full(constant.dims, 2.0**9, np.float32)
            constant.CopyFrom(onnx.numpy_helper.from_array(values, constant.name))
    onnx.save(weights, tmp_path / "coarse.onnx")
    assert holds_in_bf16(card, Runner(tmp_path / "coarse.onnx")) is False
