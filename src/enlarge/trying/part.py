"""The part of a picture that models are tried on, and its choice by detail."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyvips
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from enlarge.errors import OptionError
from enlarge.media.colour_fitting import converted_colour
from enlarge.media.converting import to_srgb
from enlarge.media.pixels import to_depth
from enlarge.media.reading import open_picture
from enlarge.media.rows import CropRows, Rows
from enlarge.metrics.protocol import to_rgb

Pixels = NDArray[np.uint8]

SIDE = 96
"""Input pixels of the side of a part that is chosen here, if the picture is as large."""
CONTEXT = 16
"""Input pixels around the part that the models see beside it, where the picture has them."""
_CELL = 16
"""Pixels of the side of the cells whose detail is measured."""
_EDGE = 24.0
"""Levels from which a step between neighbours counts no more: one hard edge is not detail."""
_UINT8 = np.dtype(np.uint8)


class Region(NamedTuple):
    """A rectangle of a picture, in its pixels, upright."""

    x: int
    y: int
    width: int
    height: int


class Part(NamedTuple):
    """A part of a picture with what surrounds it: uint8 (H, W, 3), sRGB, transparency over white.

    `region`: the part in the picture. `inner`: the same in `pixels`. `size`: the picture's width
    and height. `notes`: what was left out or converted.
    """

    pixels: Pixels
    region: Region
    inner: Region
    size: tuple[int, int]
    notes: tuple[str, ...]


def cut_part(source: Path, region: Region | None, *, page: int | None = None) -> Part:
    """A part of a picture file: `region`, or the square of `SIDE`² with the most detail.

    The picture is read in bands. Raises `InputError`, or `OptionError` for a region outside of it.
    """
    if region is None:
        with open_picture(source, page=page) as picture, closing(picture.rows()) as rows:
            region = most_detailed(rows)
    with open_picture(source, page=page) as picture:
        facts = picture.facts
        width, height = facts.width, facts.height
        if region.x + region.width > width or region.y + region.height > height:
            raise OptionError(
                f"--crop {','.join(map(str, region))} is not inside {source}, {width}×{height}"
            )
        left, top = max(0, region.x - CONTEXT), max(0, region.y - CONTEXT)
        right = min(width, region.x + region.width + CONTEXT)
        bottom = min(height, region.y + region.height + CONTEXT)
        with closing(CropRows(picture.rows(), left, top, right - left, bottom - top)) as rows:
            pixels = rows.read(rows.height)
        _, icc, notes = converted_colour(picture.metadata, facts.channels)
    inner = Region(region.x - left, region.y - top, region.width, region.height)
    notes = [*facts.notes, *notes]
    return Part(_in_srgb(pixels, icc), region, inner, (width, height), tuple(notes))


def most_detailed(rows: Rows) -> Region:
    """The square of `SIDE`², or as large as the picture allows, with the most detail: differences
    between neighbouring pixels' luma, each at most `_EDGE` levels. Reads the rows to their end.
    """
    width, height = rows.width, rows.height
    starts = np.arange(0, width, _CELL)
    detail = np.zeros((-(-height // _CELL), len(starts)))
    for cells in detail:
        luma = to_rgb(to_depth(rows.read(_CELL), _UINT8)).astype(np.float32).mean(axis=2)
        steps = np.zeros(luma.shape, np.float32)
        steps[:, 1:] += np.minimum(np.abs(np.diff(luma, axis=1)), _EDGE)
        steps[1:] += np.minimum(np.abs(np.diff(luma, axis=0)), _EDGE)
        cells[:] = np.add.reduceat(steps.sum(axis=0), starts)
    down, across = (min(SIDE // _CELL, cells) for cells in detail.shape)
    total = sliding_window_view(detail, (down, across)).sum(axis=(2, 3))
    y, x = np.unravel_index(int(total.argmax()), total.shape)
    side_x, side_y = min(SIDE, width), min(SIDE, height)
    return Region(
        min(int(x) * _CELL, width - side_x), min(int(y) * _CELL, height - side_y), side_x, side_y
    )


def _in_srgb(pixels: NDArray[Any], icc: bytes | None) -> Pixels:
    """Pixels (H, W, 1 to 4) in the colours of a profile (None: sRGB) as uint8 (H, W, 3), sRGB."""
    if icc is not None:
        shape = pixels.shape
        pixels = to_srgb(pyvips.Image.new_from_array(pixels), icc).numpy().reshape(shape)
    return to_rgb(to_depth(pixels, _UINT8))
