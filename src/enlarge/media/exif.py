r"""Edit EXIF in place: every offset stays where it was, so that maker notes and texts survive.

A block is a small TIFF file (without the "Exif\0\0" that JPEG puts before it): a header, IFD0
(the picture), the Exif and GPS IFDs that it points to, and IFD1 (the thumbnail). CIPA DC-008.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_SHORT, _LONG = 3, 4
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_WIDTH, _HEIGHT, _ORIENTATION = 0x0100, 0x0101, 0x0112
_EXIF, _GPS, _THUMBNAIL, _THUMBNAIL_LENGTH = 0x8769, 0x8825, 0x0201, 0x0202
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003
_MOST_ENTRIES = 4096


class _Entry(NamedTuple):
    at: int
    tag: int
    type: int
    values: int


class _Block:
    """A block being edited. An offset outside of it raises `ValueError`."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        order = {b"II": "<", b"MM": ">"}.get(data[:2])
        if order is None:
            raise ValueError("its byte order is missing")
        self.order = order

    def get(self, code: str, at: int) -> int:
        size = struct.calcsize(code)
        if not 0 <= at <= len(self.data) - size:
            raise ValueError(f"an offset of {at} in a block of {len(self.data)}")
        return int(struct.unpack_from(self.order + code, self.data, at)[0])

    def put(self, code: str, at: int, value: int) -> None:
        self.get(code, at)  # it must lie inside
        struct.pack_into(self.order + code, self.data, at, value)

    def entries(self, ifd: int) -> Iterator[_Entry]:
        count = self.get("H", ifd)
        if count > _MOST_ENTRIES:
            raise ValueError(f"a directory of {count} entries")
        for at in range(ifd + 2, ifd + 2 + 12 * count, 12):
            yield _Entry(at, self.get("H", at), self.get("H", at + 2), self.get("I", at + 4))

    def value(self, entry: _Entry) -> int:
        return self.get("H" if entry.type == _SHORT else "I", entry.at + 8)

    def set_value(self, entry: _Entry, value: int) -> None:
        """Set a single SHORT or LONG; a value that does not fit into a SHORT becomes a LONG."""
        if entry.type == _SHORT and value <= 0xFFFF:
            self.put("I", entry.at + 8, 0)
            self.put("H", entry.at + 8, value)
        else:
            self.put("H", entry.at + 2, _LONG)
            self.put("I", entry.at + 8, value)

    def wipe(self, start: int, length: int) -> None:
        stop = min(start + length, len(self.data))
        if start < stop:
            self.data[start:stop] = bytes(stop - start)

    def wipe_ifd(self, ifd: int) -> None:
        """Zero an IFD and the values that it points to."""
        for entry in list(self.entries(ifd)):
            size = _SIZES.get(entry.type, 1) * entry.values
            if size > 4:
                self.wipe(self.value(entry._replace(type=_LONG)), size)
        self.wipe(ifd, 2 + 12 * self.get("H", ifd) + 4)

    def remove_entry(self, ifd: int, entry: _Entry) -> None:
        count = self.get("H", ifd)
        end = ifd + 2 + 12 * count + 4
        self.data[entry.at : end] = self.data[entry.at + 12 : end] + bytes(12)
        self.put("H", ifd, count - 1)

    def drop_thumbnail(self, ifd: int) -> None:
        pointer = ifd + 2 + 12 * self.get("H", ifd)
        if pointer + 4 > len(self.data):
            return  # some writers leave the last pointer out
        thumbnails = self.get("I", pointer)
        self.put("I", pointer, 0)
        if not thumbnails:
            return
        try:
            values = {entry.tag: self.value(entry) for entry in self.entries(thumbnails)}
            start, length = values.get(_THUMBNAIL, 0), values.get(_THUMBNAIL_LENGTH, 0)
            self.wipe_ifd(thumbnails)
            self.wipe(start, length)
            if start and start + length >= len(self.data):
                del self.data[start:]
        except ValueError:
            return  # a broken thumbnail directory is unlinked all the same


def without_prefix(data: bytes) -> bytes:
    """The block without the prefix that JPEG puts before it."""
    return data.removeprefix(b"Exif\0\0")


def orientation_of(data: bytes) -> int:
    """The orientation, 1 to 8, in a block; 1 if it has none or cannot be read."""
    try:
        block = _Block(data)
        for entry in block.entries(block.get("I", 4)):
            if entry.tag == _ORIENTATION and 1 <= block.value(entry) <= 8:
                return block.value(entry)
    except ValueError:
        pass
    return 1


def adapt_exif(data: bytes, width: int, height: int, *, gps: bool = True) -> bytes:
    """The block for a picture of `width` × `height` that is stored upright.

    Sets the orientation to 1, updates the pixel dimensions and removes the thumbnail, and GPS data
    if `gps` is false. Raises `ValueError` if the block cannot be read.
    """
    block = _Block(data)
    main = block.get("I", 4)
    sizes = {_WIDTH: width, _HEIGHT: height, _PIXEL_WIDTH: width, _PIXEL_HEIGHT: height}
    block.drop_thumbnail(main)
    for entry in list(block.entries(main)):
        if entry.tag == _ORIENTATION:
            block.set_value(entry, 1)
        elif entry.tag in sizes:
            block.set_value(entry, sizes[entry.tag])
        elif entry.tag == _EXIF:
            for inner in list(block.entries(block.value(entry))):
                if inner.tag in sizes:
                    block.set_value(inner, sizes[inner.tag])
    if not gps:
        for entry in list(block.entries(main)):
            if entry.tag == _GPS:
                place = block.value(entry)
                block.remove_entry(main, entry)
                block.wipe_ifd(place)
                break
        if has_gps(bytes(block.data)):  # in a damaged block, GPS can lie over the header itself
            raise ValueError("GPS data overlaps the rest of the block")
    return bytes(block.data)


def has_gps(data: bytes) -> bool:
    """Whether a block points to GPS data; also true if it cannot be read."""
    try:
        block = _Block(data)
        return any(entry.tag == _GPS for entry in block.entries(block.get("I", 4)))
    except ValueError:
        return True
