"""How far a network sees, from its graph: without running it, where it consists of convolutions.

margin_of(run, …)       → the receptive margin: read off the graph, or else measured
is_convolutional(run)   → whether the graph tells it
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from enlarge.weights.measuring import natural_picture
from enlarge.weights.runner import Network, Runner

LARGEST_MARGIN = 128
"""Beyond it a margin counts as unbounded."""
_POINTWISE = {
    "Abs", "Add", "Clamp", "Convert", "Divide", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid",
    "HSigmoid", "HSwish", "Log", "Maximum", "Minimum", "Mish", "Multiply", "Negative", "Power",
    "PRelu", "Relu", "Round", "Selu", "Sigmoid", "SoftPlus", "Split", "Sqrt", "SquaredDifference",
    "Subtract", "Swish", "Tanh", "VariadicSplit", "BatchNormInference", "Result", "Squeeze",
    "Unsqueeze", "FakeQuantize", "Identity",
}  # fmt: skip
"""Operators that compute each pixel from the same pixel of their inputs."""
_RESIZED = {"nearest": 0.0, "linear": 1.0, "linear_onnx": 1.0, "cubic": 2.0}
"""Pixels of its input that enlarging by a whole factor reaches."""
_SIDE = 384
"""Of the picture for which the sizes in the graph are computed."""


def margin_of(run: Runner, scale: int, multiple: int, side: int = 0) -> int | None:
    """See `measured_margin`. The graph of a network of convolutions tells it at once; others, such
    as those with attention or a mean over the picture, are measured.
    """
    reach = _reach(run.graph, side or _SIDE) if multiple == 1 else None
    if reach is None:
        return measured_margin(run, scale, multiple, side)
    return reach if reach < (side // 2 or LARGEST_MARGIN + 1) else None


def is_convolutional(run: Runner, side: int = 0) -> bool:
    """Whether the network consists of convolutions of every pixel, so that a picture that is moved
    by a pixel gives a result that is moved as far. `side`: the only size that it takes (0: any).
    """
    return _reach(run.graph, side or _SIDE) is not None


def _reach(graph: Any, side: int) -> int | None:
    """The pixels of the input, beside a pixel of the output, that it may depend on; None if an
    operator is not known.
    """
    graph = graph.clone()
    try:
        graph.reshape([1, 3, side, side])
    except RuntimeError:
        return None
    reaches: dict[tuple[str, int], float] = {}
    for node in graph.get_ordered_ops():
        kind, name = node.get_type_name(), node.get_friendly_name()
        if kind == "Parameter":
            reach: float | None = 0.0
        elif kind in ("Constant", "ShapeOf"):  # which do not depend on values
            continue
        else:
            ends = [port.get_source_output() for port in node.inputs()]
            sources = [(end.get_node().get_friendly_name(), end.get_index()) for end in ends]
            known = [reaches[source] for source in sources if source in reaches]
            if not known:
                continue
            step = _step(node, side)
            reach = None if step is None else max(known) + step
        if reach is None:
            return None
        for index in range(len(node.outputs())):
            reaches[name, index] = reach
    result = reaches.get((graph.get_results()[0].get_friendly_name(), 0))
    return None if result is None else math.ceil(result - 1e-6)


def _step(node: Any, side: int) -> float | None:
    """How many pixels of the picture an operator reaches beyond the pixel itself; None if that is
    not known.
    """
    kind = node.get_type_name()
    if node.get_output_partial_shape(0).is_dynamic or node.get_input_partial_shape(0).is_dynamic:
        return None
    before, after = list(node.get_input_shape(0)), list(node.get_output_shape(0))
    if kind in _POINTWISE:
        return 0.0 if len(before) == len(after) == 4 else None
    if len(before) != 4 or len(after) != 4 or before[2] != before[3] or after[2] != after[3]:
        return None
    pixel = side / before[2]  # of this input, in pixels of the picture
    if kind in ("Convolution", "GroupConvolution"):
        return _of_window(node, pixel)
    if kind == "Concat":
        return 0.0 if node.get_attributes()["axis"] in (1, -3) else None
    if kind == "DepthToSpace":
        return 0.0
    if kind == "Interpolate" and not after[2] % before[2]:
        reach = _RESIZED.get(node.get_attributes()["mode"])
        return None if reach is None else reach * pixel
    return None


def _of_window(node: Any, pixel: float) -> float | None:
    """The reach of a convolution that keeps the size."""
    about = node.get_attributes()
    before, after = node.get_input_shape(0), node.get_output_shape(0)
    if set(about["strides"]) != {1} or list(before)[2:] != list(after)[2:]:
        return None
    if about["auto_pad"] == "explicit":
        return max(*about["pads_begin"], *about["pads_end"]) * pixel
    kernel = list(node.get_input_shape(1))[-2:]
    return max((k - 1) * d for k, d in zip(kernel, about["dilations"], strict=True)) * pixel


def measured_margin(run: Network, scale: int, multiple: int, side: int = 0) -> int | None:
    """How far, in input pixels, a change of one pixel (of `multiple`² pixels) changes the result in
    f32. None, for unbounded, if that reaches the edge of a picture of 257 pixels.

    `side` is the only size that the network takes (0: any).
    """
    for size in (side,) if side else (129, 2 * LARGEST_MARGIN + 1):
        whole = -(-size // multiple) * multiple
        first = whole // 2 // multiple * multiple
        cell = slice(first, first + multiple)
        image = natural_picture(whole)
        changed = image.copy()
        changed[:, :, cell, cell] = np.where(image[:, :, cell, cell] < 0.5, 8.0, -8.0)
        touched = (run(image) != run(changed)).any((0, 1))  # (scale·H, scale·W)
        touched = touched.reshape(whole, scale, whole, scale).any((1, 3))
        rows, columns = (np.flatnonzero(touched.any(axis)) for axis in (1, 0))
        if not rows.size:
            return 0
        low, high = min(rows[0], columns[0]), max(rows[-1], columns[-1])
        if low > 0 and high < whole - 1:
            return int(max(first - low, high - (first + multiple - 1), 0))
    return None
