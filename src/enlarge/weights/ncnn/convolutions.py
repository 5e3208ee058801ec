"""Convolutions, their transposes, inner products and matrix products."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enlarge.weights.ncnn.activations import activated
from enlarge.weights.ncnn.nodes import Blob, Step, affine, shaped

_SAME = {-233: "SAME_UPPER", -234: "SAME_LOWER"}
"""Paddings of which the sides are computed; the larger half of an odd one is behind, or before."""


class Window(NamedTuple):
    """The window of a convolution or a pooling, (vertical, horizontal) each; `pads` is top, left,
    bottom, right, or the value in `_SAME`.
    """

    kernel: tuple[int, int]
    dilation: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int] | int

    @property
    def extent(self) -> tuple[int, int]:
        """The pixels from the first to the last that the window reads."""
        first, second = (
            (kernel - 1) * dilation + 1
            for kernel, dilation in zip(self.kernel, self.dilation, strict=True)
        )
        return first, second


def _window(step: Step) -> Window:
    def pair(across: int, down: int, default: int) -> tuple[int, int]:
        first = step.whole(across, default)
        return step.whole(down, first), first

    kernel, dilation, stride = pair(1, 11, 0), pair(2, 12, 1), pair(3, 13, 1)
    left = step.whole(4)
    top = step.whole(14, left)
    right, bottom = step.whole(15, left), step.whole(16, top)
    if min(*kernel, *dilation, *stride) < 1 or max(*kernel, *dilation, *stride) > 1024:
        raise step.misfit(f"has the kernel {kernel}, dilation {dilation} and stride {stride}")
    pads: tuple[int, int, int, int] | int = (top, left, bottom, right)
    if left in _SAME:
        if {top, left, bottom, right} != {left}:
            raise step.misfit(f"mixes paddings: {(top, left, bottom, right)}")
        pads = left
    elif min(top, left, bottom, right) < 0 or max(top, left, bottom, right) > 4096:
        raise step.misfit(f"has the padding {(top, left, bottom, right)}")
    return Window(kernel, dilation, stride, pads)


def convolution(step: Step) -> Blob:
    """Convolution and, with groups, ConvolutionDepthWise."""
    step.check_inputs(1)
    step.layer.refuse(19)  # weights that another layer computes
    outputs, size = step.whole(0), step.whole(6)
    groups = step.whole(7, 1) if step.layer.kind == "ConvolutionDepthWise" else 1
    window = _window(step)
    inputs = _inputs(step, outputs, size, window.kernel, groups)
    weights = _stored(step, size, outputs, groups, scales_at=8)
    bias = step.raw(outputs, "bias") if step.whole(5) else None
    weights = _dequantised(step, weights, outputs, groups)
    if step.blob.rank == 1 and window.kernel == (1, 1) and groups == 1:
        return _product(step, weights.reshape(outputs, inputs), bias)
    step.check_rank(3)
    graph, name = step.graph, step.blob.name
    attributes: dict[str, Any] = {"strides": window.stride, "dilations": window.dilation}
    if isinstance(window.pads, int):
        attributes["auto_pad"] = _SAME[window.pads]
        if window.stride == (1, 1):
            attributes = attributes | {"auto_pad": "NOTSET", "pads": _same_pads(window)}
    elif value := step.number(18):
        top, left, bottom, right = window.pads
        pads = graph.wholes([0, 0, top, left, 0, 0, bottom, right])
        name = graph.add("Pad", name, pads, graph.floats(value))
    else:
        attributes["pads"] = window.pads
    kernel = graph.floats(weights.reshape(outputs, inputs // groups, *window.kernel))
    given = [name, kernel] + ([] if bias is None else [graph.floats(bias)])
    result = graph.add("Conv", *given, group=groups, **attributes)
    name = activated(step, result, step.whole(9), step.layer.numbers(10))
    sides = (_after(step.blob.shape[axis], window, axis - 1) for axis in (1, 2))
    return Blob(name, (outputs, *sides))


def _same_pads(window: Window) -> tuple[int, int, int, int]:
    """The padding that keeps a picture's size, for a stride of 1."""
    down, across = (extent - 1 for extent in window.extent)
    if window.pads == -233:
        return down // 2, across // 2, down - down // 2, across - across // 2
    return down - down // 2, across - across // 2, down // 2, across // 2


def _after(side: int | None, window: Window, axis: int) -> int | None:
    """The side of a convolution's result, where it is known."""
    if side is None:
        return None
    stride = window.stride[axis]
    if isinstance(window.pads, int):
        return -(-side // stride)
    padded = side + window.pads[axis] + window.pads[axis + 2]
    return (padded - window.extent[axis]) // stride + 1


def _inputs(step: Step, outputs: int, size: int, kernel: tuple[int, int], groups: int) -> int:
    """The channels that a convolution reads, by the number of its weights."""
    area = kernel[0] * kernel[1]
    whole = outputs > 0 and groups > 0 and size > 0 and not outputs % groups
    inputs = size * groups // (outputs * area) if whole else 0
    if not inputs or inputs * outputs * area != size * groups:
        raise step.misfit(
            f"has {size} weights for {outputs} channels, {groups} groups and the kernel {kernel}"
        )
    given = step.blob.shape[0]
    if step.blob.rank in (1, 3) and given not in (None, inputs):
        raise step.misfit(f"takes {inputs} channels and gets {given}")
    return inputs


def _stored(step: Step, size: int, outputs: int, groups: int, *, scales_at: int) -> NDArray[Any]:
    weights = step.tagged(size, "weights")
    if weights.dtype == np.int8 and not step.whole(scales_at):
        raise step.misfit("has weights in int8 without their scales")
    return weights


def _dequantised(step: Step, weights: NDArray[Any], outputs: int, groups: int) -> NDArray[Any]:
    """Weights of which the scales for int8 follow, as floats if they are stored in int8."""
    term = step.whole(8)
    if not term:
        return weights
    count = outputs
    if step.layer.kind == "ConvolutionDepthWise":
        count = groups if term in (1, 101) else 1
    scales = step.raw(count, "scales")
    step.raw(1, "scale of its input")
    if term > 100:
        step.raw(1, "scale of its output")
    if weights.dtype != np.int8:
        return weights
    rows = weights.reshape(count, -1).astype(np.float32)
    if not scales.all():
        raise step.misfit("has scales of 0")
    return (rows / scales[:, None]).reshape(-1)


def deconvolution(step: Step) -> Blob:
    """Deconvolution and, with groups, DeconvolutionDepthWise."""
    step.check_inputs(1)
    step.check_rank(3)
    step.layer.refuse(20, 21, 28)  # a fixed size; weights that another layer computes
    outputs, size = step.whole(0), step.whole(6)
    groups = step.whole(7, 1) if step.layer.kind == "DeconvolutionDepthWise" else 1
    window = _window(step)
    if isinstance(window.pads, int):
        raise step.unknown(f"has the padding {window.pads}")
    inputs = _inputs(step, outputs, size, window.kernel, groups)
    weights = step.tagged(size, "weights")
    if weights.dtype == np.int8:
        raise step.unknown("has weights in int8")
    bias = step.raw(outputs, "bias") if step.whole(5) else None
    right = step.whole(18)
    more = (step.whole(19, right), right)
    if min(more) < 0 or any(one >= stride for one, stride in zip(more, window.stride, strict=True)):
        raise step.misfit(f"adds {more} pixels to its output at a stride of {window.stride}")
    split = weights.reshape(groups, outputs // groups, inputs // groups, *window.kernel)
    graph = step.graph
    kernel = graph.floats(
        np.ascontiguousarray(split.swapaxes(1, 2)).reshape(
            inputs, outputs // groups, *window.kernel
        )
    )
    given = [step.blob.name, kernel] + ([] if bias is None else [graph.floats(bias)])
    result = graph.add(
        "ConvTranspose", *given, group=groups, strides=window.stride, dilations=window.dilation,
        pads=window.pads, output_padding=more,
    )  # fmt: skip
    sides = [
        None if side is None else (side - 1) * window.stride[axis] + window.extent[axis]
        - window.pads[axis] - window.pads[axis + 2] + more[axis]
        for axis, side in enumerate(step.blob.shape[1:])
    ]  # fmt: skip
    name = activated(step, result, step.whole(9), step.layer.numbers(10))
    return Blob(name, (outputs, *sides))


def inner_product(step: Step) -> Blob:
    """InnerProduct: of each row of a blob of two axes, else of all its values."""
    step.check_inputs(1)
    outputs, size = step.whole(0), step.whole(2)
    if outputs < 1 or size < 1 or size % outputs:
        raise step.misfit(f"has {size} weights for {outputs} outputs")
    weights = _stored(step, size, outputs, 1, scales_at=8)
    bias = step.raw(outputs, "bias") if step.whole(1) else None
    weights = _dequantised(step, weights, outputs, 1)
    return _product(step, weights.reshape(outputs, size // outputs), bias)


def _product(step: Step, weights: NDArray[Any], bias: NDArray[Any] | None) -> Blob:
    outputs, inputs = weights.shape
    graph, name = step.graph, step.blob.name
    shape: tuple[int | None, ...] = (outputs,)
    if step.blob.rank == 2 and step.blob.shape[1] in (None, inputs):
        shape = (step.blob.shape[0], outputs)
    elif step.blob.rank > 1:
        name = shaped(graph, name, [1, -1])
    elif step.blob.shape[0] not in (None, inputs):
        raise step.misfit(f"takes {inputs} values and gets {step.blob.shape[0]}")
    name = graph.add("MatMul", name, graph.floats(np.ascontiguousarray(weights.T)))
    if bias is not None:
        name = graph.add("Add", name, graph.floats(bias))
    return Blob(activated(step, name, step.whole(9), step.layer.numbers(10)), shape)


def matrix_product(step: Step) -> Blob:
    """MatMul of two blobs, the second transposed if parameter 0 says so."""
    step.check_inputs(2)
    first, second = step.inputs
    if first.rank not in (2, 3, 4) or second.rank not in (2, 3, 4):
        raise step.misfit(f"multiplies blobs of {first.rank} and {second.rank} axes")
    graph, right, columns = step.graph, second.name, second.shape[-1]
    if step.whole(0):
        order = list(range(second.rank + 1))
        order[-2:] = order[:-3:-1]
        right, columns = graph.add("Transpose", right, perm=order), second.shape[-2]
    larger = first if first.rank >= second.rank else second
    for blob in (first, second):
        if blob.rank < larger.rank and blob.rank != 2:
            raise step.misfit(f"multiplies blobs of {first.rank} and {second.rank} axes")
    outer = larger.shape[:-2]
    return Blob(graph.add("MatMul", first.name, right), (*outer, first.shape[-2], columns))


def gemm(step: Step) -> Blob:
    """Gemm: alpha · (A · B + beta · C) of blobs of two axes, or of constants."""
    step.layer.refuse(11, 12, 13, 18)
    graph, given = step.graph, iter(step.inputs)
    rows, columns, inner = step.whole(7), step.whole(8), step.whole(9)
    sides = [(inner, rows) if step.whole(2) else (rows, inner)]
    sides += [(columns, inner) if step.whole(3) else (inner, columns)]
    factors: list[Blob] = []
    for number, (key, shape) in enumerate(zip((4, 5), sides, strict=True)):
        if step.whole(key):
            if min(shape) < 1:
                raise step.misfit(f"has a constant of {shape}")
            values = step.tagged(shape[0] * shape[1], "weights").reshape(1, *shape)
            blob = Blob(graph.floats(values), shape)
        else:
            blob = _next_blob(step, given)
        if step.whole(2 + number):
            name = graph.add("Transpose", blob.name, perm=[0, 2, 1])
            blob = Blob(name, blob.shape[::-1])
        factors.append(blob)
    product = graph.add("MatMul", factors[0].name, factors[1].name)
    constant = _gemm_constant(step, rows, columns) if step.whole(6) else None
    if constant is None and not step.whole(6) and (rest := list(given)):
        if rest[0].rank != 2:
            raise step.misfit(f"adds a blob of {rest[0].rank} axes")
        constant = rest[0].name
    if constant is not None:
        product = graph.add("Add", product, affine(graph, constant, step.number(1, 1.0), 0.0))
    product = affine(graph, product, step.number(0, 1.0), 0.0)
    result = (factors[0].shape[0], factors[1].shape[1])
    if step.whole(14):
        return Blob(graph.add("Transpose", product, perm=[0, 2, 1]), result[::-1])
    return Blob(product, result)


def _next_blob(step: Step, given: Any) -> Blob:
    blob: Blob | None = next(given, None)
    if blob is None or blob.rank != 2:
        raise step.misfit("multiplies something else than blobs of two axes")
    return blob


def _gemm_constant(step: Step, rows: int, columns: int) -> str | None:
    """What is added, by how it is repeated."""
    kind = step.whole(10)
    shapes = {0: (1, 1), 1: (rows, 1), 2: (rows, 1), 3: (rows, columns), 4: (1, columns)}
    if kind == -1:
        return None
    if kind not in shapes or min(shapes[kind]) < 1:
        raise step.unknown(f"adds a constant of kind {kind}")
    down, across = shapes[kind]
    return step.graph.floats(step.tagged(down * across, "constant").reshape(1, down, across))
