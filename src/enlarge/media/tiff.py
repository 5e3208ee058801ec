"""How many rows of a TIFF have to be decoded at a time (TIFF 6.0, and BigTIFF)."""

from __future__ import annotations

import struct
from typing import BinaryIO

_PHOTOMETRIC, _ROWS, _PLANES, _TILE = 262, 278, 284, 323
_YCBCR, _APART = 6, 2
_KINDS = {3: "H", 4: "I", 16: "Q"}


def rows_at_once(file: BinaryIO, height: int) -> int:
    """Of the first picture: two rows of tiles; one scan line of a strip, but all of it where planes
    lie apart or colour is YCbCr, which libvips decodes by strips. 1 where that is not to be seen.

    The file's position stays.
    """
    before = file.tell()
    try:
        tags = _tags(file)
    except (OSError, struct.error, ValueError):
        return 1
    finally:
        file.seek(before)
    if tile := tags.get(_TILE):
        return 2 * tile
    if tags.get(_PLANES) == _APART or tags.get(_PHOTOMETRIC) == _YCBCR:
        return min(tags.get(_ROWS, height), height)
    return 1


def _tags(file: BinaryIO) -> dict[int, int]:
    """The first picture's tags that hold one whole number."""
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", head, 2)[0] == 43
    (start,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", head, 8 if big else 4)
    entry, field = (20, 8) if big else (12, 4)
    file.seek(start)
    (count,) = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))
    block = file.read(entry * min(count, 4096))
    found = {}
    for at in range(0, len(block) - entry + 1, entry):
        tag, kind = struct.unpack_from(f"{order}HH", block, at)
        (number,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", block, at + 4)
        if number == 1 and kind in _KINDS:
            (found[tag],) = struct.unpack_from(f"{order}{_KINDS[kind]}", block, at + 4 + field)
    return found
