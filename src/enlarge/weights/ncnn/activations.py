"""Layers that change each value on its own, and those that combine two blobs value by value."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from enlarge.weights.ncnn.nodes import Blob, Shape, Step, affine
from enlarge.weights.onnx_writing import Graph

_UNARY = (
    "Abs", "Neg", "Floor", "Ceil", "Square", "Sqrt", "Rsqrt", "Exp", "Log", "Sin", "Cos", "Tan",
    "Asin", "Acos", "Atan", "Reciprocal", "Tanh", "Log10", "Round", "Trunc",
)  # fmt: skip
"""By the number of the operation."""
_BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow")
_REVERSED = {7: "Sub", 8: "Div", 9: "Pow"}
"""The same with their operands exchanged."""


def activated(step: Step, name: str, kind: int, values: list[float]) -> str:
    """The activation that is part of a convolution, by its number."""
    graph = step.graph
    given = {1: 0, 2: 1, 3: 2, 4: 0, 5: 0, 6: 2}
    if kind == 0:
        return name
    if kind not in given or len(values) < given[kind]:
        raise step.unknown(f"has the activation {kind} with {values}")
    if kind == 1:
        return graph.add("Relu", name)
    if kind == 2:
        return graph.add("LeakyRelu", name, alpha=values[0])
    if kind == 3:
        return graph.add("Clip", name, graph.floats(values[0]), graph.floats(values[1]))
    if kind == 4:
        return graph.add("Sigmoid", name)
    if kind == 5:
        return graph.add("Mish", name)
    return _hard_swish(graph, name, values[0], values[1])


def _hard_swish(graph: Graph, name: str, alpha: float, beta: float) -> str:
    return graph.add("Mul", name, graph.add("HardSigmoid", name, alpha=alpha, beta=beta))


def relu(step: Step) -> Blob:
    """ReLU, leaky with a slope."""
    slope = step.number(0)
    return step.elementwise("LeakyRelu", alpha=slope) if slope else step.elementwise("Relu")


def prelu(step: Step) -> Blob:
    """PReLU: one slope, or one for each channel."""
    slopes = step.raw(step.whole(0), "slopes")
    if slopes.size == 1:
        return step.elementwise("LeakyRelu", alpha=float(slopes[0]))
    return step.same(step.graph.add("PRelu", step.blob.name, step.per_channel(slopes)))


def clip(step: Step) -> Blob:
    """Clip."""
    graph = step.graph
    low, high = step.number(0, -3.4028234e38), step.number(1, 3.4028234e38)
    return step.same(graph.add("Clip", step.blob.name, graph.floats(low), graph.floats(high)))


def swish(step: Step) -> Blob:
    """Swish."""
    name = step.blob.name
    return step.same(step.graph.add("Mul", name, step.graph.add("Sigmoid", name)))


def gelu(step: Step) -> Blob:
    """GELU, by the error function or by tanh."""
    graph, x = step.graph, step.blob.name
    if step.whole(0):
        cube = graph.add("Mul", graph.add("Mul", x, x), x)
        inner = graph.add("Add", x, affine(graph, cube, 0.044715, 0.0))
        curve = graph.add("Tanh", affine(graph, inner, math.sqrt(2.0 / math.pi), 0.0))
    else:
        curve = graph.add("Erf", affine(graph, x, math.sqrt(0.5), 0.0))
    return step.same(graph.add("Mul", affine(graph, x, 0.5, 0.0), affine(graph, curve, 1.0, 1.0)))


def hard_sigmoid(step: Step) -> Blob:
    """HardSigmoid."""
    return step.elementwise("HardSigmoid", alpha=step.number(0, 0.2), beta=step.number(1, 0.5))


def hard_swish(step: Step) -> Blob:
    """HardSwish."""
    alpha, beta = step.number(0, 0.2), step.number(1, 0.5)
    return step.same(_hard_swish(step.graph, step.blob.name, alpha, beta))


def elu(step: Step) -> Blob:
    """ELU."""
    return step.elementwise("Elu", alpha=step.number(0, 0.1))


def selu(step: Step) -> Blob:
    """SELU."""
    alpha, gamma = step.number(0, 1.67326324), step.number(1, 1.050700987)
    return step.elementwise("Selu", alpha=alpha, gamma=gamma)


def threshold(step: Step) -> Blob:
    """Threshold: 1 above it, else 0."""
    above = step.graph.add("Greater", step.blob.name, step.graph.floats(step.number(0)))
    return step.same(step.graph.add("Cast", above, to=1))


def dropout(step: Step) -> Blob:
    """Dropout, which scales at most."""
    return step.same(affine(step.graph, step.blob.name, step.number(0, 1.0), 0.0))


def power(step: Step) -> Blob:
    """Power: (shift + scale · x) ^ power."""
    graph = step.graph
    inner = affine(graph, step.blob.name, step.number(1, 1.0), step.number(2))
    exponent = step.number(0, 1.0)
    return step.same(inner if exponent == 1.0 else _raised(graph, inner, exponent))


def _raised(graph: Graph, name: str, exponent: float) -> str:
    return graph.add("Pow", name, graph.floats(exponent))


def exp(step: Step) -> Blob:
    """Exp: base ^ (shift + scale · x), of e where the base is -1."""
    graph, base = step.graph, step.number(0, -1.0)
    inner = affine(graph, step.blob.name, step.number(1, 1.0), step.number(2))
    if base == -1.0:
        return step.same(graph.add("Exp", inner))
    return step.same(graph.add("Pow", graph.floats(base), inner))


def log(step: Step) -> Blob:
    """Log of (shift + scale · x), natural where the base is -1."""
    graph, base = step.graph, step.number(0, -1.0)
    inner = affine(graph, step.blob.name, step.number(1, 1.0), step.number(2))
    if base != -1.0 and (base <= 0.0 or base == 1.0):
        raise step.misfit(f"takes logarithms of base {base:g}")
    gain = 1.0 if base == -1.0 else 1.0 / math.log(base)
    return step.same(affine(graph, graph.add("Log", inner), gain, 0.0))


def unary(step: Step) -> Blob:
    """UnaryOp, by the number of its operation."""
    number, graph, x = step.whole(0), step.graph, step.blob.name
    if not 0 <= number < len(_UNARY):
        raise step.unknown(f"has the operation {number}")
    kind = _UNARY[number]
    if kind == "Square":
        return step.same(graph.add("Mul", x, x))
    if kind == "Rsqrt":
        return step.same(graph.add("Reciprocal", graph.add("Sqrt", x)))
    if kind == "Log10":
        return step.same(affine(graph, graph.add("Log", x), 1.0 / math.log(10.0), 0.0))
    if kind == "Trunc":
        whole = graph.add("Floor", graph.add("Abs", x))
        return step.same(graph.add("Mul", graph.add("Sign", x), whole))
    return step.elementwise(kind)


def binary(step: Step) -> Blob:
    """BinaryOp, of two blobs, or of a blob and a number."""
    number, graph = step.whole(0), step.graph
    if not 0 <= number < len(_BINARY) and number not in _REVERSED:
        raise step.unknown(f"has the operation {number}")
    kind = _REVERSED[number] if number in _REVERSED else _BINARY[number]
    if step.whole(1):
        step.check_inputs(1)
        first, second = step.blob.name, graph.floats(step.number(2))
        shape = step.blob.shape
    else:
        step.check_inputs(2)
        first, second, shape = broadcast(step, step.inputs[0], step.inputs[1])
    pair = (second, first) if number in _REVERSED else (first, second)
    return Blob(graph.add(kind, *pair), shape)


def broadcast(step: Step, first: Blob, second: Blob) -> tuple[str, str, Shape]:
    """Two blobs so that ONNX combines them as ncnn does, and the shape of the result."""
    rank = max(first.rank, second.rank)
    a, b = _extended(step, first, second, rank), _extended(step, second, first, rank)
    shape: list[int | None] = []
    for one, other in zip(a.shape, b.shape, strict=True):
        if one is not None and other is not None and one != other and 1 not in (one, other):
            raise step.misfit(f"combines blobs of {list(first.shape)} and {list(second.shape)}")
        known = [side for side in (one, other) if side is not None]
        shape.append(max(known) if len(known) == 2 or known[:1] > [1] else None)
    return a.name, b.name, tuple(shape)


def _extended(step: Step, blob: Blob, other: Blob, rank: int) -> Blob:
    """The blob with as many axes as the other: new ones at the end; but those of a blob of one
    axis, if that has not the size of the other's first, at the front.
    """
    more = rank - blob.rank
    if not more:
        return blob
    at_front = blob.rank == 1 and blob.shape[0] != other.shape[0]
    axes = list(range(1, 1 + more)) if at_front else list(range(1 + blob.rank, 1 + rank))
    name = step.graph.add("Unsqueeze", blob.name, step.graph.wholes(axes))
    ones = (1,) * more
    return Blob(name, ones + blob.shape if at_front else blob.shape + ones)


def eltwise(step: Step) -> Blob:
    """Eltwise: the product, the weighted sum or the maximum of blobs of one shape."""
    step.check_inputs(2, 64)
    graph, number = step.graph, step.whole(0)
    if number not in (0, 1, 2):
        raise step.unknown(f"has the operation {number}")
    names = [blob.name for blob in step.inputs]
    factors = step.layer.numbers(1)
    if number == 1 and factors:
        if len(factors) != len(names):
            raise step.misfit(f"has {len(factors)} factors for {len(names)} blobs")
        names = [
            affine(graph, name, factor, 0.0) for name, factor in zip(names, factors, strict=True)
        ]
    total, kind = names[0], ("Mul", "Add", "Max")[number]
    for name in names[1:]:
        total = graph.add(kind, total, name)
    return step.same(total)


def softplus(step: Step) -> Blob:
    """Softplus."""
    return step.elementwise("Softplus")


def _named(kind: str, step: Step) -> Blob:
    return step.elementwise(kind)


def simple(kind: str) -> Callable[[Step], Blob]:
    """A layer that is one of ONNX's operators without parameters."""
    return partial(_named, kind)
