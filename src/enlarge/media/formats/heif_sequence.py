"""Image sequences in HEIF files (ISO/IEC 23008-12, clause 7): bursts and animations, kept as a
track of a movie beside a still picture, or without one.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from enlarge.media.bounded import position_kept
from enlarge.media.formats.boxes import boxes_of

_PICTURES = b"pict"
_MOST = 1 << 20
"""Frames; more are not believed."""


def sequence_length(file: BinaryIO) -> int:
    """The number of frames of the file's longest track of pictures; 0 if it has none. Tracks of
    alpha, of thumbnails and of sound do not count. The file's position stays.
    """
    try:
        with position_kept(file):
            lengths = [
                _samples(file, start, end)
                for moov, after in _boxes(file, 0, file.seek(0, os.SEEK_END), b"moov")
                for start, end in _boxes(file, moov, after, b"trak")
            ]
    except (OSError, struct.error):
        return 0
    return max(lengths, default=0)


def _samples(file: BinaryIO, start: int, end: int) -> int:
    """The samples of a track of pictures; 0 for another track."""
    if _is_auxiliary(file, start, end):
        return 0
    for media, media_end in _boxes(file, start, end, b"mdia"):
        handlers = [at for at, _ in _boxes(file, media, media_end, b"hdlr")]
        if not handlers or _read(file, handlers[0] + 8, 4) != _PICTURES:
            continue
        for info, info_end in _boxes(file, media, media_end, b"minf"):
            for table, table_end in _boxes(file, info, info_end, b"stbl"):
                for at, _ in _boxes(file, table, table_end, b"stsz", b"stz2"):
                    (count,) = struct.unpack(">I", _read(file, at + 8, 4))
                    return count if count <= _MOST else 0
    return 0


def _is_auxiliary(file: BinaryIO, start: int, end: int) -> bool:
    """Whether a track is the alpha, the depth (auxl) or the thumbnails (thmb) of another."""
    return any(
        True
        for at, after in _boxes(file, start, end, b"tref")
        for _ in _boxes(file, at, after, b"auxl", b"thmb")
    )


def _boxes(file: BinaryIO, start: int, end: int, *kinds: bytes) -> Iterator[tuple[int, int]]:
    """Where the contents of the boxes of these kinds between two places begin and end."""
    for kind, inside, after in boxes_of(file, start, end):
        if kind in kinds and after <= end:
            yield inside, after


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
