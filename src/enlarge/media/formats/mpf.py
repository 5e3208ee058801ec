"""The Multi-Picture Format (CIPA DC-007): JPEG files one behind the other, with an index in the
first one's APP2 segment. Stereo cameras use it, and so do phones for previews and gain maps.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_SIGNATURE = b"MPF\0"
_COUNT, _ENTRIES = 0xB001, 0xB002
_ENTRY = 16
_UNDEFINED, _BASELINE, _MULTI_FRAME, _THUMBNAIL = 0x00, 0x03, 0x02, 0x01
_KIND_SHIFT, _FORMAT_SHIFT = 16, 24
_APP1, _APP2, _SCAN = 0xE1, 0xE2, 0xDA
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_MOST_PICTURES, _MOST_SEGMENTS = 256, 1024
_AUXILIARY = (
    b"hdrgm:",
    b"http://ns.adobe.com/hdr-gain-map/",
    b"http://ns.apple.com/HDRGainMap/",
    b"AuxiliaryImageType",
    b"http://ns.google.com/photos/1.0/depthmap/",
    b"urn:iso:std:iso:ts:21496",
)
"""What stands in the segments of gain maps and depth maps."""


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
    before = file.tell()
    try:
        end = file.seek(0, 2)
        first = _head(file, 0)
        found = [Place(0, end)]
        for kind, place in _entries(first.directory, end):
            if kind == _THUMBNAIL or place.offset == 0:
                continue
            head = _head(file, place.offset)
            is_own = kind in (_MULTI_FRAME, _BASELINE) or head.size == first.size
            if head.size is not None and is_own and not head.is_auxiliary:
                found.append(place)
        return found
    finally:
        file.seek(before)


def _entries(index: tuple[int, bytes] | None, end: int) -> Iterator[tuple[int, Place]]:
    """The kind and the place of every JPEG in an index, which counts from its own beginning."""
    if index is None:
        return
    start, block = index
    order = "<" if block[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, at)
        tags = [struct.unpack_from(f"{order}HHII", block, at + 2 + 12 * n) for n in range(count)]
        values = {tag: (length, value) for tag, _, length, value in tags}
        length, table = values[_ENTRIES]
        for number in range(min(values[_COUNT][1], length // _ENTRY, _MOST_PICTURES)):
            flags, size, offset = struct.unpack_from(f"{order}III", block, table + _ENTRY * number)
            at = start + offset if offset else 0
            is_jpeg = flags >> _FORMAT_SHIFT & 7 == 0
            if is_jpeg and size and at < end:
                yield flags >> _KIND_SHIFT & 0xFF, Place(at, min(size, end - at))
    except (struct.error, KeyError):
        return


def _head(file: BinaryIO, offset: int) -> _Head:
    """Read a JPEG's segments before its pixels."""
    size, is_auxiliary, index = None, False, None
    for marker, at, body in _segments(file, offset):
        if marker in _FRAMES and len(body) >= 5:
            height, width = struct.unpack_from(">HH", body, 1)
            size = (width, height)
        elif marker in (_APP1, _APP2):
            is_auxiliary = is_auxiliary or any(mark in body for mark in _AUXILIARY)
            if marker == _APP2 and index is None and body.startswith(_SIGNATURE):
                index = (at + len(_SIGNATURE), body[len(_SIGNATURE) :])
    return _Head(size, is_auxiliary, index)


def _segments(file: BinaryIO, offset: int) -> Iterator[tuple[int, int, bytes]]:
    """The marker, the place and the body of the segments before the pixels that tell of them."""
    file.seek(offset)
    if file.read(2) != b"\xff\xd8":
        return
    for _ in range(_MOST_SEGMENTS):
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] == _SCAN:
            return
        at = file.tell()
        length = struct.unpack_from(">H", head, 2)[0] - 2
        if length < 0:
            return
        if head[1] in (_APP1, _APP2) or head[1] in _FRAMES:
            yield head[1], at, file.read(length)
        file.seek(at + length)
