"""Tiny networks as the files that engines open: ONNX, and safetensors beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from enlarge.card import Card
from enlarge.networks import build
from enlarge.weights.network_file import save_network
from enlarge.weights.onnx_file import export_onnx


def write(network: nn.Module, name: str, options: dict[str, Any], folder: Path) -> Path:
    """Write a network of that name and those options; returns the ONNX file."""
    card = Card(
        name=name,
        network=name,
        options=options,
        scale=int(network.scale),  # type: ignore[arg-type]
        margin=network.margin,  # type: ignore[arg-type]
        halo=8,
        multiple=int(network.multiple),  # type: ignore[arg-type]
        precisions=("f32", "bf16"),
    )
    path = folder / f"{name}.onnx"
    export_onnx(network, card, path)
    save_network(network, card, path.with_suffix(".safetensors"))
    return path


def overflowing(folder: Path) -> Path:
    """A ×2 network that repeats pixels, in f32. On its way it multiplies by what bf16 takes for
    infinity, and then by nothing.
    """
    options = {"scale": 2, "features": 2, "convs": 1}
    network = build("srvgg", **options).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        head = network.body[0].weight  # type: ignore[index, union-attr]
        head[0, 0, 1, 1] = 3.4e38
    return write(network, "srvgg", options, folder)


def vanishing(folder: Path) -> Path:
    """A ×1 network that changes nothing, in f32. It multiplies by a difference of two numbers
    beyond f16's largest, which are the same there, and divides by it.
    """
    numbers = {"large": 1e6, "larger": 2e6}
    sides = (1, 3, "height", "width")
    graph = helper.make_graph(
        [
            helper.make_node("Sub", ["larger", "large"], ["difference"]),
            helper.make_node("Mul", ["image", "difference"], ["product"]),
            helper.make_node("Div", ["product", "difference"], ["enlarged"]),
        ],
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("enlarged", TensorProto.FLOAT, sides)],
        [
            numpy_helper.from_array(np.array([number], np.float32), name)
            for name, number in numbers.items()
        ],
    )
    path = folder / "vanishing.onnx"
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path
