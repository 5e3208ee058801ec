"""ONNX files of other programs, which carry no card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import enlarge
from enlarge.errors import WeightsError
from enlarge.weights.catalog import find_weights
from enlarge.weights.graphs import describe_graph
from enlarge.weights.network_file import describe_network
from enlarge.weights.onnx_file import export_onnx
from tests.networks.tiny import TINY, tiny
from tests.weights.test_preparing import in_torch, picture


def loud(network: torch.nn.Module) -> torch.nn.Module:
    """Without RRDB's small initialisation, which hides in f32 how far the network sees."""
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if ".rdb" in key and parameter.ndim == 4:
                parameter.mul_(12.0)
    return network


def bare(name: str, path: Path, **options: Any) -> Any:
    """A network's ONNX as others write it: names of their own, and no card."""
    network = loud(tiny(name, **options))
    export_onnx(network, describe_network(network, name=name, architecture=name, options={}), path)
    model = onnx.load(path)
    del model.metadata_props[:]
    for node in model.graph.node:
        node.input[:] = ["input.1" if value == "image" else value for value in node.input]
        node.output[:] = ["out" if value == "enlarged" else value for value in node.output]
    model.graph.input[0].name, model.graph.output[0].name = "input.1", "out"
    onnx.save(model, path)
    return network


@pytest.mark.parametrize(
    ("name", "options"), [("srvgg", {}), ("edsr", {"scale": 3}), ("rrdb", {"scale": 2})]
)
def test_a_network_is_told_from_its_graph(
    name: str, options: dict[str, int], cache: Path, tmp_path: Path
) -> None:
    network = bare(name, tmp_path / "theirs.onnx", **options)
    model = enlarge.open_model(tmp_path / "theirs.onnx", precision="f32")
    card = model.card
    assert (card.name, card.network, card.scale) == ("theirs", "onnx", network.scale)
    assert card.margin is not None
    assert isinstance(network.margin, int)
    assert 0 <= network.margin - card.margin <= (1 if name == "rrdb" else 0)  # what f32 shows of it
    assert card.multiple == network.multiple
    assert card.halo == card.margin
    own = describe_network(network, name="", architecture="", options=TINY[name])
    assert card.flops == pytest.approx(own.flops, rel=1e-3)
    assert card.parameters == pytest.approx(own.parameters, rel=0.01)
    image = picture(36, 44)
    assert np.abs(model.upscale(image) - in_torch(network, image)).max() < 1e-4
    weights = find_weights(tmp_path / "theirs.onnx")
    assert weights.path == tmp_path / "theirs.onnx"  # used where it lies
    assert weights.card == card


def shuffled(
    path: Path,
    *,
    kind: int = TensorProto.FLOAT,
    sides: tuple[Any, Any] = ("h", "w"),
    channels: int = 3,
    out: int = 12,
    inputs: int = 1,
) -> Path:
    """A ×2 network: one 3×3 convolution that repeats pixels, and a pixel shuffle."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    kernel = np.zeros((out, channels, 3, 3), dtype)
    for i in range(out):
        kernel[i, i * channels // out, 1, 1] = 1
    names = ["x", "y"][:inputs]
    shape = (1, channels, *sides)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("DepthToSpace", ["c"], ["out"], blocksize=2, mode="CRD"),
        ],
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name in names],
        [helper.make_tensor_value_info("out", kind, (1, out // 4, "p", "q"))],
        [numpy_helper.from_array(kernel, "k")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize("sides", [("h", "w"), (48, 48)])
def test_kinds_and_sizes(kind: int, sides: tuple[Any, Any], cache: Path, tmp_path: Path) -> None:
    model = enlarge.open_model(shuffled(tmp_path / "m.onnx", kind=kind, sides=sides))
    assert (model.card.scale, model.card.margin) == (2, 1)
    assert model.card.fixed == (48 if sides == (48, 48) else 0)
    for size in ((70, 100), (48, 48), (5, 9)):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        large = model.upscale(image)
        assert np.abs(large.astype(int) - image.repeat(2, 0).repeat(2, 1)).max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 1, "out": 4}, r"takes \[1,1,.*expected one picture \(1, 3, H, W\)"),
        ({"out": 4}, "returns .*expected one picture"),
        ({"inputs": 2}, "has 2 inputs and 1 outputs"),
        ({"kind": TensorProto.DOUBLE}, "f64; expected one picture"),
        ({"sides": (48, 64)}, "expected free sides or a square"),
    ],
)
def test_what_is_refused(
    options: dict[str, Any], message: str, cache: Path, tmp_path: Path
) -> None:
    path = shuffled(tmp_path / "m.onnx", **options)
    with pytest.raises(WeightsError, match=rf"m\.onnx: .*{message}"):
        describe_graph(path)


def test_a_graph_that_is_none(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"m\.onnx"):
        find_weights(tmp_path / "m.onnx", quiet=True)
