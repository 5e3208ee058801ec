"""What the layers share: their blobs, as values of a graph, and one step from a layer to its nodes.

A blob of ncnn has one to four axes and no batch: (w), (h, w), (c, h, w) or (c, d, h, w). In the
graph it has a first axis of 1 before these, so axis n of ncnn is axis n + 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import WeightsError
from enlarge.weights.ncnn.param import NcnnLayer, UnknownLayerError
from enlarge.weights.ncnn.weights import WeightFile
from enlarge.weights.onnx_writing import Graph

Shape = tuple[int | None, ...]
END = (1 << 31) - 1
"""As the end of a slice, that of the axis."""
_LARGEST = 1 << 28
"""Elements of a blob, as far as its sides are known."""


@dataclass(frozen=True)
class Blob:
    """A value of the graph, and its shape without the first axis; None where that is free.

    Raises `WeightsError` for a shape that no picture needs.
    """

    name: str
    shape: Shape

    def __post_init__(self) -> None:
        size = math.prod(side for side in self.shape if side is not None)
        if not 0 < size <= _LARGEST or any(side is not None and side < 1 for side in self.shape):
            raise WeightsError(f"makes a blob of {list(self.shape)}, which is no sensible size")

    @property
    def rank(self) -> int:
        """The number of axes in ncnn."""
        return len(self.shape)


class Step(NamedTuple):
    """A layer, the blobs that it reads, the graph that it becomes a part of, and its weights."""

    layer: NcnnLayer
    inputs: list[Blob]
    graph: Graph
    weights: WeightFile

    @property
    def blob(self) -> Blob:
        """The first input."""
        return self.inputs[0]

    def check_inputs(self, least: int, most: int = 0) -> None:
        """Raise `WeightsError` if the layer does not read that many blobs."""
        if not least <= len(self.inputs) <= (most or least):
            raise self.misfit(f"reads {len(self.inputs)} blobs, expected {least}")

    def check_rank(self, *ranks: int) -> None:
        """Raise `UnknownLayerError` if the first input has not one of these numbers of axes."""
        if self.blob.rank not in ranks:
            what = " or ".join(map(str, ranks))
            raise self.unknown(f"reads a blob of {self.blob.rank} axes, not of {what}")

    def misfit(self, what: str) -> WeightsError:
        """The error that the layer `what` (a clause)."""
        return WeightsError(f"{self.layer} {what}")

    def unknown(self, what: str) -> UnknownLayerError:
        """The error that enlarge does not know that the layer `what` (a clause)."""
        return UnknownLayerError(f"{self.layer} {what}, which enlarge does not know")

    def whole(self, key: int, default: int = 0) -> int:
        """See `NcnnLayer.whole`."""
        return self.layer.whole(key, default)

    def number(self, key: int, default: float = 0.0) -> float:
        """See `NcnnLayer.number`."""
        return self.layer.number(key, default)

    def tagged(self, count: int, name: str) -> NDArray[Any]:
        """Weights that say how they are stored; see `WeightFile.tagged`."""
        return self.weights.tagged(count, f"the {name} of {self.layer.name[:80]}")

    def raw(self, count: int, name: str) -> NDArray[np.float32]:
        """Weights of float32; see `WeightFile.raw`."""
        return self.weights.raw(count, f"the {name} of {self.layer.name[:80]}")

    def axis(self, value: int, rank: int) -> int:
        """An axis of ncnn, counted from the front. Raises `WeightsError` if there is none."""
        axis = value + rank if value < 0 else value
        if not 0 <= axis < rank:
            raise self.misfit(f"has the axis {value}, but its blob has {rank}")
        return axis

    def per_channel(self, values: NDArray[Any]) -> str:
        """A constant with one value for each entry of the first axis of the blob."""
        channels = self.blob.shape[0]
        if channels not in (None, values.size) and values.size != 1:
            raise self.misfit(f"has {values.size} values for {channels} channels")
        return self.graph.floats(values.reshape(1, values.size, *[1] * (self.blob.rank - 1)))

    def same(self, name: str) -> Blob:
        """A value with the shape of the blob."""
        return Blob(name, self.blob.shape)

    def elementwise(self, kind: str, **attributes: float) -> Blob:
        """The blob after an operator that keeps its shape."""
        return self.same(self.graph.add(kind, self.blob.name, **attributes))


def affine(graph: Graph, name: str, gain: float, offset: float) -> str:
    """Multiply and add: gain · x + offset."""
    if gain != 1.0:
        name = graph.add("Mul", name, graph.floats(gain))
    return graph.add("Add", name, graph.floats(offset)) if offset else name


def shaped(graph: Graph, name: str, shape: list[int]) -> str:
    """The value with another shape, in which 0 keeps a side and -1 is what remains."""
    return graph.add("Reshape", name, graph.wholes(shape))


def sides_of(graph: Graph, name: str, first: int, last: int) -> str:
    """The sizes of the axes from `first` up to `last` of the graph, computed when it runs."""
    shape = graph.add("Shape", name)
    return graph.add("Slice", shape, graph.wholes([first]), graph.wholes([last]))
