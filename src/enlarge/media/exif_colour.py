"""The colour space that EXIF names, where there is no profile: cameras write Adobe RGB this way."""

from __future__ import annotations

from enlarge.media.colour import ADOBE_RGB, Colour
from enlarge.media.exif_block import ExifBlock

_EXIF, _INTEROPERABILITY, _INDEX, _COLOUR_SPACE = 0x8769, 0xA005, 0x0001, 0xA001
_OPTION_FILE = b"R03"
"""A DCF option file, whose colour space is Adobe RGB (CIPA DC-009)."""
_ADOBE_RGB = 2
"""Not in the standard, but written (ExifTool's list of tags)."""
_GAMMA = 45_470
"""The exponent of Adobe RGB, 256 / 563, in 1/100,000 (Adobe RGB (1998), 4.3.4)."""


def colour_of_exif(block: bytes) -> Colour | None:
    """Adobe RGB if the block says so; None if it says anything else, or cannot be read."""
    try:
        exif = ExifBlock(bytearray(block))
        directory = _directory(exif, exif.get("I", 4), _EXIF)
        if directory is None:
            return None
        index, space = b"", 0
        for entry in exif.entries(directory):
            if entry.tag == _COLOUR_SPACE:
                space = exif.value(entry)
        inner = _directory(exif, directory, _INTEROPERABILITY)
        for entry in exif.entries(inner) if inner is not None else []:
            if entry.tag == _INDEX:
                index = exif.text(entry)[:3]
    except ValueError:
        return None
    if space != _ADOBE_RGB and (space == 1 or index != _OPTION_FILE):
        return None
    red, green, blue, white = ADOBE_RGB
    values = tuple(round(value * 1e5) for point in (white, red, green, blue) for value in point)
    return Colour(gamma=_GAMMA, chromaticities=values)


def _directory(exif: ExifBlock, ifd: int, tag: int) -> int | None:
    """The directory that an entry of another one points to."""
    return next((exif.value(entry) for entry in exif.entries(ifd) if entry.tag == tag), None)
