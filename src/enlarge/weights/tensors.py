"""The tensors in a model's file, looked at without torch or onnx, before any work.

    check_tensors(path, kind)   raises a `WeightsError` that names the first tensor that is not
                                finite, and ONNX's file of weights that is missing or too short

A weight that is NaN or infinite makes every picture black or white. Infinity is only looked for
where it can be no mask.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import WeightsError
from enlarge.weights.keys import foreign_keys
from enlarge.weights.wire import parse

_EXPONENTS = {
    "F64": ("<u8", 0x7FF0_0000_0000_0000), "F32": ("<u4", 0x7F80_0000), "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80), "F8_E5M2": ("u1", 0x7C),
}  # fmt: skip
"""A type's words, and the bits of the exponent: all of them set means NaN or infinity."""
_ONNX_TYPES = {1: "F32", 10: "F16", 11: "F64", 16: "BF16", 19: "F8_E5M2"}
_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E5M2": 1}
_WEIGHT_READERS = {
    "Conv", "ConvTranspose", "Gemm", "MatMul", "PRelu", "BatchNormalization", "LayerNormalization",
    "InstanceNormalization", "GroupNormalization", "Cast",
}  # fmt: skip
"""Operators that read weights, in which infinity makes no sense. In others it may be a mask."""


class NonFinite(NamedTuple):
    """A tensor with values that are not finite."""

    name: str
    nan: int
    infinite: int
    size: int

    def message(self) -> str:
        """What it holds, and what to do."""
        kinds = [f"{self.nan} NaN"] * (self.nan > 0)
        kinds += [f"{self.infinite} infinite"] * (self.infinite > 0)
        return (
            f"its tensor {self.name} holds {' and '.join(kinds)} of {self.size} values, so every "
            "picture would be spoiled; download it again, or take an earlier checkpoint of the run"
        )


Bytes = NDArray[np.uint8]


def check_tensors(path: Path, kind: str) -> None:
    """Raise `WeightsError` if the tensors in a safetensors or ONNX file cannot be used: not finite,
    not of a network that enlarges pictures, or, of ONNX, in a file beside it that is missing, too
    short or in another folder. Other kinds are not looked at.
    """
    checks = {"safetensors": _check_safetensors, "onnx": _check_onnx}
    if kind not in checks:
        return
    try:
        checks[kind](path, np.memmap(path, np.uint8, "r"))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be opened ({error.strerror or error})") from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise WeightsError(f"{path}: is damaged ({error}); download it again") from error


def non_finite(name: str, kind: str, content: Bytes, *, nan_only: bool = False) -> NonFinite | None:
    """The values of a tensor that are not finite, from its bytes (little-endian); None if there are
    none, or it holds no floats.
    """
    if kind == "F8_E4M3":
        nan = int(np.count_nonzero(content & 0x7F == 0x7F))
        return NonFinite(name, nan, 0, content.size) if nan else None
    if kind not in _EXPONENTS:
        return None
    word, exponent = _EXPONENTS[kind]
    words = content[: content.size // _SIZES[kind] * _SIZES[kind]].view(word)
    full = (words & exponent) == exponent
    if not full.any():
        return None
    mantissa = exponent & -exponent  # the lowest bit of the exponent
    nan = int(np.count_nonzero(words[full] & (mantissa - 1)))
    infinite = 0 if nan_only else int(np.count_nonzero(full)) - nan
    return NonFinite(name, nan, infinite, words.size) if nan or infinite else None


def _check_safetensors(path: Path, content: Bytes) -> None:
    length = int.from_bytes(content[:8].tobytes(), "little")
    header = json.loads(content[8 : 8 + length].tobytes())
    header.pop("__metadata__", None)
    if what := foreign_keys(header):
        raise WeightsError(f"{path}: is {what}")
    if header and all(entry["dtype"][0] not in "FB" for entry in header.values()):
        raise WeightsError(
            f"{path}: holds integers only, like a quantised checkpoint; give the original, in f32 "
            "or f16"
        )
    for name, entry in header.items():
        begin, end = (8 + length + int(offset) for offset in entry["data_offsets"])
        found = non_finite(name, entry["dtype"], content[begin:end], nan_only="mask" in name)
        if found:
            raise WeightsError(f"{path}: {found.message()}")


@dataclass
class _Graph:
    """What an ONNX graph's nodes and initializers tell."""

    tensors: list[Any]
    readers: dict[str, set[str]]


def _check_onnx(path: Path, content: Bytes) -> None:
    graph = _Graph([], {})
    for number, value in parse(content.data):
        if number == 7:
            _collect_graph(_message(value), graph)
    for name, message in graph.tensors:
        kind, values = _tensor(path, name, message)
        reads_weights = bool(graph.readers.get(name, set()) & _WEIGHT_READERS)
        for part in values:
            if found := non_finite(name, kind, part, nan_only=not reads_weights):
                raise WeightsError(f"{path}: {found.message()}")


def _collect_graph(message: memoryview, graph: _Graph) -> None:
    """Add a GraphProto's initializers, its Constant nodes' values, and who reads what."""
    for number, value in parse(message):
        if number == 5:
            inner = _message(value)
            names = [text for field, text in parse(inner) if field == 8]
            graph.tensors.append((_text(names[0]) if names else "", inner))
        elif number == 1:
            _collect_node(_message(value), graph)


def _collect_node(message: memoryview, graph: _Graph) -> None:
    inputs, outputs, kind = [], [], ""
    tensors = []
    for number, value in parse(message):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number == 4:
            kind = _text(value)
        elif number == 5:
            tensors += [_message(inner) for field, inner in parse(_message(value)) if field == 5]
    for name in inputs:
        graph.readers.setdefault(name, set()).add(kind)
    if kind == "Constant" and outputs:
        graph.tensors += [(outputs[0], tensor) for tensor in tensors]


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise TypeError("a number stands where a message belongs")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode("utf-8", "replace")


def _tensor(path: Path, name: str, message: memoryview) -> tuple[str, list[Bytes]]:
    """A TensorProto's type and the bytes of its values, from the message or the file it names."""
    kind, place = "", {}
    parts: list[Bytes] = []
    for number, value in parse(message):
        if number == 2 and isinstance(value, int):
            kind = _ONNX_TYPES.get(value, "")
        elif number in (4, 9, 10) and not isinstance(value, int):
            parts.append(np.frombuffer(value, np.uint8))
        elif number == 13:
            entry = {field: _text(text) for field, text in parse(_message(value))}
            place[entry.get(1, "")] = entry.get(2, "")
    if "location" in place:
        parts = [_external(path, name, place)]
    return kind, parts


def _external(path: Path, name: str, place: dict[str, str]) -> Bytes:
    """The bytes of a tensor that is kept in a file beside the ONNX file."""
    location = place["location"]
    inside = PurePosixPath(location.replace("\\", "/"))
    if inside.is_absolute() or PureWindowsPath(location).drive or ".." in inside.parts:
        raise WeightsError(
            f"{path}: refused, since it keeps weights in {location!r}, outside its own folder; get "
            "the model from where it was published, or save it again with onnx.save"
        )
    file = path.parent / location
    if not file.is_file():
        raise WeightsError(
            f"{path}: its weights are in the file {location}, which is missing; put it into "
            f"{path.absolute().parent}"
        )
    size, begin = file.stat().st_size, int(place.get("offset") or 0)
    length = int(place.get("length") or max(size - begin, 0))
    if begin < 0 or length < 0 or begin + length > size:
        raise WeightsError(
            f"{path}: its file of weights, {location}, is cut off: {name} ends at byte "
            f"{begin + length}, the file at {size}; download it again"
        )
    if not length:
        return np.empty(0, np.uint8)
    return np.memmap(file, np.uint8, "r", begin, (length,))
