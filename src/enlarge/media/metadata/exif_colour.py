"""The colour space that EXIF names, where there is no profile: cameras write Adobe RGB this way."""

from __future__ import annotations

from enlarge.media.colour.colour import ADOBE_RGB, Colour
from enlarge.media.metadata.tiff_tags import EXIF, INTEROPERABILITY, directory_of

_INDEX, _COLOUR_SPACE = 0x0001, 0xA001
_OPTION_FILE = b"R03"
"""A DCF option file, whose colour space is Adobe RGB (CIPA DC-009)."""
_ADOBE_RGB = 2
"""Not in the standard, but written (ExifTool's list of tags)."""
_GAMMA = 45_470
"""The exponent of Adobe RGB, 256 / 563, in 1/100,000 (Adobe RGB (1998), 4.3.4)."""


def colour_of_exif(block: bytes) -> Colour | None:
    """Adobe RGB if the block says so; None if it says anything else, or cannot be read."""
    try:
        exif = directory_of(block).inner(EXIF)
    except ValueError:
        return None
    if exif is None:
        return None
    space, interoperability = exif.integer(_COLOUR_SPACE), exif.inner(INTEROPERABILITY)
    found = interoperability.value(_INDEX) if interoperability is not None else None
    index = found.data[:3] if found is not None else b""
    if space != _ADOBE_RGB and (space == 1 or index != _OPTION_FILE):
        return None
    red, green, blue, white = ADOBE_RGB
    values = tuple(round(value * 1e5) for point in (white, red, green, blue) for value in point)
    return Colour(gamma=_GAMMA, chromaticities=values)
