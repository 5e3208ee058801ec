"""GeoTIFF (OGC 19-008r4): where a picture lies on the earth, adapted to the enlarged picture.

Its tags count in pixels: a position of a picture is joined to one on the map by tie points and the
size of a pixel, by a matrix, or by rational functions (RPC). GDAL's own tags are kept with them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from enlarge.media.metadata.change import Change
from enlarge.media.metadata.tiff_tags import DOUBLE, Directory, Value, reordered

PIXEL_SCALE, TIE_POINTS, MATRIX = 33550, 33922, 34264
KEYS, DOUBLES, TEXTS = 34735, 34736, 34737
GDAL_METADATA, GDAL_NODATA, RATIONAL_FUNCTIONS = 42112, 42113, 50844
_PLACES = (PIXEL_SCALE, TIE_POINTS, MATRIX, KEYS, DOUBLES, TEXTS, RATIONAL_FUNCTIONS)
_RASTER_TYPE, _PIXEL_IS_POINT = 1025, 2
_STATISTICS = re.compile(rb"\s*<Item\b[^>]*\bname=[\"']STATISTICS_[^>]*>[^<]*</Item>")
"""Of the old pixels, in GDAL's metadata."""


@dataclass(frozen=True)
class GeoTags:
    """The tags, all of them in little-endian order."""

    values: tuple[tuple[int, Value], ...]

    @property
    def has_place(self) -> bool:
        """Whether they say where the picture lies."""
        return any(tag in _PLACES for tag, _ in self.values)

    def without_place(self) -> GeoTags | None:
        """What is left without all that can hold a position: the value of missing pixels."""
        kept = tuple(pair for pair in self.values if pair[0] == GDAL_NODATA)
        return GeoTags(kept) if kept else None

    def placed(self, change: Change) -> GeoTags:
        """The tags for a picture of which every pixel became several."""
        half = 0.5 if self._is_point() else 0.0
        return GeoTags(
            tuple((tag, _placed(tag, value, change, half)) for tag, value in self.values)
        )

    def _is_point(self) -> bool:
        """Whether positions are those of the pixels' centres (PixelIsPoint), not of their upper
        left corners (7.1.2.2 GTRasterTypeGeoKey).
        """
        keys = Directory("<", dict(self.values)).integers(KEYS)
        places = range(4, len(keys) - 3, 4)
        return any(keys[at] == _RASTER_TYPE and keys[at + 3] == _PIXEL_IS_POINT for at in places)


def geo_tags(directory: Directory) -> GeoTags | None:
    """The tags in a TIFF's directory; None if there are none."""
    found = tuple(
        (tag, reordered(value, directory.order, "<"))
        for tag in (*_PLACES, GDAL_METADATA, GDAL_NODATA)
        if (value := directory.value(tag)) is not None
    )
    return GeoTags(found) if found else None


def _placed(tag: int, value: Value, change: Change, half: float) -> Value:
    if tag == GDAL_METADATA:
        data = _STATISTICS.sub(b"", value.data)
        return Value(value.type, len(data), data)
    if value.type != DOUBLE or tag in (DOUBLES, TEXTS, KEYS):
        return value
    numbers = list(struct.unpack(f"<{value.count}d", value.data))
    if tag == PIXEL_SCALE and len(numbers) >= 2:
        numbers[:2] = numbers[0] / change.across, numbers[1] / change.down
    elif tag == TIE_POINTS:
        for at in range(0, len(numbers) - 5, 6):
            numbers[at] = (numbers[at] + half - change.corner[0]) * change.across - half
            numbers[at + 1] = (numbers[at + 1] + half - change.corner[1]) * change.down - half
    elif tag == MATRIX and len(numbers) == 16:
        numbers = _placed_matrix(numbers, change, half)
    elif tag == RATIONAL_FUNCTIONS and len(numbers) >= 12:
        # LINE_OFF and SAMP_OFF are at pixels' centres; LINE_SCALE and SAMP_SCALE are lengths.
        numbers[2] = (numbers[2] + 0.5 - change.corner[1]) * change.down - 0.5
        numbers[3] = (numbers[3] + 0.5 - change.corner[0]) * change.across - 0.5
        numbers[7], numbers[8] = numbers[7] * change.down, numbers[8] * change.across
    return Value(DOUBLE, len(numbers), struct.pack(f"<{len(numbers)}d", *numbers))


def _placed_matrix(matrix: Sequence[float], change: Change, half: float) -> list[float]:
    """The matrix that takes a position in the result to the same place on the map: first
    `old = (new + half) / factor - half + corner`, then what the matrix did.
    """
    out = list(matrix)
    shifts = (
        half / change.across - half + change.corner[0],
        half / change.down - half + change.corner[1],
    )
    for row in range(0, 16, 4):
        out[row] = matrix[row] / change.across
        out[row + 1] = matrix[row + 1] / change.down
        out[row + 3] = matrix[row + 3] + matrix[row] * shifts[0] + matrix[row + 1] * shifts[1]
    return out
