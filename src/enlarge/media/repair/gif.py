"""GIFs that are cut off: their last block is shortened to the data that is left, and ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyvips

from enlarge.errors import InputError
from enlarge.media.repair.repair import Box, Repair, Repaired, temporary_copy
from enlarge.media.stored import PictureFile

_TRAILER, _EXTENSION, _FRAME = 0x3B, 0x21, 0x2C
_CONTROL = 0xF9
_PIXELS_PER_BYTE = 4096
"""LZW gives at most 4095 pixels for one code."""


class GifRepair(Repair):
    """See `Repair`."""

    end = "its trailer"

    def is_whole(self, source: PictureFile) -> bool:
        """Whether block follows block up to the trailer."""
        source.file.seek(-1, 2)
        last = source.file.read(1)
        source.file.seek(0)
        if last == bytes([_TRAILER]):
            return True
        data = source.file.read()
        source.file.seek(0)
        return _walked(data).is_whole

    def salvage(self, source: PictureFile) -> Repaired:
        """The file with its blocks ended. Raises `InputError` if it ends before its first frame."""
        source.file.seek(0)
        data = source.file.read()
        source.file.seek(0)
        found, longest = _ended(data), None
        least, most = 0, len(data)
        while found is None and most - least > 1:  # the longest beginning that can be decoded
            middle = (least + most) // 2
            if (shorter := _ended(data[:middle])) is None:
                most = middle
            else:
                least, longest = middle, shorter
        found = found or longest
        if found is None or not found[0]:
            raise InputError("this GIF ends before its first frame")
        copy = temporary_copy(source, 0)
        copy.write(found[0])
        return Repaired(copy, tuple(found[1]), is_complete=not found[1])


def _ended(data: bytes) -> tuple[bytes, list[Box]] | None:
    """The beginning of a GIF with its blocks ended (empty if it has no frame), and what is missing;
    None if it cannot be decoded.
    """
    walked = _walked(data)
    if walked.frame is None:
        return b"", []
    x, y, width, height = walked.frame
    across, down = (int.from_bytes(data[at : at + 2], "little") for at in (6, 8))
    if max(across, x + width) * max(down, y + height) > _PIXELS_PER_BYTE * len(data):
        raise InputError("this GIF claims more pixels than its bytes can hold")
    ended = bytearray(data)
    if walked.cut_at is not None:
        ended[walked.cut_at] = len(data) - walked.cut_at - 1
    ended += walked.ending
    missing = _missing(bytes(ended), walked)
    return None if missing is None else (bytes(ended), missing)


@dataclass
class _Walk:
    """What following the blocks found: `tables`, (start, bytes) of every colour table; `controls`,
    the places of the flags that say whether a colour is transparent; `frame`, (x, y, width,
    height) of the first one; `cut_at`, the place of the length of a data block that is cut off;
    `ending`, the bytes that are to follow.
    """

    tables: list[tuple[int, int]]
    controls: list[int]
    frame: Box | None = None
    cut_at: int | None = None
    ending: bytes = b""
    is_whole: bool = False


def _walked(data: bytes) -> _Walk:
    walk = _Walk([], [])
    if len(data) < 13:
        return walk
    at = 13 + _table(data, 10, 13, walk)
    while at < len(data):
        kind, begun = data[at], at
        if kind == _FRAME and at + 10 < len(data):
            size = _table(data, at + 9, at + 10, walk)
            if walk.frame is None and at + 11 + size < len(data):
                x, y, width, height = (
                    int.from_bytes(data[at + n : at + n + 2], "little") for n in (1, 3, 5, 7)
                )
                walk.frame = (x, y, width, height)
            at += 11 + size
        elif kind == _EXTENSION:
            if data[at + 1 : at + 2] == bytes([_CONTROL]):
                walk.controls.append(at + 3)
            at += 2
        else:
            walk.is_whole = kind == _TRAILER
            walk.ending = b"" if walk.is_whole else b";"
            return walk
        at = _behind_blocks(data, at, begun, walk)
    walk.ending = walk.ending or b";"
    return walk


def _table(data: bytes, flags_at: int, start: int, walk: _Walk) -> int:
    flags = data[flags_at]
    size = 3 << ((flags & 7) + 1) if flags & 0x80 else 0
    if size:
        walk.tables.append((start, size))
    return size


def _behind_blocks(data: bytes, at: int, begun: int, walk: _Walk) -> int:
    """The place behind data blocks; the end where they are cut off."""
    while at < len(data):
        size = data[at]
        if at + 1 + size > len(data):
            walk.cut_at, walk.ending = at, b"\0;"
            return len(data)
        at += 1 + size
        if not size:
            return at
    walk.ending = b"\0;"
    return len(data)


def _missing(ended: bytes, walk: _Walk) -> list[Box] | None:
    """The parts of the rows of the first frame of which there is nothing; None if the file cannot
    be decoded.

    The decoder leaves them black, like a colour of the table; so a copy is decoded in which the
    table has no black, and no colour is transparent.
    """
    assert walk.frame is not None
    data = bytearray(ended)
    for start, size in walk.tables:
        data[start : start + size] = b"\xff" * len(data[start : start + size])
    for at in walk.controls:
        if at < len(data):
            data[at] &= 0xFE
    try:
        image = pyvips.Image.gifload_buffer(bytes(data), fail_on="error")
        pixels = np.asarray(image.numpy())
    except pyvips.Error:
        return None
    x, y, width, height = walk.frame
    right = min(x + width, image.width)
    empty = pixels.reshape(image.height, image.width, -1)[y : y + height, x:right, 0] == 0
    found: list[Box] = []
    for row in np.flatnonzero(empty.any(axis=1)):
        first = int(np.argmax(empty[row]))
        found.append((x + first, y + int(row), right - x - first, 1))
    return found
