"""Which of the directories in a TIFF are pictures of their own."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import BinaryIO, NamedTuple

from enlarge.media.bounded import position_kept
from enlarge.media.metadata.tiff_tags import INTEGER_CODES, TiffHeader, read_entries

_MOST_ENTRIES = 1 << 20
"""Of all directories together; a file that has more is malicious."""
_NEW_SUBFILE, _OLD_SUBFILE = 254, 255
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2


class PageDirectory(NamedTuple):
    """Where a directory is in the file, and its tags that hold a single integer."""

    at: int
    tags: Mapping[int, int]


def full_size_pages(directories: Sequence[PageDirectory]) -> list[int]:
    """The numbers, from 0, of the directories that are pictures of their own; the others are
    smaller copies (thumbnails, the levels of a pyramid) and masks. At least one.
    """
    numbers = [
        number
        for number, (_, tags) in enumerate(directories)
        if not tags.get(_NEW_SUBFILE, 0) & (_REDUCED | _MASK)
        and tags.get(_OLD_SUBFILE) != _OLD_REDUCED
    ]
    return numbers or list(range(max(1, len(directories))))


def read_directories(file: BinaryIO, header: TiffHeader) -> list[PageDirectory]:
    """The directories in the file's chain, as far as they can be read. (`tiff_tags` would read all
    values of every page.) The file's position stays.
    """
    found: list[PageDirectory] = []
    place, seen, left = header.first, set[int](), _MOST_ENTRIES
    with position_kept(file):
        try:
            while place and place not in seen and left > 0:
                seen.add(place)
                entries, following = read_entries(file, header, place, left)
                tags = {
                    entry.tag: int(struct.unpack_from(header.order + code, entry.field)[0])
                    for entry in entries
                    if entry.values == 1
                    and (code := INTEGER_CODES.get(entry.type))
                    and entry.place(header) == entry.at
                }
                found.append(PageDirectory(place, tags))
                place, left = following, left - 1 - len(entries)
        except (OSError, struct.error, ValueError):
            pass  # libvips explains what is wrong
    return found
