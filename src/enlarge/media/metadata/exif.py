r"""Edit EXIF in place: every offset stays where it was, so that maker notes and texts survive.

IFD0 describes the picture, the Exif, GPS and interoperability IFDs that it points to the exposure,
the position and the file, IFD1 the thumbnail. CIPA DC-008.

Compared: piexif (no longer kept) and exif move maker notes and lose what they do not know; exifread
only reads; pyexiv2 and exiv2 are under the GPL; libexif, which libvips uses, rounds numbers.
"""

from __future__ import annotations

import contextlib

from enlarge.media.metadata.change import Change
from enlarge.media.metadata.exif_block import ExifBlock, ExifEntry
from enlarge.media.metadata.maker_notes import adapt_maker_note
from enlarge.media.metadata.positions import holds_coordinates
from enlarge.media.metadata.tiff_tags import LONG, SHORT

_MAKE, _ORIENTATION = 0x010F, 0x0112
_EXIF, _GPS, _INTEROPERABILITY, _MAKER_NOTE = 0x8769, 0x8825, 0xA005, 0x927C
_THUMBNAIL, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_STRIPS, _STRIP_BYTES = 0x0111, 0x0117
_SUB_IFDS = 0x014A
_WIDTHS, _HEIGHTS = frozenset({0x0100, 0xA002, 0x1001}), frozenset({0x0101, 0xA003, 0x1002})
_FOCAL_X, _FOCAL_Y = 0xA20E, 0xA20F
_SUBJECTS = frozenset({0x9214, 0xA214})
_CROP_TAGS = frozenset({0xC61F, 0xC620, 0xC68D})  # DNG's crop and active area
_EMBEDDED = frozenset({
    _THUMBNAIL, _THUMBNAIL_LENGTH, _STRIPS, _STRIP_BYTES, 0x0116, 0x0144, 0x0145,
    0x02BC, 0x83BB, 0x8649, 0x8773,  # XMP, IPTC, Photoshop, ICC: this file has them elsewhere
})  # fmt: skip
"""What IFD0 holds only in a TIFF file: pixels, and other kinds of metadata."""
_GEO_TIFF = frozenset({0x830E, 0x8482, 0x85D8, 0x87AF, 0x87B0, 0x87B1})
_TEXT_TYPES = frozenset({1, 2, 7})


def orientation_of(data: bytes) -> int:
    """The orientation, 1 to 8, in a block; 1 if it has none or cannot be read."""
    try:
        block = ExifBlock(bytearray(data))
        for entry in block.entries(block.get("I", 4)):
            if entry.tag == _ORIENTATION and 1 <= block.value(entry) <= 8:
                return block.value(entry)
    except ValueError:
        pass
    return 1


def adapt_exif(data: bytes, change: Change, *, gps: bool = True) -> bytes:
    """The block for the result of a change.

    Sets the orientation, updates sizes and areas in pixels and removes embedded pictures, and
    positions unless `gps`. Raises `ValueError` if the block cannot be read.
    """
    block = ExifBlock(bytearray(data))
    main = block.get("I", 4)
    _drop_thumbnails(block, main)
    directories = _directories(block, main)
    make = next((block.text(e) for e in block.entries(main) if e.tag == _MAKE), b"")
    for ifd in directories:
        for entry in block.entries(ifd):
            if entry.tag == _MAKER_NOTE and entry.size > 4:
                adapt_maker_note(block, block.place(entry), entry.size, make, gps=gps)
    block.wipe_pictures()
    for ifd in directories:
        _adapt_directory(block, ifd, change)
    if not gps:
        _drop_positions(block, main)
        if has_gps(bytes(block.data)):  # in a damaged block, GPS can lie over the header itself
            raise ValueError("GPS data overlaps the rest of the block")
    return bytes(block.data)


def has_gps(data: bytes) -> bool:
    """Whether a block points to GPS data; also true if it cannot be read."""
    try:
        block = ExifBlock(bytearray(data))
        return any(
            entry.tag == _GPS
            for ifd in _directories(block, block.get("I", 4))
            for entry in block.entries(ifd)
        )
    except ValueError:
        return True


def _directories(block: ExifBlock, main: int) -> list[int]:
    """IFD0, the Exif IFD and the interoperability IFD."""
    found = [main]
    for tag in (_EXIF, _INTEROPERABILITY):
        for ifd in list(found):
            for entry in block.entries(ifd):
                if entry.tag == tag and (inner := block.value(entry)) not in found:
                    block.entries(inner)
                    found.append(inner)
    return found


def _drop_thumbnails(block: ExifBlock, main: int) -> None:
    """Unlink and zero the directories behind IFD0, those below it, and their pictures."""
    pictures: list[int] = []
    with contextlib.suppress(ValueError):  # a broken one is unlinked all the same
        pictures += block.chain(main)
    pointer = block.next_pointer(main)  # some writers leave the last pointer out
    if pointer is not None:
        block.put("I", pointer, 0)
    for entry in block.entries(main):
        if entry.tag == _SUB_IFDS and entry.type in (LONG, 13):
            try:
                pictures += [ifd for _, ifd in block.numbers(entry)]
            except ValueError:
                continue
    for ifd in pictures:
        try:
            _wipe_picture(block, ifd)
        except ValueError:
            continue
    block.remove(main, frozenset({_SUB_IFDS}))


def _wipe_picture(block: ExifBlock, ifd: int) -> None:
    """Zero a directory of an embedded picture, and the picture."""
    areas = _picture_areas(block, ifd)
    block.wipe_ifd(ifd)
    for start, length in areas:
        block.wipe(start, length)
        if start and start + length >= len(block.data):
            del block.data[start:]


def _picture_areas(block: ExifBlock, ifd: int) -> list[tuple[int, int]]:
    """Offsets and lengths of the picture, or its strips, that a directory points to."""
    entries = {entry.tag: entry for entry in block.entries(ifd)}
    areas: list[tuple[int, int]] = []
    for start, length in ((_THUMBNAIL, _THUMBNAIL_LENGTH), (_STRIPS, _STRIP_BYTES)):
        if start in entries and length in entries:
            starts = [value for _, value in block.numbers(entries[start])]
            lengths = [value for _, value in block.numbers(entries[length])]
            areas += zip(starts, lengths, strict=False)
    return areas


def _adapt_directory(block: ExifBlock, ifd: int, change: Change) -> None:
    for start, length in _picture_areas(block, ifd):
        block.wipe(start, length)
    gone = _EMBEDDED | (_SUBJECTS | _CROP_TAGS if change.moved else frozenset())
    block.remove(ifd, frozenset(gone))
    for entry in block.entries(ifd):
        if entry.tag == _ORIENTATION:
            block.set_value(entry, change.orientation)
        elif entry.tag in _WIDTHS:
            block.set_value(entry, change.width)
        elif entry.tag in _HEIGHTS:
            block.set_value(entry, change.height)
        elif entry.tag in (_FOCAL_X, _FOCAL_Y) and entry.size == 8:
            _scale_fraction(block, entry, change.across if entry.tag == _FOCAL_X else change.down)
        elif entry.tag in _SUBJECTS and entry.type == SHORT:
            _scale_area(block, entry, change)


def _scale_fraction(block: ExifBlock, entry: ExifEntry, factor: float) -> None:
    """Multiply a RATIONAL by a factor."""
    place = block.place(entry)
    above, below = block.get("I", place), block.get("I", place + 4)
    while above * factor >= 1 << 32:
        above, below = above // 2, below // 2
    block.put("I", place, round(above * factor))
    block.put("I", place + 4, below)


def _scale_area(block: ExifBlock, entry: ExifEntry, change: Change) -> None:
    """Scale x, y, and a diameter or a width and a height, as far as they fit into SHORTs."""
    for number, (at, value) in enumerate(block.numbers(entry)):
        scaled = round(value * (change.down if number % 2 else change.across))
        block.put("H", at, min(scaled, 0xFFFF))


def _drop_positions(block: ExifBlock, main: int) -> None:
    """Remove the GPS IFD, GeoTIFF's tags, and texts with coordinates."""
    for ifd in _directories(block, main):
        for entry in block.entries(ifd):
            if entry.tag == _GPS:
                block.wipe_ifd(block.value(entry))
        block.remove(ifd, _GEO_TIFF | {_GPS})
        placed = {
            entry.tag
            for entry in block.entries(ifd)
            if entry.type in _TEXT_TYPES and entry.size > 4 and _gives_position(block.text(entry))
        }
        block.remove(ifd, frozenset(placed))


def _gives_position(data: bytes) -> bool:
    """Whether the bytes of a value, in any of the codings in use, give coordinates."""
    plain = data.replace(b"\0", b"")  # the texts of Windows are in UTF-16
    return holds_coordinates(plain.decode("utf-8", "replace").removeprefix("UNICODE"))
