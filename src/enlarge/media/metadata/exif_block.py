r"""A block of EXIF as bytes that are edited in place: directories, entries and what they point to.

A block is a small TIFF file (without the "Exif\0\0" that JPEG puts before it): a header, and
directories (IFDs) of entries, whose offsets count from the header. CIPA DC-008.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from enlarge.media.metadata.tiff_tags import LONG, SHORT, SIZES

_MOST_ENTRIES = 4096
_JPEG = re.compile(rb"[\s\S]\xd8\xff[\xc0\xc2\xc4\xdb\xe0-\xef\xfe]")
"""The beginning of a JPEG; Minolta writes another first byte."""
_SCAN = 0xDA
_MOST_SEGMENTS = 64


class ExifEntry(NamedTuple):
    """An entry of a directory: where it is, its tag, its type and the number of its values."""

    at: int
    tag: int
    type: int
    values: int

    @property
    def size(self) -> int:
        """Bytes of its values; those beyond 4 are elsewhere."""
        return SIZES.get(self.type, 1) * self.values


class ExifBlock:
    """A block being edited. An offset outside of it raises `ValueError`.

    `base`: where its offsets count from, for a maker note with offsets of its own in the `data` of
    the block around it.
    """

    def __init__(self, data: bytearray, *, base: int = 0, order: str | None = None) -> None:
        self.data, self.base = data, base
        if order is None:
            order = {b"II": "<", b"MM": ">"}.get(bytes(data[base : base + 2]))
        if order is None:
            raise ValueError("its byte order is missing")
        self.order = order

    def get(self, code: str, at: int) -> int:
        """The number of a struct code at an offset."""
        size, at = struct.calcsize(code), at + self.base
        if not 0 <= at <= len(self.data) - size:
            raise ValueError(f"an offset of {at} in a block of {len(self.data)}")
        return int(struct.unpack_from(self.order + code, self.data, at)[0])

    def put(self, code: str, at: int, value: int) -> None:
        """Write a number."""
        self.get(code, at)  # it must lie inside
        try:
            struct.pack_into(self.order + code, self.data, at + self.base, value)
        except struct.error as error:
            raise ValueError(f"a value of {value}") from error

    def entries(self, ifd: int) -> list[ExifEntry]:
        """The entries of a directory."""
        count = self.get("H", ifd)
        if count > _MOST_ENTRIES:
            raise ValueError(f"a directory of {count} entries")
        return [
            ExifEntry(at, self.get("H", at), self.get("H", at + 2), self.get("I", at + 4))
            for at in range(ifd + 2, ifd + 2 + 12 * count, 12)
        ]

    def next_pointer(self, ifd: int) -> int | None:
        """Where a directory points to the next one; None if the block ends before."""
        pointer = ifd + 2 + 12 * self.get("H", ifd)
        return pointer if self.base + pointer + 4 <= len(self.data) else None

    def chain(self, ifd: int) -> Iterator[int]:
        """The directories that follow one."""
        seen = {ifd}
        pointer = self.next_pointer(ifd)
        while pointer is not None and (ifd := self.get("I", pointer)) and ifd not in seen:
            seen.add(ifd)
            yield ifd
            pointer = self.next_pointer(ifd)

    def value(self, entry: ExifEntry) -> int:
        """A single SHORT or LONG."""
        return self.get("H" if entry.type == SHORT else "I", entry.at + 8)

    def set_value(self, entry: ExifEntry, value: int) -> None:
        """Set a single SHORT or LONG; a value that does not fit into a SHORT becomes a LONG."""
        if entry.type == SHORT and value <= 0xFFFF:
            self.put("I", entry.at + 8, 0)
            self.put("H", entry.at + 8, value)
        else:
            self.put("H", entry.at + 2, LONG)
            self.put("I", entry.at + 8, value)

    def place(self, entry: ExifEntry) -> int:
        """The offset of an entry's values."""
        return self.get("I", entry.at + 8) if entry.size > 4 else entry.at + 8

    def numbers(self, entry: ExifEntry) -> list[tuple[int, int]]:
        """Offsets and values of the SHORTs or LONGs of an entry, at most 4,096."""
        code, step = ("H", 2) if entry.type == SHORT else ("I", 4)
        start = self.place(entry)
        count = min(entry.values, _MOST_ENTRIES)
        return [(at, self.get(code, at)) for at in range(start, start + step * count, step)]

    def text(self, entry: ExifEntry) -> bytes:
        """The bytes of an entry's values, as far as they lie in the block."""
        start = self.base + self.place(entry)
        return bytes(self.data[max(0, start) : max(0, start + entry.size)])

    def wipe(self, start: int, length: int) -> None:
        """Zero bytes."""
        start += self.base
        stop = min(start + length, len(self.data))
        if 0 <= start < stop:
            self.data[start:stop] = bytes(stop - start)

    def wipe_ifd(self, ifd: int) -> None:
        """Zero a directory and the values that it points to."""
        for entry in self.entries(ifd):
            if entry.size > 4:
                self.wipe(self.place(entry), entry.size)
        self.wipe(ifd, 2 + 12 * self.get("H", ifd) + 4)

    def remove(self, ifd: int, tags: frozenset[int]) -> list[ExifEntry]:
        """Take entries out of a directory and zero the values that they point to; the entries as
        they were, without places.
        """
        removed = []
        for entry in reversed(self.entries(ifd)):
            if entry.tag in tags:
                if entry.size > 4:
                    self.wipe(self.place(entry), entry.size)
                self._remove_entry(ifd, entry)
                removed.append(entry)
        return removed

    def _remove_entry(self, ifd: int, entry: ExifEntry) -> None:
        count = self.get("H", ifd)
        start, end = self.base + entry.at, self.base + ifd + 2 + 12 * count + 4
        end = min(end, len(self.data))
        self.data[start:end] = self.data[start + 12 : end] + bytes(min(12, end - start))
        self.put("H", ifd, count - 1)

    def wipe_pictures(self) -> None:
        """Zero every JPEG inside the block, wherever it is: previews of cameras, whose maker notes
        keep their places.
        """
        at = 0
        while match := _JPEG.search(self.data, at):
            end = _end_of_jpeg(self.data, match.start())
            if end is None:
                at = match.start() + 1
            else:
                self.wipe(match.start() - self.base, end - match.start())
                at = end


def _end_of_jpeg(data: bytearray, start: int) -> int | None:
    """Where a JPEG ends; None if it has no frame and scan."""
    at, framed = start + 2, False
    for _ in range(_MOST_SEGMENTS):
        if at + 4 > len(data) or data[at] != 0xFF:
            return None
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker == 0xFF:
            at += 1
            continue
        framed = framed or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC))
        if length < 2:
            return None
        at += 2 + length
        if marker == _SCAN:
            end = data.find(b"\xff\xd9", at)
            return None if not framed else len(data) if end < 0 else end + 2
    return None
