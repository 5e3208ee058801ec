"""Network interpolation: mixtures of a model and one that was fine-tuned from it.

Every weight lies between those of the two models, and so do the results (Wang et al., "ESRGAN",
ECCV Workshops 2018). The files are read and written as bytes, so neither torch nor onnx is needed,
and every engine opens a mixture like any other model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from enlarge.card import KEY, Card
from enlarge.errors import OptionError, WeightsError
from enlarge.model_file import Weights
from enlarge.version import __version__
from enlarge.weights.model_cache import cached_model

PARTNERS = {"photo": "photo-sharp"}
"""The models that `strength` mixes: 0 is the first, 1 the second, which was fine-tuned from it."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH, _METADATA, _INITIALIZER = 7, 14, 5  # of ModelProto, ModelProto and GraphProto
_DATA_TYPE, _RAW_DATA = 2, 9  # of TensorProto
_ONNX_TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2")}
_SAFE_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}
_ALIGNED = 8
"""The length of a safetensors header is a multiple of this."""


class TensorBytes(NamedTuple):
    """Where the values of one tensor are in a file, and their type."""

    start: int
    stop: int
    kind: np.dtype[Any]


def checked_strength(strength: float) -> float:
    """The strength as a float from 0 to 1. Raises `OptionError` for anything else."""
    try:
        value = float(strength)
    except (TypeError, ValueError):
        value = float("nan")
    if not 0.0 <= value <= 1.0:
        pairs = " and ".join(f"0 ({plain}) and 1 ({sharp})" for plain, sharp in PARTNERS.items())
        raise OptionError(f"strength must be a number between {pairs}, got {strength!r}")
    return value


def mixed_weights(plain: Weights, sharp: Weights, strength: float) -> Weights:
    """The model with weights plain + strength · (sharp − plain); `strength` is from 0 to 1, and
    returns the one or the other model itself at the ends.

    Weights are mixed in float32 and stored in the files' own type. A mixture is cached like
    converted models, as `NAME@STRENGTH.onnx` and `.safetensors`. Raises `OptionError` for an
    invalid strength, and `WeightsError` if the two models have different networks.
    """
    strength = checked_strength(strength)
    if strength in (0.0, 1.0):
        return sharp if strength else plain
    name = f"{sharp.path.stem}@{strength!r}"
    suffixes = (".onnx", ".safetensors")
    try:
        pairs = [
            (plain.path.with_suffix(end).read_bytes(), sharp.path.with_suffix(end).read_bytes())
            for end in suffixes
        ]
    except OSError as error:
        raise WeightsError(f"{error.filename}: cannot be opened ({error.strerror})") from error
    digest = hashlib.sha256(b"".join(hashlib.sha256(d).digest() for pair in pairs for d in pair))
    card = _card_between(plain.card, sharp.card, name, strength)

    def make(folder: Path) -> None:
        for end, pair in zip(suffixes, pairs, strict=True):
            mix = mixed_onnx if end == ".onnx" else mixed_safetensors
            try:
                content = mix(*pair, strength, card)
            except ValueError as error:
                raise WeightsError(
                    f"{plain.path.stem} and {sharp.path.stem} cannot be mixed: their {end} files "
                    f"{error}"
                ) from error
            (folder / f"{name}{end}").write_bytes(content)

    key = f"{name}-{digest.hexdigest()[:16]}-{__version__}"
    return cached_model(key, Path(f"{name}.onnx"), make)


def _card_between(plain: Card, sharp: Card, name: str, strength: float) -> Card:
    """The card of a mixture: what holds for both, and no scores, which were not measured."""
    sides = plain.tiles.keys() & sharp.tiles.keys()
    return replace(
        sharp,
        name=name,
        strength=strength,
        halo=max(plain.halo, sharp.halo),
        tiles={side: max(plain.tiles[side], sharp.tiles[side]) for side in sorted(sides)},
        precisions=tuple(one for one in sharp.precisions if one in plain.precisions),
        recipe=f"{plain.recipe} and {sharp.recipe}, mixed",
        scores={},
    )


def mixed_onnx(first: bytes, second: bytes, strength: float, card: Card) -> bytes:
    """The mixture of two ONNX files whose graphs differ only in their weights, with `card`.

    Raises `ValueError` if they differ in more; its text continues a sentence about "the files".
    """
    graphs = [
        b"".join(
            data[field.begin : field.stop]
            for field in _fields(data, 0, len(data))
            if field.number != _METADATA
        )
        for data in (first, second)
    ]
    mixed = _between(graphs[0], graphs[1], list(_onnx_spans(graphs[0])), strength)
    entry = _field(1, KEY.encode()) + _field(2, card.to_json().encode())
    return mixed + _field(_METADATA, entry)


def mixed_safetensors(first: bytes, second: bytes, strength: float, card: Card) -> bytes:
    """The same for safetensors files with tensors of the same names, shapes and types."""
    (header, tensors), (other, others) = map(_opened, (first, second))
    metadata = header.pop("__metadata__", {})
    other.pop("__metadata__", None)
    if header != other:
        raise ValueError("hold tensors of other names, shapes or types")
    spans = [
        TensorBytes(start, stop, _SAFE_TYPES[tensor["dtype"]])
        for tensor in header.values()
        for start, stop in [tensor["data_offsets"]]
        if tensor["dtype"] in _SAFE_TYPES
    ]
    whole = {"__metadata__": metadata | {KEY: card.to_json()}} | header
    text = json.dumps(whole, ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNED)
    mixed = _between(tensors, others, spans, strength)
    return len(text).to_bytes(8, "little") + text + mixed


def _opened(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and the bytes of its tensors."""
    start = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:start]), data[start:]


def _between(first: bytes, second: bytes, spans: list[TensorBytes], strength: float) -> bytes:
    """`first` with the weights at `spans` mixed with those of `second`; the rest must be equal."""
    if _without(first, spans) != _without(second, spans):
        raise ValueError("differ in more than their weights")
    out = bytearray(first)
    share = np.float32(strength)
    for start, stop, kind in spans:
        count = (stop - start) // kind.itemsize
        old, new = (
            np.frombuffer(data, kind, count, start).astype(np.float32) for data in (first, second)
        )
        out[start:stop] = (old + share * (new - old)).astype(kind).tobytes()
    return bytes(out)


def _without(data: bytes, spans: list[TensorBytes]) -> tuple[int, bytes]:
    """The length of the data, and the bytes outside the spans."""
    at, kept = 0, []
    for start, stop, _ in sorted(spans, key=lambda span: span.start):
        kept.append(data[at:start])
        at = stop
    return len(data), b"".join([*kept, data[at:]])


class _Field(NamedTuple):
    """A field of a protobuf message: its number, its first byte, and the bytes of its value; also
    the `value` itself if that is an integer.
    """

    number: int
    begin: int
    start: int
    stop: int
    value: int | None


def _onnx_spans(data: bytes) -> Iterator[TensorBytes]:
    """The floating-point initializers of an ONNX file that are stored as raw bytes."""
    for graph in _inside(data, 0, len(data), _GRAPH):
        for tensor in _inside(data, graph.start, graph.stop, _INITIALIZER):
            parts = {part.number: part for part in _fields(data, tensor.start, tensor.stop)}
            kind = _ONNX_TYPES.get(parts[_DATA_TYPE].value or 0) if _DATA_TYPE in parts else None
            if kind is not None and _RAW_DATA in parts:
                yield TensorBytes(parts[_RAW_DATA].start, parts[_RAW_DATA].stop, kind)


def _inside(data: bytes, start: int, stop: int, number: int) -> Iterator[_Field]:
    return (field for field in _fields(data, start, stop) if field.number == number)


def _fields(data: bytes, at: int, end: int) -> Iterator[_Field]:
    """The fields of the message at data[at:end], in order."""
    while at < end:
        begin = at
        tag, at = _varint(data, at)
        kind, value = tag & 7, None
        if kind == _VARINT:
            start = at
            value, at = _varint(data, at)
        elif kind == _BYTES:
            length, start = _varint(data, at)
            at = start + length
        elif kind in (_FIXED64, _FIXED32):
            start, at = at, at + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError("are no protobuf messages")
        if at > end:
            raise ValueError("end too early")
        yield _Field(tag >> 3, begin, start, at, value)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A base-128 number, and the position after it."""
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value, at, shift = value | (byte & 0x7F) << shift, at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("end too early")


def _field(number: int, content: bytes) -> bytes:
    """A serialised field of bytes."""
    return _number(number << 3 | _BYTES) + _number(len(content)) + content


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
