"""The metadata of a TIFF, but for XMP and the colour profile, which libvips reads and writes."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

from enlarge.media.metadata.geotiff import geo_tags
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.metadata.photoshop import iim_of, resources_of, without_iim
from enlarge.media.metadata.tiff_exif import (
    DESCRIPTION,
    INCH,
    MILLIMETRES,
    exif_entries,
    exif_of_tiff,
    resolution_of,
    with_note_in_place,
)
from enlarge.media.metadata.tiff_tags import (
    ASCII,
    BYTE,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Directory,
    Value,
    read_directory,
    read_tiff_header,
    reordered,
    replace_first_directory,
)

if TYPE_CHECKING:
    from enlarge.media.output import Encoding

_STRIPS = 273
_ACROSS, _DOWN, _UNIT = 282, 283, 296
"""The resolution."""
_IPTC, _PHOTOSHOP = 33723, 34377
_NO_UNIT = 1
_DENSEST = 10_000.0
"""Pixels per millimetre; rationals of 32 bits hold no more with their denominators."""


def read_metadata(found: Metadata, directory: Directory) -> Metadata:
    """The metadata that libvips found, with what it does not find."""
    unit = directory.integer(_UNIT, INCH)
    across, down = directory.ratio(_ACROSS), directory.ratio(_DOWN)
    density, aspect = None, None
    if unit in MILLIMETRES and min(across, down) > 0:
        density = (across / MILLIMETRES[unit], down / MILLIMETRES[unit])
    elif min(across, down) > 0 and across != down:
        aspect = (round(across), round(down))
    return replace(
        found,
        exif=exif_of_tiff(directory),
        iptc=_resources(directory),
        density=density,
        aspect=aspect if aspect and min(aspect) > 0 else None,
        geo=geo_tags(directory),
    )


def _resources(directory: Directory) -> bytes | None:
    """Photoshop's image resources, of which IPTC data is one; None if there are none."""
    own, iptc = directory.value(_PHOTOSHOP), directory.value(_IPTC)
    found = resources_of(own.data) if own is not None else b""
    if iptc is not None and not iim_of(found):
        found += resources_of(iptc.data)
    return found or None


def exif_to_write(
    encoding: Encoding, notes: list[str], head: int
) -> tuple[Directory, Value | None]:
    """The EXIF directory, and the maker note in it that has to be written where it stood, behind
    the first `head` bytes; None if it need not be.
    """
    block = encoding.metadata.exif
    try:
        directory = exif_entries(block) if block is not None else Directory("<", {})
    except ValueError as error:
        notes.append(f"the EXIF data is damaged ({error}) and is left out")
        return Directory("<", {}), None
    placed, note = with_note_in_place(directory)
    if note is not None and (encoding.pyramid or note.at < head):
        notes.append(
            "the camera maker's note is kept but moved, so programs may not find everything that "
            "it points to"
        )
        return directory, None
    return placed, note


def add_metadata(
    file: BinaryIO, seen: BinaryIO, metadata: Metadata, described: Directory, gap: int
) -> None:
    """Give a TIFF that libvips wrote its metadata: a new first directory after its end. `seen`:
    the file as libvips saw it, without the gap near its beginning.
    """
    header = read_tiff_header(seen)
    written = read_directory(seen, header)
    entries = dict(written.entries)
    if gap and (strips := written.shifted(_STRIPS, gap)):
        entries[_STRIPS] = strips
    entries |= _resolution(metadata, header.order)  # libvips writes one in any case
    for tag, found in described.entries.items():
        if isinstance(found, Value):
            found = reordered(found, described.order, header.order)
        entries[tag] = found
    known = described.value(DESCRIPTION)
    if text := _description(metadata, known.data.rstrip(b"\0") if known else b""):
        entries[DESCRIPTION] = Value(ASCII, len(text), text)
    for tag, value in metadata.geo.values if metadata.geo else ():
        entries[tag] = reordered(value, "<", header.order)
    if metadata.iptc is not None:
        parts = (without_iim(metadata.iptc), iim_of(metadata.iptc))
        for tag, kind, data in zip((_PHOTOSHOP, _IPTC), (BYTE, UNDEFINED), parts, strict=True):
            if data:
                entries[tag] = Value(kind, len(data), data)
    replace_first_directory(file, header, Directory(header.order, entries, written.following))


def _resolution(metadata: Metadata, order: str) -> dict[int, Value]:
    """The tags of the resolution (EXIF's where only EXIF tells one), or of the ratio of its two
    values. Where there is neither, they say so: readers assume 1 or 72 dpi where they are missing.
    """
    density = metadata.density
    if density is None and metadata.aspect is None and metadata.exif is not None:
        density = resolution_of(metadata.exif)
    if density is not None and max(density) < _DENSEST:
        across, down = (
            Fraction(value * MILLIMETRES[INCH]).limit_denominator(10_000) for value in density
        )
        unit = INCH
    else:
        across, down = map(Fraction, metadata.aspect or (1, 1))
        unit = _NO_UNIT
    return {
        tag: Value(RATIONAL, 1, struct.pack(order + "II", *value.as_integer_ratio()))
        for tag, value in ((_ACROSS, across), (_DOWN, down))
    } | {_UNIT: Value(SHORT, 1, struct.pack(order + "H", unit))}


def _description(metadata: Metadata, known: bytes) -> bytes | None:
    """The texts as one description, which is all that TIFF has; None if it is `known` already."""
    lines = [(key, text.encode()) for key, text in metadata.text if text.encode() != known]
    if not lines:
        return None
    if len(lines) == 1 and lines[0][0] == "Description" and not known:
        return lines[0][1] + b"\0"
    listed = [*([known] if known else []), *(key.encode() + b": " + text for key, text in lines)]
    return b"\n".join(listed) + b"\0"
