"""Damaged JPEG 2000 pictures: without their end marker, or cut off.

Zeros are empty packets (ISO/IEC 15444-1, B.10): a tile that is cut off is filled up with them, and
the ones that are missing are added without any.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from enlarge.errors import InputError
from enlarge.media.formats.boxes import boxes_of
from enlarge.media.repair.repair import Box, Repair, Repaired, most_lacking, temporary_copy
from enlarge.media.stored import PictureFile

_EOC, _SOT, _SOD = b"\xff\xd9", b"\xff\x90", b"\xff\x93"
_MAX_TILES = 65_535
_MAX_HEADER = 1 << 20
_EMPTY = 64
"""Bytes of empty packets in a tile of which nothing is there; decoders take the end as empty."""


class Jpeg2000Repair(Repair):
    """See `Repair`."""

    end = "its end marker (EOC)"

    def is_whole(self, source: PictureFile) -> bool:
        """Whether the codestream's tile parts are followed by its end marker."""
        try:
            _, end = _codestream(source)
        except InputError:
            return True
        source.file.seek(max(min(end, source.size) - 2, 0))
        last = source.file.read(2)
        source.file.seek(0)
        return end <= source.size and last == _EOC

    def salvage(self, source: PictureFile) -> Repaired:
        """The file with every tile, and its end marker. Raises `InputError`."""
        start, _ = _codestream(source)
        source.file.seek(start)
        data = source.file.read()
        source.file.seek(0)
        tiles = _tiles(data)
        found, end, claimed = _tile_parts(data)
        if not found:
            raise InputError("this JPEG 2000 ends before its pixels")
        if claimed - len(data) > most_lacking(source):
            raise InputError("this JPEG 2000 claims to be much longer than it is")
        missing = [number for number in range(len(tiles)) if number not in found]
        copy = temporary_copy(source, start + min(end, len(data)))
        copy.write(bytes(max(claimed - len(data), 0)))
        for number in missing:
            copy.write(_SOT + struct.pack(">HHIBB", 10, number, 14 + _EMPTY, 0, 1) + _SOD)
            copy.write(bytes(_EMPTY))
        copy.write(_EOC)
        _set_box_size(source, copy, start)
        boxes = tuple(tiles[number] for number in missing)
        return Repaired(copy, boxes, is_complete=not missing and claimed <= len(data))


def _codestream(source: PictureFile) -> tuple[int, int]:
    """Start and end of the codestream, as claimed. Raises `InputError`."""
    if source.head[:4] == b"\xff\x4f\xff\x51":
        return 0, source.size
    for kind, start, end in boxes_of(source.file):
        if kind == b"jp2c":
            source.file.seek(0)
            return start, end
    raise InputError("this JPEG 2000 ends before its pixels")


def _set_box_size(source: PictureFile, copy: BinaryIO, start: int) -> None:
    """Let the codestream's box reach to the end of the file."""
    if start:
        copy.seek(start - 8)
        if copy.read(8)[4:] == b"jp2c":
            copy.seek(start - 8)
            copy.write(bytes(4))


def _tiles(data: bytes) -> list[Box]:
    """The rectangles of the tiles, from SIZ (A.5.1). Raises `InputError`."""
    try:
        right, bottom, left, top, across, down, tiles_x, tiles_y = struct.unpack_from(
            ">8I", data, 8
        )
    except struct.error as error:
        raise InputError("this JPEG 2000 ends within its header") from error
    width, height = right - left, bottom - top
    if not (width > 0 and height > 0 and across and down):
        raise InputError("this JPEG 2000 has a damaged header")
    columns, rows = -(-(right - tiles_x) // across), -(-(bottom - tiles_y) // down)
    if not 0 < columns * rows <= _MAX_TILES:
        raise InputError("this JPEG 2000 has a damaged header")
    boxes = []
    for number in range(columns * rows):
        x, y = tiles_x + number % columns * across, tiles_y + number // columns * down
        x0, y0, x1, y1 = max(x, left), max(y, top), min(x + across, right), min(y + down, bottom)
        boxes.append((x0 - left, y0 - top, max(x1 - x0, 0), max(y1 - y0, 0)))
    return boxes


def _tile_parts(data: bytes) -> tuple[set[int], int, int]:
    """The tiles with a tile part, where the tile parts end, and where they claim to end."""
    at = data.find(_SOT, 2, _MAX_HEADER)
    found: set[int] = set()
    end = claimed = max(at, 0)
    while at >= 0 and data[at : at + 2] == _SOT and at + 14 <= len(data):
        number, size = struct.unpack_from(">HI", data, at + 4)
        if size == 0:  # the last one, up to the end marker
            size = len(data) - at - 2 * data.endswith(_EOC)
        if size < 14:
            break
        found.add(number)
        at += size
        end = claimed = at
    return found, end, claimed
