"""EXIF in TIFF files, whose first directory is EXIF's own: taken out of it, and put into it.

A block of EXIF has the same structure as a TIFF. What describes the pixels stays with the file;
everything else is copied value by value, with its bytes.
"""

from __future__ import annotations

import io

from enlarge.media.tiff_tags import (
    EXIF,
    GPS,
    Directory,
    Header,
    Value,
    directory_bytes,
    read_directory,
    read_header,
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
_MOST_OFFSET = 48 << 10


def exif_of_tiff(directory: Directory) -> bytes | None:
    """The EXIF block of a TIFF whose first directory is given, in its byte order; None if it has no
    EXIF.

    A maker note stands where it stood in the file if that is below 48 KiB, as its own offsets count
    from the beginning.
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
    block = Directory(directory.order, entries)
    header = Header(directory.order, big=False, first=0)
    start = 8
    data, place = directory_bytes(block, header, start)
    inner = block.entries.get(EXIF)
    note = inner.value(MAKER_NOTE) if isinstance(inner, Directory) else None
    if note is not None and note.at:
        moved = note.at - (start + data.find(note.data))
        if moved > 0 and note.at <= _MOST_OFFSET and moved % 2 == 0:
            start += moved
            data, place = directory_bytes(block, header, start)
    return Header(directory.order, big=False, first=place).bytes() + bytes(start - 8) + data


def _is_generated(found: Value | Directory) -> bool:
    """Whether a description gives the shape of the pixels, as tifffile's and ImageJ's do."""
    data = found.data if isinstance(found, Value) else b""
    return data.startswith((b'{"shape": [', b"ImageJ=")) or not data.strip(b"\0 ")


def exif_entries(exif: bytes) -> Directory:
    """The directory of an EXIF block, without what describes the pixels of the file that it was in.
    Raises `ValueError`.
    """
    file = io.BytesIO(exif)
    directory = read_directory(file, read_header(file))
    entries = {
        tag: found for tag, found in directory.entries.items() if tag not in _PIXELS | _PARTS
    }
    return Directory(directory.order, entries)


def has_resolution(exif: bytes) -> bool:
    """Whether an EXIF block tells a resolution."""
    file = io.BytesIO(exif)
    try:
        directory = read_directory(file, read_header(file))
    except ValueError:
        return False
    return min(directory.ratio(282), directory.ratio(283)) > 0 and directory.integer(296, 2) != 1
