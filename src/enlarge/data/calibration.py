"""Crops of photographs from which quantisation measures a network's value ranges.

A network's inputs look like the LR pictures of its training, which photographs do not; so each
photograph is first reduced by the network's factor with MATLAB's bicubic.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from enlarge.data.photos import Pixels, list_photos, read_rgb
from enlarge.errors import DataError
from enlarge.media.resample import imresize

SIDE = 96
"""Side of a crop in LR pixels, if the picture is large enough."""
CALIBRATION, HELD_OUT = 64, 12
"""Crops to calibrate on, and crops of other pictures to verify on."""
_LEAST = 24
_CONTEXT = 4
"""LR pixels around a crop that are reduced with it: bicubic reaches 2."""
_SHARE = 8


class CalibrationCrops(NamedTuple):
    """LR crops, uint8 h×w×3: those to calibrate on, and those of other pictures to verify on."""

    calibration: list[Pixels]
    held_out: list[Pixels]


def calibration_photos(folder: Path) -> list[Path]:
    """The pictures in a folder (with a manifest: those of its part `free`).

    Raises `DataError` if it is not a folder or has fewer than two.
    """
    if not folder.is_dir():
        raise DataError(f"--calibrate {folder}: no such folder; expected one with photographs")
    try:
        photos = list_photos(folder, None)
    except DataError as error:
        raise DataError(
            f"--calibrate {folder}: contains no pictures; expected photographs (.jpg, .png, .webp, "
            ".tif) of the kind that will be enlarged, fifty or more"
        ) from error
    if len(photos) < 2:
        raise DataError(
            f"--calibrate {folder}: contains one picture; expected at least two, one to verify on "
            "(fifty or more are better)"
        )
    return photos


def calibration_crops(
    photos: Sequence[Path], scale: int, multiple: int = 1, *, seed: int = 0
) -> CalibrationCrops:
    """Crops of the pictures, reduced by `scale`, at positions that depend on the seed alone.

    A crop is `SIDE`² LR pixels, or as large as its picture allows, in whole `multiple`s. One
    picture in eight is held out. Raises `DataError` for a picture that cannot be read, or if all
    are smaller than 24 LR pixels.
    """
    random = np.random.default_rng(seed)
    order = [photos[i] for i in random.permutation(len(photos))]
    apart = max(1, len(order) // _SHARE)
    return CalibrationCrops(
        _crops(order[apart:], scale, multiple, CALIBRATION, random),
        _crops(order[:apart], scale, multiple, HELD_OUT, random),
    )


def _crops(
    photos: Sequence[Path], scale: int, multiple: int, count: int, random: np.random.Generator
) -> list[Pixels]:
    """`count` crops; their numbers per picture differ by at most one."""
    crops: list[Pixels] = []
    photos = photos[:count]
    for number, photo in enumerate(photos):
        high = read_rgb(photo)
        times = count // len(photos) + (number < count % len(photos))
        height, width = (min(SIDE, side // scale) // multiple * multiple for side in high.shape[:2])
        if min(height, width) < _LEAST:
            continue
        for _ in range(times):
            y = int(random.integers(0, high.shape[0] // scale - height + 1))
            x = int(random.integers(0, high.shape[1] // scale - width + 1))
            crops.append(_reduced(high, y, x, height, width, scale))
    if not crops:
        raise DataError(
            f"{photos[0].parent}: its pictures are too small; reduced by {scale}, a side must have "
            f"{_LEAST} pixels at least"
        )
    return crops


def _reduced(high: Pixels, y: int, x: int, height: int, width: int, scale: int) -> Pixels:
    """Rows y … y + height and columns x … x + width of the reduced picture."""
    top, left = max(0, y - _CONTEXT), max(0, x - _CONTEXT)
    below = min(high.shape[0] // scale, y + height + _CONTEXT)
    right = min(high.shape[1] // scale, x + width + _CONTEXT)
    part = high[top * scale : below * scale, left * scale : right * scale]
    low = imresize(part, below - top, right - left)
    return low[y - top : y - top + height, x - left : x - left + width]
