"""ONNX files, written without the package onnx: a list of nodes, and the constants that they read.

Source of the numbers of fields: onnx.proto3 (github.com/onnx/onnx).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from enlarge.card import KEY, Card
from enlarge.errors import WeightsError
from enlarge.weights.wire import field, opening

_VERSION, _OPSET = 8, 18
_TYPES = {"float32": 1, "int64": 7, "float16": 10}
_FLOAT = 1
_WORTH = 64
"""Constants of fewer elements are not worth storing as float16."""
_MOST = (1 << 31) - 1
"""Bytes of a protobuf message."""
_MODEL_GRAPH, _MODEL_METADATA = 7, 14

Attribute = int | float | str | Sequence[int] | Sequence[float]


class Graph:
    """Nodes of ONNX's operators (version 18), added in the order in which they run."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[tuple[bytes, memoryview]] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0
        self.parameters = 0
        """The number of values in constants of floats, without single ones."""

    def add(self, kind: str, *inputs: str, **attributes: Attribute) -> str:
        """Add a node with one output, and return that value's name. "" stands for an input that is
        left out.
        """
        return self.split(kind, 1, *inputs, **attributes)[0]

    def split(self, kind: str, outputs: int, *inputs: str, **attributes: Attribute) -> list[str]:
        """The same for a node with several outputs."""
        names = [self._name() for _ in range(outputs)]
        node = b"".join(field(1, name) for name in inputs) + b"".join(field(2, n) for n in names)
        node += field(4, kind)
        node += b"".join(field(5, _attribute(name, value)) for name, value in attributes.items())
        self._nodes.append(field(1, node))
        return names

    def rename(self, value: str, name: str) -> None:
        """Give a value another name too."""
        node = field(1, value) + field(2, name) + field(4, "Identity")
        self._nodes.append(field(1, node))

    def floats(self, values: NDArray[np.floating] | Sequence[float] | float) -> str:
        """A constant of float32. An array of float16 is stored as that, and converted."""
        array = np.asarray(values)
        self.parameters += array.size if array.size > 1 else 0
        if array.dtype == np.float16 and array.size >= _WORTH:
            return self.add("Cast", self._constant(array), to=_FLOAT)
        return self._constant(array.astype(np.float32))

    def wholes(self, values: Sequence[int] | int) -> str:
        """A constant of int64."""
        return self._constant(np.asarray(values, np.int64))

    def write(self, path: Path, source: str, target: str, channels: int) -> None:
        """Write the graph as a model: `source`, float32 (1, channels, H, W), is its input, and
        `target`, (1, channels, H′, W′), its output. Raises `WeightsError` if it is too large.
        """
        tail = field(2, "enlarge") + field(11, _port(source, channels, ("height", "width")))
        tail += field(12, _port(target, channels, ("rows", "columns")))
        parts: list[bytes | memoryview] = list(self._nodes)
        for head, content in self._constants:
            parts += [opening(5, len(head) + content.nbytes), head, content]
        parts.append(tail)
        size = sum(memoryview(part).nbytes for part in parts)
        if size > _MOST:
            raise WeightsError(f"needs {size >> 20} MB as ONNX, which holds at most 2,047")
        head = field(1, _VERSION) + field(2, "enlarge") + field(8, field(1, "") + field(2, _OPSET))
        with path.open("wb") as file:
            file.writelines([head, opening(_MODEL_GRAPH, size), *parts])

    def _constant(self, array: NDArray[np.generic]) -> str:
        array = np.ascontiguousarray(array)
        raw = array.tobytes() if array.size < _WORTH else b""
        key = (array.dtype.name, array.shape, raw)
        if raw and key in self._known:
            return self._known[key]
        name = self._name()
        head = b"".join(field(1, side) for side in array.shape)
        head += field(2, _TYPES[array.dtype.name]) + field(8, name) + opening(9, array.nbytes)
        content = memoryview(raw or array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        self._constants.append((head, content))
        self._known[key] = name
        return name

    def _name(self) -> str:
        self._count += 1
        return f"v{self._count}"


def append_card(path: Path, card: Card) -> None:
    """Add a card to an ONNX file without one: fields of a message may be appended to it."""
    with path.open("ab") as file:
        file.write(field(_MODEL_METADATA, field(1, KEY) + field(2, card.to_json())))


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, float):
        return field(1, name) + field(2, value) + field(20, 1)
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, 2)
    if isinstance(value, str):
        return field(1, name) + field(4, value) + field(20, 3)
    if all(isinstance(one, int) for one in value):
        return field(1, name) + b"".join(field(8, one) for one in value) + field(20, 7)
    return field(1, name) + b"".join(field(7, float(one)) for one in value) + field(20, 6)


def _port(name: str, channels: int, sides: tuple[str, str]) -> bytes:
    """A ValueInfoProto."""
    dims = [field(1, field(1, 1)), field(1, field(1, channels))]
    dims += [field(1, field(2, side)) for side in sides]
    tensor = field(1, _FLOAT) + field(2, b"".join(dims))
    return field(1, name) + field(2, field(1, tensor))
