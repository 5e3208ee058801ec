"""What a TIFF without a profile says of its colour: WhitePoint, PrimaryChromaticities and
TransferFunction (TIFF 6.0, section 20).
"""

from __future__ import annotations

import struct

import numpy as np

from enlarge.media.colour.colour import Colour
from enlarge.media.colour.curves import to_light
from enlarge.media.colour.profile_making import chromaticities_are_valid
from enlarge.media.metadata.tiff_tags import SHORT, Directory

_PHOTOMETRIC, _TRANSFER, _WHITE, _PRIMARIES = 262, 301, 318, 319
_GRAY_OR_RGB = frozenset({1, 2, 3, 6})
_D65 = (0.3127, 0.3290)
_TOLERANCE = 0.01
"""Share of white by which a table may differ from the curve that replaces it."""
_SRGB = 13


def colour_of_tiff(directory: Directory) -> Colour | None:
    """What the directory says, None if it says nothing, or says it of other colours than gray and
    RGB. A table of light that is neither sRGB's nor a power of the numbers is passed over.
    """
    if directory.integer(_PHOTOMETRIC, 1) not in _GRAY_OR_RGB:
        return None
    colour = Colour(gamma=_gamma(directory), chromaticities=_chromaticities(directory))
    return colour if colour.names() else None


def _chromaticities(directory: Directory) -> tuple[int, ...] | None:
    """White, red, green and blue in 1/100,000."""
    primaries, white = directory.ratios(_PRIMARIES), directory.ratios(_WHITE) or _D65
    if len(primaries) != 6 or len(white) != 2:
        return None
    values = tuple(round(value * 1e5) for value in (*white, *primaries))
    valid = max(values) <= 100_000
    return (
        values if valid and chromaticities_are_valid(Colour(chromaticities=values).points) else None
    )


def _gamma(directory: Directory) -> int | None:
    """The exponent of the first table, in 1/100,000; None if it is sRGB's or no power."""
    found = directory.value(_TRANSFER)
    bits = directory.integer(258, 1)
    if found is None or found.type != SHORT or not 2 <= bits <= 16 or found.count < 1 << bits:
        return None
    table = np.array(struct.unpack_from(f"{directory.order}{1 << bits}H", found.data)) / 65_535
    numbers = np.linspace(0, 1, len(table))
    middle = len(table) // 2
    if table[-1] < 1 or not 0 < table[middle] < 1:
        return None
    gamma = float(np.log(table[middle]) / np.log(numbers[middle]))
    from_power = np.abs(table - numbers**gamma).max()
    from_srgb = np.abs(table - to_light(_SRGB, numbers)).max()
    is_power = 0.1 < gamma < 10 and from_power < min(_TOLERANCE, from_srgb)
    return round(1e5 / gamma) if is_power else None
