"""The Multi-Picture Format (CIPA DC-007): JPEG files one behind the other, with an index in the
first one's APP2 segment. Stereo cameras use it, and so do phones for previews and gain maps.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from enlarge.media.bounded import position_kept
from enlarge.media.formats.gain_map_names import names_gain_map
from enlarge.media.formats.jpeg_segments import APP1, APP2, segments_of

SIGNATURE = b"MPF\0"
"""What the index's segment begins with."""
_COUNT, _ENTRIES = 0xB001, 0xB002
_ENTRY = 16
_UNDEFINED, _BASELINE, _MULTI_FRAME, _THUMBNAIL = 0x00, 0x03, 0x02, 0x01
_KIND_SHIFT, _FORMAT_SHIFT = 16, 24
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_MOST_PICTURES, _MOST_SEGMENTS = 256, 1024
_AUXILIARY = (b"AuxiliaryImageType", b"http://ns.google.com/photos/1.0/depthmap/")
"""What the segments of depth maps, and of Apple's gain maps, contain."""


class Place(NamedTuple):
    """Where a picture is in the file, in bytes."""

    offset: int
    size: int


class _Head(NamedTuple):
    """What a JPEG's segments before its pixels tell."""

    size: tuple[int, int] | None
    is_auxiliary: bool
    directory: tuple[int, bytes] | None


def pictures_within(file: BinaryIO) -> list[Place]:
    """The full-size pictures of a JPEG file, the file's own one first; previews, gain maps and
    depth maps are left out. The file's position stays.
    """
    with position_kept(file):
        end = file.seek(0, 2)
        first = _head(file, 0)
        found = [Place(0, end)]
        for kind, place in entries_of(*first.directory, end) if first.directory else ():
            if kind == _THUMBNAIL or place.offset == 0:
                continue
            head = _head(file, place.offset)
            is_own = kind in (_MULTI_FRAME, _BASELINE) or head.size == first.size
            if head.size is not None and is_own and not head.is_auxiliary:
                found.append(place)
        return found


def entries_of(at: int, segment: bytes, end: int) -> Iterator[tuple[int, Place]]:
    """The kind and the place of every JPEG in the index that a segment at `at` holds, in a file of
    `end` bytes.
    """
    start, block = at + len(SIGNATURE), segment[len(SIGNATURE) :]
    order = "<" if block[:2] == b"II" else ">"
    try:
        (ifd,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, ifd)
        tags = [struct.unpack_from(f"{order}HHII", block, ifd + 2 + 12 * n) for n in range(count)]
        values = {tag: (length, value) for tag, _, length, value in tags}
        length, table = values[_ENTRIES]
        for number in range(min(values[_COUNT][1], length // _ENTRY, _MOST_PICTURES)):
            flags, size, offset = struct.unpack_from(f"{order}III", block, table + _ENTRY * number)
            place = start + offset if offset else 0
            is_jpeg = flags >> _FORMAT_SHIFT & 7 == 0
            if is_jpeg and size and place < end:
                yield flags >> _KIND_SHIFT & 0xFF, Place(place, min(size, end - place))
    except (struct.error, KeyError):
        return


def _head(file: BinaryIO, offset: int) -> _Head:
    """Read a JPEG's segments before its pixels."""
    size, is_auxiliary, index = None, False, None
    for marker, at, length in segments_of(file, offset, _MOST_SEGMENTS):
        if marker in _FRAMES and len(body := file.read(min(length, 5))) == 5:
            height, width = struct.unpack_from(">HH", body, 1)
            size = (width, height)
        elif marker in (APP1, APP2):
            body = file.read(length)
            is_auxiliary |= names_gain_map(body) or any(mark in body for mark in _AUXILIARY)
            if marker == APP2 and index is None and body.startswith(SIGNATURE):
                index = (at, body)
    return _Head(size, is_auxiliary, index)
