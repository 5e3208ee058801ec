"""Image sequences in HEIF files (ISO/IEC 23008-12, clause 7): bursts and animations, kept as a
track of a movie beside a still picture, or without one.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

_PICTURES = b"pict"
_MOST = 1 << 20
"""Frames; more are not believed."""


def sequence_length(file: BinaryIO) -> int:
    """The number of frames of the file's longest track of pictures; 0 if it has none. Tracks of
    alpha, of thumbnails and of sound do not count. The file's position stays.
    """
    before = file.tell()
    try:
        lengths = [
            _samples(file, start, end)
            for _, moov, after in _boxes(file, 0, file.seek(0, os.SEEK_END), b"moov")
            for _, start, end in _boxes(file, moov, after, b"trak")
        ]
    except (OSError, struct.error):
        return 0
    finally:
        file.seek(before)
    return max(lengths, default=0)


def _samples(file: BinaryIO, start: int, end: int) -> int:
    """The samples of a track of pictures; 0 for another track."""
    if _is_auxiliary(file, start, end):
        return 0
    for _, media, media_end in _boxes(file, start, end, b"mdia"):
        handlers = [at for _, at, _ in _boxes(file, media, media_end, b"hdlr")]
        if not handlers or _read(file, handlers[0] + 8, 4) != _PICTURES:
            continue
        for _, info, info_end in _boxes(file, media, media_end, b"minf"):
            for _, table, table_end in _boxes(file, info, info_end, b"stbl"):
                for _, at, _ in _boxes(file, table, table_end, b"stsz", b"stz2"):
                    (count,) = struct.unpack(">I", _read(file, at + 8, 4))
                    return count if count <= _MOST else 0
    return 0


def _is_auxiliary(file: BinaryIO, start: int, end: int) -> bool:
    """Whether a track is the alpha, the depth (auxl) or the thumbnails (thmb) of another."""
    return any(
        True
        for _, at, after in _boxes(file, start, end, b"tref")
        for _ in _boxes(file, at, after, b"auxl", b"thmb")
    )


def _boxes(file: BinaryIO, start: int, end: int, *kinds: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of these kinds between two places: kind, and where their contents begin and end."""
    at = start
    while at + 8 <= end:
        size, kind = struct.unpack(">I4s", _read(file, at, 8))
        inside = at + 8
        if size == 1:
            (size,) = struct.unpack(">Q", _read(file, inside, 8))
            inside += 8
        after = end if size == 0 else at + size
        if not inside <= after <= end:
            return
        if kind in kinds:
            yield kind, inside, after
        at = after


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
