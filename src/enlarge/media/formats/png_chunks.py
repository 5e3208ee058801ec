"""The chunks that a PNG consists of (ISO/IEC 15948, clause 5)."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunks_of(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and length of the body of every chunk up to IEND. The last one may claim to be
    longer than the file. When a chunk is given, the file is at its body.
    """
    at, end = len(SIGNATURE), file.seek(0, os.SEEK_END)
    kind = b""
    while at + 8 <= end and kind != b"IEND":
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        yield kind, at + 8, length
        at += 12 + length


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk: length, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
