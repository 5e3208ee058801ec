"""Layers that scale by constants or by statistics of the blob, and those that reduce it."""

from __future__ import annotations

import math

import numpy as np

from enlarge.weights.ncnn.nodes import Blob, Step, affine, shaped, sides_of

_REDUCTIONS = (
    "ReduceSum", "ReduceL1", "ReduceSumSquare", "ReduceMean", "ReduceMax", "ReduceMin",
    "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
)  # fmt: skip


def batch_norm(step: Step) -> Blob:
    """BatchNorm, with stored statistics."""
    count = step.whole(0)
    slope, mean, variance, bias = (
        step.raw(count, name).astype(np.float64)
        for name in ("slopes", "means", "variances", "bias")
    )
    spread = variance + step.number(1)
    if not (spread > 0).all():
        raise step.misfit("has variances of 0 or less")
    gain = slope / np.sqrt(spread)
    graph = step.graph
    scaled = graph.add("Mul", step.blob.name, step.per_channel(gain))
    return step.same(graph.add("Add", scaled, step.per_channel(bias - mean * gain)))


def scale(step: Step) -> Blob:
    """Scale: by constants for each channel, or by a second blob."""
    count, graph = step.whole(0), step.graph
    if count == -233:
        step.check_inputs(2)
        factors = step.inputs[1]
        name = factors.name
        if factors.rank != 1:
            raise step.misfit(f"scales by a blob of {factors.rank} axes")
        if step.blob.rank > 1:
            name = graph.add("Unsqueeze", name, graph.wholes(range(2, step.blob.rank + 1)))
    else:
        name = step.per_channel(step.raw(count, "factors"))
    result = graph.add("Mul", step.blob.name, name)
    if step.whole(1):
        size = count if count != -233 else step.blob.shape[0]
        if size is None:
            raise step.misfit("adds a bias of unknown size")
        result = graph.add("Add", result, step.per_channel(step.raw(size, "bias")))
    return step.same(result)


def bias(step: Step) -> Blob:
    """Bias: one for each channel."""
    values = step.per_channel(step.raw(step.whole(0), "bias"))
    return step.same(step.graph.add("Add", step.blob.name, values))


def layer_norm(step: Step) -> Blob:
    """LayerNorm: of each row or, where its size is that, of each channel."""
    size, graph = step.whole(0), step.graph
    gamma, beta = np.ones(size, np.float32), np.zeros(size, np.float32)
    if step.whole(2, 1):
        gamma, beta = step.raw(size, "factors"), step.raw(size, "bias")
    last = step.blob.shape[-1]
    axes = 2 if step.blob.rank == 3 and last is not None and last != size else 1
    sides = step.blob.shape[-axes:]
    if None not in sides and math.prod(side or 0 for side in sides) != size:
        raise step.misfit(f"normalizes {size} values of {list(sides)}")
    shape = [side or size for side in sides]
    constants = [graph.floats(np.reshape(values, shape)) for values in (gamma, beta)]
    name = graph.add(
        "LayerNormalization", step.blob.name, *constants, axis=-axes, epsilon=step.number(1, 0.001)
    )
    return step.same(name)


def group_norm(step: Step) -> Blob:
    """GroupNorm: of groups of channels."""
    groups, channels, graph = step.whole(0, 1), step.whole(1), step.graph
    if groups < 1 or channels < 1 or channels % groups:
        raise step.misfit(f"normalizes {channels} channels in {groups} groups")
    ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    parts = shaped(graph, step.blob.name, [1, groups, -1])
    normal = graph.add(
        "InstanceNormalization", parts, graph.floats(ones), graph.floats(zeros),
        epsilon=step.number(2, 0.001),
    )  # fmt: skip
    whole = sides_of(graph, step.blob.name, 0, step.blob.rank + 1)
    name = graph.add("Reshape", normal, whole)
    if step.whole(3, 1):
        factors, added = step.raw(channels, "factors"), step.raw(channels, "bias")
        name = graph.add("Mul", name, step.per_channel(factors))
        name = graph.add("Add", name, step.per_channel(added))
    return step.same(name)


def instance_norm(step: Step) -> Blob:
    """InstanceNorm: of each channel."""
    step.check_rank(3)
    channels = step.whole(0) or step.blob.shape[0] or 0
    if channels < 1:
        raise step.misfit("normalizes no channels")
    graph = step.graph
    factors, added = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    if step.whole(2, 1):
        factors, added = step.raw(channels, "factors"), step.raw(channels, "bias")
    name = graph.add(
        "InstanceNormalization", step.blob.name, graph.floats(factors), graph.floats(added),
        epsilon=step.number(1, 0.001),
    )  # fmt: skip
    return step.same(name)


def normalize(step: Step) -> Blob:
    """Normalize: by the length of each channel, each position or the whole, then scaled."""
    graph, shared, size = step.graph, step.whole(1), step.whole(3)
    across_space, across_channels = step.whole(0), step.whole(4, 1)
    step.check_rank(3)
    axes = [1] * bool(across_channels) + [2, 3] * bool(across_space)
    if not axes:
        raise step.misfit("normalizes across nothing")
    name, eps, mode = step.blob.name, step.number(2, 0.0001), step.whole(9)
    square = graph.add("ReduceSumSquare", name, graph.wholes(axes))
    if mode == 0:
        length = graph.add("Sqrt", affine(graph, square, 1.0, eps))
    elif mode == 1:
        length = graph.add("Max", graph.add("Sqrt", square), graph.floats(eps))
    elif mode == 2:
        length = graph.add("Sqrt", graph.add("Max", square, graph.floats(eps)))
    else:
        raise step.unknown(f"normalizes in the way {mode}")
    factors = step.raw(size, "factors")
    given = graph.floats(float(factors[0])) if shared and size else step.per_channel(factors)
    return step.same(graph.add("Mul", graph.add("Div", name, length), given))


def mvn(step: Step) -> Blob:
    """MVN: without the mean and, if asked for, by the deviation."""
    step.check_rank(3)
    graph = step.graph
    axes = graph.wholes([1, 2, 3] if step.whole(1) else [2, 3])
    centred = graph.add("Sub", step.blob.name, graph.add("ReduceMean", step.blob.name, axes))
    if step.whole(0):
        variance = graph.add("ReduceMean", graph.add("Mul", centred, centred), axes)
        deviation = affine(graph, graph.add("Sqrt", variance), 1.0, step.number(2, 0.0001))
        centred = graph.add("Div", centred, deviation)
    return step.same(centred)


def softmax(step: Step) -> Blob:
    """Softmax along an axis."""
    axis = step.axis(step.whole(0), step.blob.rank)
    if axis and not step.whole(1):
        raise step.misfit("is of an old form, whose axis is not certain; convert the model again")
    return step.same(step.graph.add("Softmax", step.blob.name, axis=axis + 1))


def glu(step: Step) -> Blob:
    """GLU: one half of an axis, times the sigmoid of the other."""
    axis = step.axis(step.whole(0), step.blob.rank)
    side, graph = step.blob.shape[axis], step.graph
    if side is not None and side % 2:
        raise step.misfit(f"halves an axis of {side}")
    halves = graph.split("Split", 2, step.blob.name, axis=axis + 1, num_outputs=2)
    name = graph.add("Mul", halves[0], graph.add("Sigmoid", halves[1]))
    return Blob(name, (*step.blob.shape[:axis], side and side // 2, *step.blob.shape[axis + 1 :]))


def reduction(step: Step) -> Blob:
    """Reduction of all axes, or of those named."""
    rank, graph, kind = step.blob.rank, step.graph, step.whole(0)
    if not 0 <= kind < len(_REDUCTIONS):
        raise step.unknown(f"reduces in the way {kind}")
    axes = [step.axis(axis, rank) for axis in step.layer.wholes(3)]
    if step.whole(1, 1) or not axes:
        axes = list(range(rank))
    elif not step.whole(5):
        raise step.misfit("is of an old form, whose axes are not certain; convert the model again")
    keep = bool(step.whole(4))
    places = graph.wholes([axis + 1 for axis in axes])
    name = graph.add(_REDUCTIONS[kind], step.blob.name, places, keepdims=int(keep))
    name = affine(graph, name, step.number(2, 1.0), 0.0)
    shape = [
        1 if axis in axes else side
        for axis, side in enumerate(step.blob.shape)
        if keep or axis not in axes
    ]
    if not shape:
        name, shape = shaped(graph, name, [1, 1]), [1]
    return Blob(name, tuple(shape))


def pooling(step: Step) -> Blob:
    """Pooling: the maximum or the mean of windows, or of each channel."""
    step.check_rank(3)
    kind, graph = step.whole(0), step.graph
    if kind not in (0, 1):
        raise step.unknown(f"pools in the way {kind}")
    channels, name = step.blob.shape[0], step.blob.name
    reduce = "ReduceMean" if kind else "ReduceMax"
    if step.whole(4):
        return Blob(graph.add(reduce, name, graph.wholes([2, 3]), keepdims=0), (channels,))
    if step.whole(7):
        across = step.whole(8)
        if (step.whole(18, across), across) != (1, 1):
            raise step.unknown("pools to a fixed size")
        return Blob(graph.add(reduce, name, graph.wholes([2, 3])), (channels, 1, 1))
    return _windows(step, "AveragePool" if kind else "MaxPool")


def _windows(step: Step, kind: str) -> Blob:
    across, step_across, left = step.whole(1), step.whole(2, 1), step.whole(3)
    kernel = (step.whole(11, across), across)
    strides = (step.whole(12, step_across), step_across)
    top, right = step.whole(13, left), step.whole(14, left)
    pads, mode = (top, left, step.whole(15, top), right), step.whole(5)
    if not 1 <= min(*kernel, *strides) <= max(*kernel, *strides) <= 256 or not (
        0 <= min(pads) <= max(pads) < max(kernel)
    ):
        raise step.misfit(f"pools windows of {kernel} by {strides}, with padding {pads}")
    given = [step.blob.name]
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    if mode not in (0, 1) or (mode == 0 and strides != (1, 1) and kind == "AveragePool"):
        raise step.unknown(f"pools in the padding mode {mode}")
    if kind == "AveragePool":
        name = step.graph.add(kind, *given, **attributes, count_include_pad=step.whole(6))
    else:
        name = step.graph.add(kind, *given, **attributes, ceil_mode=int(mode == 0))
    sides = [_pooled(step, axis, kernel[axis], strides[axis], pads) for axis in (0, 1)]
    return Blob(name, (step.blob.shape[0], *sides))


def _pooled(
    step: Step, axis: int, kernel: int, stride: int, pads: tuple[int, int, int, int]
) -> int | None:
    """The side of the result, where it is known."""
    side = step.blob.shape[1 + axis]
    if side is None:
        return None
    rest = side + pads[axis] + pads[axis + 2] - kernel
    return (-(-rest // stride) if step.whole(5) == 0 else rest // stride) + 1
