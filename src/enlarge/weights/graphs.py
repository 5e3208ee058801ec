"""ONNX files without a card: what inspecting and running their graph tells.

The graph must take one picture, (1, 3, H, W) of float32 or float16, RGB in [0, 1], and return one.
Files with another convention are converted first (see `conventions`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from enlarge.card import Card
from enlarge.errors import WeightsError
from enlarge.version import __version__
from enlarge.weights.conventions import plain_file
from enlarge.weights.measuring import natural_picture
from enlarge.weights.reach import margin_of
from enlarge.weights.runner import Network, Runner

_MULTIPLES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 24, 28, 32, 48, 64)
_FLOATS = ("f32", "f16")


def describe_plain(path: Path, folder: Path) -> tuple[Path, Runner, Card]:
    """The file, or one in `folder` that was converted to our conventions (see `conventions`), and
    what `describe_graph` tells of it. The card's options say what was converted.
    """
    model, note = plain_file(path, folder)
    try:
        run, card = describe_graph(model)
    except WeightsError as error:
        raise WeightsError(str(error).replace(str(model), str(path))) from error
    return model, run, replace(card, options={"converted": note} if note else {})


def describe_graph(path: Path) -> tuple[Runner, Card]:
    """The graph, ready to run, and its card without what `measuring.measured` adds.

    The scale is that of a picture's result, the multiple the smallest of `_MULTIPLES` that the
    graph accepts, the margin how far a change is visible. Raises `WeightsError` if the graph does
    not enlarge pictures.
    """
    run = Runner(path)
    fixed = _fixed_side(path, run.graph)
    multiple, scale = (1, _scale(run, fixed)) if fixed else multiple_and_scale(path, run)
    card = Card(
        name=path.stem,
        network="onnx",
        options={},
        scale=scale,
        margin=margin_of(run, scale, multiple, fixed),
        halo=0,
        multiple=multiple,
        fixed=fixed,
        parameters=_parameters(run.graph),
        flops=_flops(run.graph, fixed or math.lcm(64, multiple), scale),
        version=__version__,
    )
    return run, card


def _fixed_side(path: Path, graph: Any) -> int:
    """The only side that the graph takes, 0 if H and W are free."""
    inputs, outputs = graph.inputs, graph.outputs
    expected = "expected one picture (1, 3, H, W) of float32 or float16 in, and one out"
    if len(inputs) != 1 or len(outputs) != 1:
        raise WeightsError(
            f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs; {expected}"
        )
    (image,), (enlarged,) = inputs, outputs
    shape, kind = image.get_partial_shape(), image.get_element_type().get_type_name()
    if shape.rank.is_dynamic or len(shape) != 4 or kind not in _FLOATS:
        raise WeightsError(f"{path}: takes {shape} of {kind}; {expected}")
    if not all(_may_be(shape[axis], size) for axis, size in ((0, 1), (1, 3))):
        raise WeightsError(f"{path}: takes {shape}; {expected}")
    out = enlarged.get_partial_shape()
    if not out.rank.is_dynamic and (len(out) != 4 or not _may_be(out[1], 3)):
        raise WeightsError(f"{path}: returns {out}; {expected}")
    height, width = shape[2], shape[3]
    if height.is_dynamic and width.is_dynamic:
        return 0
    if height.is_dynamic or width.is_dynamic or height != width:
        raise WeightsError(
            f"{path}: takes {shape}; expected free sides or a square; export it again"
        )
    return int(height.get_length())


def _may_be(dimension: Any, size: int) -> bool:
    return dimension.is_dynamic or dimension.get_length() == size


def _scale(run: Network, height: int, width: int = 0) -> int:
    """The factor at that size. Raises `WeightsError` if it is not a whole number."""
    width = width or height
    enlarged = run(natural_picture(max(height, width))[:, :, :height, :width])
    factor = enlarged.shape[-1] // width
    if enlarged.shape != (1, 3, factor * height, factor * width) or not factor:
        raise WeightsError(
            f"turns (1, 3, {height}, {width}) into {enlarged.shape}; expected an integer factor"
        )
    if not np.isfinite(enlarged).all():
        raise WeightsError("returns NaN or infinity for a picture of RGB in [0, 1]")
    return factor


def multiple_and_scale(path: Path, run: Network) -> tuple[int, int]:
    """The smallest of `_MULTIPLES` that both sides of a picture must be multiples of, and the
    factor. Raises `WeightsError` if the network does not enlarge pictures.
    """
    reason = WeightsError("")
    for multiple in _MULTIPLES:
        cells = max(1, 48 // multiple) | 1  # odd, so that no larger multiple divides both sides
        try:
            return multiple, _scale(run, cells * multiple, (cells + 2) * multiple)
        except WeightsError as error:
            reason = error
    raise WeightsError(f"{path}: {reason}") from reason


def _parameters(graph: Any) -> int:
    """The number of elements of floating-point constants, without scalars."""
    constants = (op for op in graph.get_ordered_ops() if op.get_type_name() == "Constant")
    sizes = (
        math.prod(op.get_output_shape(0))
        for op in constants
        if op.get_output_element_type(0).is_real()
    )
    return sum(size for size in sizes if size > 1)


def _flops(graph: Any, side: int, scale: int) -> float:
    """Per output pixel, of convolutions and matrix products; a multiply-add counts two."""
    graph = graph.clone()
    graph.reshape([1, 3, side, side])
    total = 0.0
    for op in graph.get_ordered_ops():
        kind = op.get_type_name()
        if kind not in ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul"):
            continue
        if op.get_output_partial_shape(0).is_dynamic or op.get_input_partial_shape(1).is_dynamic:
            continue
        out, weight = math.prod(op.get_output_shape(0)), tuple(op.get_input_shape(1))
        if kind == "MatMul":
            inner = -2 if op.get_attributes()["transpose_a"] else -1
            total += 2.0 * out * op.get_input_shape(0)[inner]
        elif kind == "ConvolutionBackpropData":  # each input value × the whole kernel
            total += 2.0 * math.prod(op.get_input_shape(0)) * math.prod(weight[1:])
        else:  # (outputs, inputs, …), or (groups, outputs, inputs, …)
            total += 2.0 * out * math.prod(weight[-3:])
    return total / (side * scale) ** 2
