"""Protobuf's wire format, as far as ONNX files need it: fields by number, without a schema.

Source: protobuf.dev/programming-guides/encoding. A field is a tag (number · 8 + kind), then a
base-128 number (kind 0), 8 bytes (1), a length and so many bytes (2), or 4 bytes (5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MOST_FIELDS = 1_000_000


def fields_of(file: BinaryIO, size: int) -> tuple[set[tuple[int, int]], bool]:
    """The top-level fields of a message, (number, kind), and whether it is whole: it ends where the
    file ends, which has `size` bytes. Payloads are skipped. Of a file that is no message, the
    fields up to where that shows.
    """
    found: set[tuple[int, int]] = set()
    for _ in range(_MOST_FIELDS):
        if file.tell() == size:
            return found, True
        tag = varint_from(file)
        if tag is None or not tag >> 3 or tag & 7 not in (VARINT, FIXED64, BYTES, FIXED32):
            return found, False
        found.add((tag >> 3, tag & 7))
        if tag & 7 == VARINT:
            if varint_from(file) is None:
                return found, False
            continue
        length = {FIXED64: 8, FIXED32: 4}.get(tag & 7)
        if length is None:
            length = varint_from(file)
        if length is None or file.tell() + length > size:
            return found, False
        file.seek(length, 1)
    return found, False


def varint_from(file: BinaryIO) -> int | None:
    """A base-128 number of at most 64 bits; None where there is none."""
    value = shift = 0
    while (byte := file.read(1)) and shift < 64:
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
    return None


def parse(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message in memory: number, and a number or the bytes. Raises `ValueError` if
    it is no message, or is cut off.
    """
    at, size = 0, len(message)
    while at < size:
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == BYTES:
            length, at = _varint(message, at)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise ValueError("not a protobuf message")
        if not number or at + length > size:
            raise ValueError("not a protobuf message, or cut off")
        yield number, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("not a protobuf message, or cut off")


def varint(value: int) -> bytes:
    """A whole number, base 128; negative ones as those of 64 bits."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def opening(number: int, size: int) -> bytes:
    """What comes before the `size` bytes of a field."""
    return varint(number << 3 | BYTES) + varint(size)


def field(number: int, value: int | float | str | bytes) -> bytes:
    """A field of a message: a number, a float of 32 bits, a text or bytes."""
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | FIXED32) + struct.pack("<f", value)
    content = value.encode() if isinstance(value, str) else value
    return opening(number, len(content)) + content
