"""The metadata of weight files, read without the packages that wrote them.

safetensors: 8 bytes of header length (little-endian), then JSON with `__metadata__`.
ONNX: a protobuf message (onnx.proto3); field 14 of ModelProto holds key-value pairs. Top-level
fields are skipped by their length, so a file of any size costs a few seeks.
"""

from __future__ import annotations

import json
import os
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from enlarge.errors import WeightsError
from enlarge.weights.card import KEY, Card

PICKLES = (".pth", ".pt", ".ckpt", ".bin")
"""What torch's checkpoints end in."""
_METADATA_FIELD = 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_card(path: Path) -> Card | None:
    """The card of a `.safetensors` or `.onnx` file, or None if it carries none.

    Raises `WeightsError` where the file is missing or is not what its name says.
    """
    try:
        with path.open("rb") as file:
            read = _onnx_metadata if path.suffix.lower() == ".onnx" else _safetensors_metadata
            metadata = read(file)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be opened ({error.strerror})") from error
    except (ValueError, EOFError, AttributeError) as error:
        raise WeightsError(f"{path}: not a readable {path.suffix} file ({error})") from error
    return Card.from_json(metadata[KEY], str(path)) if KEY in metadata else None


def _safetensors_metadata(file: BinaryIO) -> dict[str, str]:
    length = int.from_bytes(_exactly(file, 8), "little")
    if length > 100_000_000:
        raise ValueError(f"its header claims {length} bytes")
    metadata = json.loads(_exactly(file, length)).get("__metadata__", {})
    return {str(key): str(value) for key, value in metadata.items()}


def _onnx_metadata(file: BinaryIO) -> dict[str, str]:
    found: dict[str, str] = {}
    size = os.fstat(file.fileno()).st_size

    def skip(length: int) -> None:
        if file.tell() + length > size:
            raise EOFError("it ends too early")
        file.seek(length, 1)

    while (tag := _varint(file)) is not None:
        field, kind = tag >> 3, tag & 7
        if not field:
            raise ValueError("not a protobuf message")
        if kind == _BYTES:
            length = _varint(file) or 0
            if field == _METADATA_FIELD:
                key, value = _entry(_exactly(file, length))
                found[key] = value
            else:
                skip(length)
        elif kind == _VARINT:
            _varint(file)
        elif kind in (_FIXED64, _FIXED32):
            skip(8 if kind == _FIXED64 else 4)
        else:
            raise ValueError("not a protobuf message")
    return found


def _entry(message: bytes) -> tuple[str, str]:
    """A StringStringEntryProto: field 1 is the key, field 2 the value."""
    stream, parts = BytesIO(message), {1: "", 2: ""}
    while (tag := _varint(stream)) is not None:
        parts[tag >> 3] = _exactly(stream, _varint(stream) or 0).decode()
    return parts[1], parts[2]


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise EOFError("it ends too early")
    return data


def _varint(file: BinaryIO) -> int | None:
    """A base-128 number; None at the end of the file."""
    value = shift = 0
    while byte := file.read(1):
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
        if shift > 63:
            raise ValueError("not a protobuf message")
    if shift:
        raise EOFError("it ends too early")
    return None
