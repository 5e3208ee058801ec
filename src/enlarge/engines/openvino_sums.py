"""A skip connection between convolutions and attention, which OpenVINO would copy for nothing."""

from __future__ import annotations

import math

import openvino as ov
from openvino import opset13 as op

_TO_TOKENS = [0, 2, 3, 1]


def set_sums_apart(network: ov.Model) -> None:
    """Let OpenVINO compute a sum that becomes tokens, (B, C, H, W) → (B, H, W, C), on its own.

    The result of a convolution lies in memory with its channels last, so that its tokens need no
    copy. But a sum with it is computed within the convolution, in place, and OpenVINO transposes
    such a result by two slow copies. A clamp to ±∞ between the two keeps them apart.
    """
    for node in network.get_ordered_ops():
        if not _makes_tokens(node):
            continue
        added = node.input_value(0).get_node()
        if added.get_type_name() != "Add" or _is_bias(added):
            continue
        for port in added.inputs():
            source = port.get_source_output()
            if _is_convolution(source.get_node()) and len(source.get_target_inputs()) == 1:
                apart = op.clamp(source, -math.inf, math.inf)
                port.replace_source_output(apart.output(0))


def _makes_tokens(node: ov.Node) -> bool:
    if node.get_type_name() != "Transpose":
        return False
    order = node.input_value(1).get_node()
    return order.get_type_name() == "Constant" and list(order.get_data()) == _TO_TOKENS


def _is_convolution(node: ov.Node) -> bool:
    return node.get_type_name() == "Convolution" or _is_bias(node)


def _is_bias(node: ov.Node) -> bool:
    """Whether the node adds a bias to the result of a convolution."""
    if node.get_type_name() != "Add":
        return False
    convolution, bias = (node.input_value(i) for i in range(2))
    return (
        convolution.get_node().get_type_name() == "Convolution"
        and bias.get_partial_shape() != convolution.get_partial_shape()
    )
