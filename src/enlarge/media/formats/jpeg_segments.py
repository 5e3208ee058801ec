"""The segments of a JPEG before its pixels (T.81, annex B)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

MAX_SEGMENT = 65_533
"""Bytes that a segment holds after its marker and its length."""
APP1, APP2, APP13, COMMENT_MARKER = 0xE1, 0xE2, 0xED, 0xFE
_BEGINNING, _SCAN, _END, _FILL = b"\xff\xd8", 0xDA, 0xD9, 0xFF
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_MOST_STEPS = 1 << 16


def segments_of(
    file: BinaryIO, start: int = 0, most: int = _MOST_STEPS
) -> Iterator[tuple[int, int, int]]:
    """Marker, place and length of the contents of the segments before the first scan of the JPEG at
    `start`, after at most so many steps (segments, and fill bytes between them). When a segment is
    given, the file is at its contents.
    """
    file.seek(start)
    if file.read(2) != _BEGINNING:
        return
    at = start + 2
    for _ in range(most):
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (_SCAN, _END):
            return
        marker, length = head[1], int.from_bytes(head[2:]) - 2
        if marker == _FILL or marker in _WITHOUT_LENGTH:
            at += 1 if marker == _FILL else 2
        elif length < 0:
            return
        else:
            yield marker, at + 4, length
            at += 4 + length


def segment(marker: int, data: bytes) -> bytes:
    """A segment: its marker, its length and its contents."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
