"""An ONNX graph whose convolutions are computed in 8-bit integers: QuantizeLinear and
DequantizeLinear stand before them, which OpenVINO and ONNX Runtime compute with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class Steps(NamedTuple):
    """A convolution of whole numbers: its result is the sum of kernel · (input − zero), times
    `kernel_size`, plus `bias`, where input = clamp(round(x / size) + zero, 0, 255).
    """

    size: NDArray[np.float32]
    """(I,)"""
    zero: int
    kernel: NDArray[np.int8]
    """(O, I, h, w)"""
    kernel_size: NDArray[np.float32]
    """(O,)"""
    bias: NDArray[np.float32]
    """(O,)"""


class _Graph:
    """The nodes and constants of a graph that is being rewritten."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants = {constant.name: constant for constant in graph.initializer}
        self._rounded: dict[tuple[str, bytes, int], str] = {}

    def constant(self, name: str, values: NDArray[Any] | np.generic) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def rounded(self, tensor: str, size: NDArray[np.float32], zero: int) -> str:
        """The tensor in steps, from −zero on; made once where several convolutions take the same.

        Where all channels have one size, the steps are multiplied by it.
        """
        key = (tensor, size.tobytes(), zero)
        if key in self._rounded:
            return self._rounded[key]
        name = f"{tensor}.{len(self._rounded)}"
        one = bool((size == size[0]).all())
        zeros = np.uint8(zero) if one else np.full(len(size), zero, np.uint8)
        inputs = [
            self.constant(f"{name}.size", size[0] if one else size),
            self.constant(f"{name}.zeros", zeros),
        ]
        outputs = [
            inputs[0] if one else self.constant("one", np.float32(1.0)),
            self.constant(f"{name}.zero", np.uint8(zero)),
        ]
        axis = {} if one else {"axis": 1}
        self.nodes += [
            helper.make_node("QuantizeLinear", [tensor, *inputs], [f"{name}.steps"], **axis),
            helper.make_node("DequantizeLinear", [f"{name}.steps", *outputs], [f"{name}.near"]),
        ]
        self._rounded[key] = f"{name}.near"
        return f"{name}.near"

    def kernel(self, name: str, steps: Steps) -> None:
        """Replace a constant by its steps."""
        del self.constants[name]
        one = len(steps.size) > 0 and bool((steps.size == steps.size[0]).all())
        size = steps.kernel_size / (steps.size[0] if one else np.float32(1.0))
        inputs = [
            self.constant(f"{name}.steps", steps.kernel),
            self.constant(f"{name}.size", size.astype(np.float32)),
            self.constant(f"{name}.zero", np.zeros(len(size), np.int8)),
        ]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [name], axis=0))


def quantized(model: onnx.ModelProto, convolutions: Mapping[str, Steps]) -> onnx.ModelProto:
    """The model with convolutions of whole numbers. They are named as the kernels in the model are,
    without ".weight". Where one takes tensors that are joined, each of them is rounded.
    """
    graph = _Graph(model.graph)
    steps_of = {
        node.output[0]: convolutions[node.input[1].removesuffix(".weight")]
        for node in model.graph.node
        if node.op_type == "Conv" and node.input[1].removesuffix(".weight") in convolutions
    }
    joins = {node.output[0] for node in model.graph.node if node.op_type == "Concat"}
    joined = {
        node.input[0]: steps_of[node.output[0]]
        for node in model.graph.node
        if node.output[0] in steps_of and node.input[0] in joins
    }
    for old in model.graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(old)
        if node.output[0] in steps_of:
            steps = steps_of[node.output[0]]
            if node.input[0] not in joined:
                node.input[0] = graph.rounded(node.input[0], steps.size, steps.zero)
            graph.kernel(node.input[1], steps)
            graph.constant(node.input[2], steps.bias)
        elif node.output[0] in joined:
            steps = joined[node.output[0]]
            sizes = np.split(steps.size, len(node.input))
            parts = zip(node.input, sizes, strict=True)
            node.input[:] = [graph.rounded(part, size, steps.zero) for part, size in parts]
        graph.nodes.append(node)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:], result.graph.initializer[:]
    result.graph.node.extend(graph.nodes)
    result.graph.initializer.extend(graph.constants.values())
    onnx.checker.check_model(result)
    return result
