"""Which of the directories in a TIFF are pictures of their own."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from enlarge.media.tiff_tags import TiffHeader

_MOST_ENTRIES = 1 << 20
"""Of all directories together; a file that has more is malicious."""
_NEW_SUBFILE, _OLD_SUBFILE = 254, 255
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
_INTEGER_CODES = {3: "H", 4: "I", 16: "Q"}


def full_size_pages(directories: Sequence[Mapping[int, int]]) -> list[int]:
    """The numbers, from 0, of the directories that are pictures of their own; the others are
    smaller copies (thumbnails, the levels of a pyramid) and masks. At least one.
    """
    numbers = [
        number
        for number, tags in enumerate(directories)
        if not tags.get(_NEW_SUBFILE, 0) & (_REDUCED | _MASK)
        and tags.get(_OLD_SUBFILE) != _OLD_REDUCED
    ]
    return numbers or list(range(max(1, len(directories))))


def read_directories(file: BinaryIO, header: TiffHeader) -> list[dict[int, int]]:
    """Of each directory in the file's chain, the tags that hold a single integer; as far as they
    can be read. (`tiff_tags` would read all values of every page.) The file's position stays.
    """
    before = file.tell()
    found: list[dict[int, int]] = []
    place, seen, entries = header.first, set[int](), 0
    try:
        while place and place not in seen and entries < _MOST_ENTRIES:
            seen.add(place)
            file.seek(place)
            code = header.count_code
            (count,) = struct.unpack(code, file.read(struct.calcsize(code)))
            block = file.read(header.entry_bytes * min(count, _MOST_ENTRIES - entries))
            found.append(_single_integers(block, header))
            entries += 1 + count
            rest = file.read(header.field_bytes)  # some writers leave it out
            place = int.from_bytes(rest, "little" if header.order == "<" else "big")
    except (OSError, struct.error, ValueError, OverflowError):
        pass  # libvips explains what is wrong
    finally:
        file.seek(before)
    return found


def _single_integers(block: bytes, header: TiffHeader) -> dict[int, int]:
    """The tags with a single integer among a directory's entries."""
    found = {}
    for at in range(0, len(block) - header.entry_bytes + 1, header.entry_bytes):
        tag, kind = struct.unpack_from(f"{header.order}HH", block, at)
        (number,) = struct.unpack_from(header.offset_code, block, at + 4)
        if number == 1 and kind in _INTEGER_CODES:
            place = at + 4 + header.field_bytes
            (found[tag],) = struct.unpack_from(header.order + _INTEGER_CODES[kind], block, place)
    return found
