"""EXIF in TIFF files, whose first directory is EXIF's own: taken out of it, and put into it.

A block of EXIF has the same structure as a TIFF. What describes the pixels stays with the file;
everything else is copied value by value, with its bytes.
"""

from __future__ import annotations

from dataclasses import replace

from enlarge.media.metadata.tiff_tags import (
    EXIF,
    GPS,
    Directory,
    TiffHeader,
    Value,
    directory_bytes,
    directory_of,
)

DESCRIPTION = 270
MAKER_NOTE = 0x927C
_PIXELS = {
    *range(254, 260),  # size, depth, compression
    *(262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 284),
    *(282, 283, 286, 287, 288, 289, 290, 291, 292, 293, 296, 297),  # resolution, places, pages
    *(301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 326, 327, 328, 330),
    *(332, 333, 334, 336, 337, 338, 339, 340, 341, 342, 343, 344, 345, 347, 351),
    *range(512, 522),
    *range(529, 534),
    59932,  # padding
}
"""Tags that say how pixels are stored, or that other fields of the metadata hold."""
_PARTS = {700, 33723, 34377, 34675, 33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113, 50844}
"""XMP, IPTC, Photoshop's resources, colour profile, GeoTIFF."""
_FIRST_PRIVATE = 32768
_KNOWN = {
    *(33432, 33434, 33437),  # copyright, exposure
    *range(34850, 34870),
    *range(36864, 37511),
    *range(40091, 40096),  # texts of Windows
    *range(41483, 42241),
    50341,  # print image matching
}
"""Private tags that EXIF or TIFF/EP define. Others are a program's own, often larger than the
picture."""
_MOST_BEFORE, _MOST_PLACED = 48 << 10, 1 << 17
"""Bytes up to a maker note's end in a block (JPEG holds 64 KB of EXIF) and in a file, where it is
worth the room before it that it stays in its place."""
_HEADER = 8
INCH = 2
MILLIMETRES = {INCH: 25.4, 3: 10.0}
"""Of the units of a resolution."""


def exif_of_tiff(directory: Directory) -> bytes | None:
    """The EXIF block of a TIFF whose first directory is given, in its byte order; None if it has no
    EXIF.

    A maker note stands where it stood in the file, if it ended within the first 48 KiB.
    """
    entries = {
        tag: found
        for tag, found in directory.entries.items()
        if tag not in _PIXELS | _PARTS
        and (tag < _FIRST_PRIVATE or tag in _KNOWN or tag in (EXIF, GPS))
        and not (tag == DESCRIPTION and _is_generated(found))
    }
    if not entries:
        return None
    block, note = with_note_in_place(Directory(directory.order, entries), _MOST_BEFORE)
    before = b""
    if note is not None:
        before = bytes(note.at - _HEADER) + note.data
        before += bytes(len(before) % 2)
    header = TiffHeader(directory.order, big=False, first=0)
    data, place = directory_bytes(block, header, _HEADER + len(before))
    return TiffHeader(directory.order, big=False, first=place).bytes() + before + data


def with_note_in_place(
    block: Directory, most: int = _MOST_PLACED
) -> tuple[Directory, Value | None]:
    """The directory whose maker note stays where it stood, and that note, which has to be written
    there; None if there is none, or none that could stay, as it ends behind the first `most` bytes.

    Most makers count the offsets in their notes from the beginning of the block, or of the file.
    """
    inner = block.inner(EXIF)
    note = inner.value(MAKER_NOTE) if inner is not None else None
    if inner is None or note is None:
        return block, None
    if note.at < _HEADER or note.at + len(note.data) > most:
        return block, None
    kept = replace(inner, entries={**inner.entries, MAKER_NOTE: replace(note, stays=True)})
    return replace(block, entries={**block.entries, EXIF: kept}), note


def _is_generated(found: Value | Directory) -> bool:
    """Whether a description gives the shape of the pixels, as tifffile's and ImageJ's do."""
    data = found.data if isinstance(found, Value) else b""
    return data.startswith((b'{"shape": [', b"ImageJ=")) or not data.strip(b"\0 ")


def exif_entries(exif: bytes) -> Directory:
    """The directory of an EXIF block, without what describes the pixels of the file that it was in.
    Raises `ValueError`.
    """
    directory = directory_of(exif)
    entries = {
        tag: found for tag, found in directory.entries.items() if tag not in _PIXELS | _PARTS
    }
    return Directory(directory.order, entries)


def resolution_of(exif: bytes) -> tuple[float, float] | None:
    """The resolution in an EXIF block, in pixels per millimetre; None if there is none."""
    try:
        directory = directory_of(exif)
    except ValueError:
        return None
    across, down = directory.ratio(282), directory.ratio(283)
    unit = MILLIMETRES.get(directory.integer(296, INCH))
    return (across / unit, down / unit) if unit and min(across, down) > 0 else None
