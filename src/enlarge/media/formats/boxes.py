"""The boxes of ISO base media files (ISO/IEC 14496-12, 4.2), of which HEIF, JPEG 2000 and JPEG XL
consist as well.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO


def boxes_of(
    file: BinaryIO, start: int = 0, end: int | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and claimed end of the contents of every box between two places (None: the end of
    the file), up to one that is shorter than its own header. The last one may claim to end behind
    them. When a box is given, the file is at its contents.
    """
    stop = file.seek(0, os.SEEK_END) if end is None else end
    at = start
    while at + 8 <= stop:
        file.seek(at)
        head = file.read(16)
        size, kind, inside = int.from_bytes(head[:4]), head[4:8], at + 8
        if size == 1:
            size, inside = int.from_bytes(head[8:]), at + 16
        after = at + size if size else stop
        if after < inside:
            return
        file.seek(inside)
        yield kind, inside, after
        at = after


def boxes_in(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and contents of every box, up to where they are damaged."""
    for kind, start, end in boxes_of(io.BytesIO(data)):
        yield kind, data[start:end]


def contents(data: bytes, *path: bytes) -> bytes:
    """What a box inside boxes holds, empty if there is none."""
    for wanted in path:
        data = next((inner for kind, inner in boxes_in(data) if kind == wanted), b"")
    return data


def box_bytes(kind: bytes, data: bytes) -> bytes:
    """A box: its length, its kind and its contents."""
    return struct.pack(">I4s", len(data) + 8, kind) + data
