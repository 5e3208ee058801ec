"""Directories of TIFF files (6.0; BigTIFF), which EXIF has too: read, changed, written.

A directory is a mapping from tags to values; where a tag points to another directory that is known
(EXIF, GPS, interoperability), its value is that directory.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from enlarge.media.temporary import write_all

BYTE, ASCII, SHORT, LONG, RATIONAL = 1, 2, 3, 4, 5
UNDEFINED, DOUBLE, LONG8 = 7, 12, 16
EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
_POINTERS = {EXIF, GPS, INTEROPERABILITY}
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
SIZES |= {16: 8, 17: 8, 18: 8}
_SWAPPED = {1: 1, 2: 1, 6: 1, 7: 1, 3: 2, 8: 2, 5: 4, 10: 4}
"""Bytes that change places with the byte order, where that is not the whole value."""
INTEGER_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""The types of integers without a sign, with their codes for `struct`."""
_MOST_ENTRIES, _MOST_DIRECTORIES = 4096, 16
_MOST_BYTES = 64 << 20
_LARGEST = 2**63 - 1
"""The largest position in a file."""


@dataclass(frozen=True)
class Value:
    """The value of a tag: `count` items of `type`, and their bytes in the directory's order. `at`:
    where they were read (0: within the directory, or not from a file). `stays`: they are there
    in the file that is written, too.
    """

    type: int
    count: int
    data: bytes
    at: int = 0
    stays: bool = False


@dataclass(frozen=True)
class Directory:
    """A directory. `order`: "<" or ">", of all values; `following`: where the next one is, or 0;
    `left_out`: the tags of values that are not read, as they are too long or damaged.
    """

    order: str
    entries: Mapping[int, Value | Directory]
    following: int = 0
    left_out: frozenset[int] = frozenset()

    def value(self, tag: int) -> Value | None:
        """The value of a tag; None if it has none."""
        found = self.entries.get(tag)
        return found if isinstance(found, Value) else None

    def integers(self, tag: int) -> tuple[int, ...]:
        """The integers of a tag; none if it has none."""
        found = self.value(tag)
        if found is None or found.type not in INTEGER_CODES:
            return ()
        return struct.unpack(f"{self.order}{found.count}{INTEGER_CODES[found.type]}", found.data)

    def integer(self, tag: int, default: int = 0) -> int:
        """The first integer of a tag."""
        return (*self.integers(tag), default)[0]

    def shifted(self, tag: int, distance: int) -> Value | None:
        """A tag's offsets, so many bytes further; None if it has none. Raises `ValueError`."""
        found = self.value(tag)
        if found is None or found.type not in INTEGER_CODES:
            return None
        numbers = [number + distance for number in self.integers(tag)]
        code = f"{self.order}{found.count}{INTEGER_CODES[found.type]}"
        try:
            return Value(found.type, found.count, struct.pack(code, *numbers))
        except struct.error as error:
            raise ValueError("an offset that is too large") from error

    def doubles(self, tag: int) -> tuple[float, ...]:
        """The numbers of a tag of type DOUBLE; none if it has none."""
        found = self.value(tag)
        if found is None or found.type != DOUBLE:
            return ()
        return struct.unpack(f"{self.order}{found.count}d", found.data)

    def ratios(self, tag: int) -> tuple[float, ...]:
        """A tag's RATIONALs, 0 for a denominator of 0; none if it has none."""
        found = self.value(tag)
        if found is None or found.type != RATIONAL:
            return ()
        pairs = struct.iter_unpack(f"{self.order}II", found.data)
        return tuple(above / below if below else 0.0 for above, below in pairs)

    def ratio(self, tag: int) -> float:
        """The first of a tag's RATIONALs; 0 if it has none."""
        return (*self.ratios(tag), 0.0)[0]

    def inner(self, tag: int) -> Directory | None:
        """The directory that a tag points to; None if there is none."""
        found = self.entries.get(tag)
        return found if isinstance(found, Directory) else None


@dataclass(frozen=True)
class TiffHeader:
    """A TIFF's header: its byte order, whether it is a BigTIFF, where its first directory is."""

    order: str
    big: bool
    first: int

    @property
    def entry_bytes(self) -> int:
        """Bytes of an entry of a directory."""
        return 20 if self.big else 12

    @property
    def field_bytes(self) -> int:
        """Bytes of an offset, and of the field in an entry that holds a value or its offset."""
        return 8 if self.big else 4

    @property
    def offset_code(self) -> str:
        """The format of an offset, for `struct`."""
        return self.order + ("Q" if self.big else "I")

    @property
    def count_code(self) -> str:
        """The format of the number of a directory's entries."""
        return self.order + ("Q" if self.big else "H")

    def bytes(self) -> bytes:
        """Its bytes at the beginning of the file."""
        mark = b"II" if self.order == "<" else b"MM"
        if self.big:
            return mark + struct.pack(f"{self.order}HHHQ", 43, 8, 0, self.first)
        return mark + struct.pack(f"{self.order}HI", 42, self.first)


def read_tiff_header(file: BinaryIO) -> TiffHeader:
    """The header of a TIFF or of an EXIF block. Raises `ValueError`."""
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise ValueError("its byte order is missing")
    big = struct.unpack_from(f"{order}H", head, 2)[0] == 43
    if big and len(head) < 16:
        raise ValueError("it ends within its header")
    (first,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    return TiffHeader(order, big, first)


class TagEntry(NamedTuple):
    """An entry of a directory: the tag, the type and the number of its values, and the field that
    holds them or their position, as bytes and by its own position.
    """

    tag: int
    type: int
    values: int
    field: bytes
    at: int

    def place(self, header: TiffHeader) -> int:
        """The position of the values."""
        if SIZES.get(self.type, 0) * self.values <= header.field_bytes:
            return self.at
        return int(struct.unpack(header.offset_code, self.field)[0])


def read_entries(
    file: BinaryIO, header: TiffHeader, at: int, most: int = _MOST_ENTRIES
) -> tuple[list[TagEntry], int]:
    """The entries of the directory at a position, and where the next directory is, or 0. Raises
    `ValueError` if there is no directory, or one of more than `most` entries.
    """
    (count,) = _unpacked(file, header.count_code, at)
    if count > most:
        raise ValueError(f"a directory of {count} entries")
    first, size, field = file.tell(), header.entry_bytes, header.field_bytes
    block = file.read(size * count)
    code = f"{header.order}HH{header.offset_code[1]}{field}s"
    entries = [
        TagEntry._make((*struct.unpack_from(code, block, start), first + start + size - field))
        for start in range(0, len(block) - size + 1, size)
    ]
    try:
        (following,) = _unpacked(file, header.offset_code, first + size * count)
    except ValueError:  # some writers leave it out
        following = 0
    return entries, following


def _unpacked(file: BinaryIO, code: str, at: int) -> tuple[int, ...]:
    file.seek(min(at, _LARGEST))
    data = file.read(struct.calcsize(code))
    if len(data) < struct.calcsize(code):
        raise ValueError(f"an offset of {at} outside of the file")
    return struct.unpack(code, data)


def read_directory(file: BinaryIO, header: TiffHeader, at: int | None = None) -> Directory:
    """The directory at a position (None: the first one) and those it points to.

    Values that lie outside of the file are left out, and those beyond 64 MiB in all. Raises
    `ValueError`.
    """
    return _Reader(file, header).read(header.first if at is None else at)


def directory_of(block: bytes) -> Directory:
    """The first directory of a TIFF, or of an EXIF block, in memory. Raises `ValueError`."""
    file = io.BytesIO(block)
    return read_directory(file, read_tiff_header(file))


class _Reader:
    """Reads directories, each once."""

    def __init__(self, file: BinaryIO, header: TiffHeader) -> None:
        self._file, self._header = file, header
        self._seen: set[int] = set()
        self._left = _MOST_BYTES

    def read(self, at: int) -> Directory:
        """The directory at a position, and those it points to. Raises `ValueError`."""
        if at in self._seen or len(self._seen) >= _MOST_DIRECTORIES:
            raise ValueError("directories point to each other")
        self._seen.add(at)
        listed, following = read_entries(self._file, self._header, at)
        entries: dict[int, Value | Directory] = {}
        left_out = set[int]()
        for entry in listed:
            found = self._entry(entry)
            if found is None:
                left_out.add(entry.tag)
            else:
                entries.setdefault(entry.tag, found)
        return Directory(self._header.order, entries, following, frozenset(left_out))

    def _entry(self, entry: TagEntry) -> Value | Directory | None:
        """What an entry says; None if it cannot be read."""
        header, data = self._header, entry.field
        length = SIZES.get(entry.type, 0) * entry.values
        if entry.tag in _POINTERS:
            wide = header.big and entry.type >= LONG8
            (place,) = struct.unpack_from(f"{header.order}{'Q' if wide else 'I'}", data)
            with contextlib.suppress(ValueError):
                return self.read(place)
            return None
        place = 0
        if header.field_bytes < length <= self._left:
            place = entry.place(header)
            self._file.seek(min(place, _LARGEST))
            data = self._file.read(length)
            self._left -= length
        if not 0 < length <= len(data):
            return None
        return Value(entry.type, entry.values, data[:length], place)


def reordered(value: Value, order: str, other: str) -> Value:
    """A value in another byte order."""
    size = _SWAPPED.get(value.type, SIZES[value.type])
    if order == other or size == 1:
        return value
    data = bytearray(len(value.data))
    for place in range(size):
        data[place::size] = value.data[size - 1 - place :: size]
    return Value(value.type, value.count, bytes(data))


def directory_bytes(directory: Directory, header: TiffHeader, at: int) -> tuple[bytes, int]:
    """A directory, with all that it points to, as bytes that stand at `at` (even) in a file, and
    the position of the directory itself. The values get the file's byte order and sizes.

    Raises `ValueError` if an offset does not fit into a file that is not a BigTIFF.
    """
    order, big, field = header.order, header.big, header.field_bytes
    offset = header.offset_code
    out, rows = bytearray(), []
    for tag, found in sorted(directory.entries.items()):
        if isinstance(found, Directory):
            inner, place = directory_bytes(found, header, at + len(out))
            out += inner
            kind, count = (LONG8, 1) if big else (LONG, 1)
            data = struct.pack(offset, place)
        else:
            narrowed = found if big else _narrowed(found, directory.order)
            value = reordered(narrowed, directory.order, order)
            kind, count, data = value.type, value.count, value.data
            if found.stays:
                data = struct.pack(offset, found.at)
            elif len(data) > field:
                place = at + len(out)
                _check_offset(place + len(data), big=big)
                out += data + bytes(len(data) % 2)
                data = struct.pack(offset, place)
        rows.append(
            struct.pack(f"{order}HH{offset[1]}", tag, kind, count) + data.ljust(field, b"\0")
        )
    out += bytes(-len(out) % 8)
    place = at + len(out)
    _check_offset(place, big=big)
    out += struct.pack(header.count_code, len(rows)) + b"".join(rows)
    out += struct.pack(offset, directory.following)
    return bytes(out), place


def _check_offset(offset: int, *, big: bool) -> None:
    if not big and offset >= 1 << 32:
        raise ValueError("the file is longer than 4 GiB, and not a BigTIFF")


def _narrowed(value: Value, order: str) -> Value:
    """A value without the types that only BigTIFF has."""
    if value.type not in (16, 17, 18):
        return value
    signed = value.type == 17
    numbers = struct.unpack(f"{order}{value.count}{'q' if signed else 'Q'}", value.data)
    try:
        data = struct.pack(f"{order}{value.count}{'i' if signed else 'I'}", *numbers)
    except struct.error as error:
        raise ValueError("a number of more than 32 bits") from error
    return Value({16: LONG, 17: 9, 18: 13}[value.type], value.count, data)


class GapFile(io.RawIOBase):
    """A file that is written and read with a gap of so many bytes after its first `head` bytes;
    positions do not count the gap.
    """

    def __init__(self, file: BinaryIO, head: int, gap: int) -> None:
        self._file, self._head, self._gap = file, head, gap
        self._at = 0

    def _place(self, size: int) -> int:
        """Go to the position; how many of `size` bytes are on its side of the gap."""
        before = self._at < self._head
        self._file.seek(self._at if before else self._at + self._gap)
        return min(size, self._head - self._at) if before else size

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        out = b""
        while size < 0 or len(out) < size:
            wanted = self._place(sys.maxsize if size < 0 else size - len(out))
            part = self._file.read(wanted if wanted < sys.maxsize else -1)
            if not part:
                break
            out += part
            self._at += len(part)
        return out

    def write(self, data: Any) -> int:
        """Write some of the bytes; how many."""
        size = self._place(len(data))
        written = self._file.write(data[:size]) or 0
        self._at += written
        return written

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        if base is None:
            end = self._file.seek(0, os.SEEK_END)
            base = end - self._gap if end > self._head + self._gap else min(end, self._head)
        self._at = base + offset
        return self._at


def replace_first_directory(file: BinaryIO, header: TiffHeader, directory: Directory) -> None:
    """Write a directory to the end of a TIFF and make it the first one. Raises `ValueError` and
    `OSError`.
    """
    end = file.seek(0, 2)
    start = end + end % 2
    data, place = directory_bytes(directory, header, start)
    write_at(file, end, bytes(start - end) + data)
    write_at(file, 0, TiffHeader(header.order, header.big, place).bytes())


def write_at(file: BinaryIO, at: int, data: bytes) -> None:
    """Write all of the bytes at a position. Raises `OSError`."""
    file.seek(at)
    write_all(file, data)
