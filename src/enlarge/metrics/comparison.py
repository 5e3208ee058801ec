"""Comparison of two pictures of the same size: how far they differ, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import DataError
from enlarge.media.resample import imresize
from enlarge.metrics.fidelity import inner, psnr
from enlarge.metrics.protocol import Protocol, levels, to_rgb
from enlarge.metrics.similarity import ms_ssim

Pixels = NDArray[np.uint8]

ZOOMED = 256
"""The side of a zoomed crop in the side-by-side picture."""

_GAP, _PAPER = 8, 255
_MULTISCALE_LEAST = 161


class Square(NamedTuple):
    """A square part of a picture, in its pixels."""

    x: int
    y: int
    side: int


@dataclass(frozen=True)
class Likeness:
    """How alike two pictures are. `ms_ssim` is None if they are too small for it."""

    psnr: float
    ssim: float
    ms_ssim: float | None


def likeness(first: NDArray[Any], second: NDArray[Any], protocol: Protocol) -> Likeness:
    """PSNR and SSIM by the protocol, MS-SSIM on its Y or RGB. Raises `DataError` on other sizes."""
    scores = protocol.measure(first, second)
    border = protocol.border or 0
    multiscale = None
    if min(first.shape[:2]) - 2 * border >= _MULTISCALE_LEAST:
        x, y = protocol.planes(first), protocol.planes(second)
        multiscale = ms_ssim(x, y, data_range=255.0, border=border)
    return Likeness(scores.psnr, scores.ssim, multiscale)


@dataclass(frozen=True)
class AlphaLikeness:
    """How alike two pictures are in their alpha, from 0 to 255: PSNR in dB, the mean difference and
    the largest.
    """

    psnr: float
    mean: float
    largest: float


def alpha_likeness(
    first: NDArray[Any], second: NDArray[Any], *, border: int = 0
) -> AlphaLikeness | None:
    """Compare the alpha of two pictures, H×W or H×W×1 to H×W×4; without alpha, they are opaque.
    `border` pixels are left out on each side. None if both are opaque everywhere. Raises
    `DataError` where the sizes differ.
    """
    x, y = inner(_alpha(first), _alpha(second), border)
    if x.min() == y.min() == 255.0:
        return None
    apart = np.abs(x - y)
    return AlphaLikeness(psnr(x, y, data_range=255.0), float(apart.mean()), float(apart.max()))


def _alpha(picture: NDArray[Any]) -> NDArray[np.float64]:
    """Alpha, (H, W) from 0 (transparent) to 255."""
    if picture.ndim == 3 and picture.shape[2] in (2, 4):
        return picture[..., -1].astype(np.float64) * (255.0 / levels(picture))
    return np.full(picture.shape[:2], 255.0)


def difference(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """How far each pixel differs, (H, W) from 0 to 255: the mean over R, G and B, transparency over
    white, or the difference in alpha if that is larger.
    """
    if first.shape[:2] != second.shape[:2]:
        sizes = [f"{p.shape[1]}×{p.shape[0]}" for p in (first, second)]
        raise DataError(f"expected two pictures of the same size, got {sizes[0]} and {sizes[1]}")
    x, y = (to_rgb(p).astype(np.float64) * (255.0 / levels(p)) for p in (first, second))
    mean: NDArray[np.float64] = np.abs(x - y).mean(axis=2)
    return np.maximum(mean, np.abs(_alpha(first) - _alpha(second)))


def heat_map(found: NDArray[np.float64]) -> tuple[Pixels, float]:
    """A difference as a picture, from black through red and yellow to white; and white's value.

    White is the 99.9th percentile, at least one level.
    """
    white = max(1.0, float(np.percentile(found, 99.9)))
    share = np.clip(found / white, 0.0, 1.0)[..., None]
    colours = np.clip(3.0 * share - np.array([0.0, 1.0, 2.0]), 0.0, 1.0)
    return np.rint(255.0 * colours).astype(np.uint8), white


def worst_squares(found: NDArray[np.float64], count: int = 3) -> list[Square]:
    """Up to `count` squares that differ most, in that order, without overlap; none that agree."""
    height, width = found.shape
    side = max(1, min(64, height, width))
    sums = np.pad(found, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    step = max(1, side // 4)
    rows = np.unique([*range(0, height - side + 1, step), height - side])
    columns = np.unique([*range(0, width - side + 1, step), width - side])
    bottom, right = rows + side, columns + side
    total = (
        sums[np.ix_(bottom, right)]
        - sums[np.ix_(rows, right)]
        - sums[np.ix_(bottom, columns)]
        + sums[np.ix_(rows, columns)]
    )
    squares: list[Square] = []
    for index in np.argsort(-total, axis=None, kind="stable"):
        i, j = np.unravel_index(index, total.shape)
        if len(squares) == count or total[i, j] < 1e-6:
            break
        y, x = int(rows[i]), int(columns[j])
        if all(abs(x - p.x) >= side or abs(y - p.y) >= side for p in squares):
            squares.append(Square(x, y, side))
    return squares


def comparison_sheet(pictures: Sequence[NDArray[Any]], squares: Sequence[Square]) -> Pixels:
    """One picture that shows several of the same size at the given squares, with 8 bits.

    On top is the first picture with the squares framed; below, one row for each square: its crops
    of all pictures, side by side, magnified by repeating pixels.
    """
    shown = [_in_8_bits(picture) for picture in pictures]
    rows = [_overview(shown[0], squares, len(shown) * (ZOOMED + _GAP) - _GAP)]
    for square in squares:
        crops = [_zoomed(picture, square) for picture in shown]
        rows.append(_joined(crops, axis=1))
    return _joined(rows, axis=0)


def _in_8_bits(picture: NDArray[Any]) -> Pixels:
    values = to_rgb(picture).astype(np.float64) * (255.0 / levels(picture))
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _overview(picture: Pixels, squares: Sequence[Square], width: int) -> Pixels:
    """The picture, at most `width` wide, with the squares framed."""
    scale = min(1.0, width / picture.shape[1])
    height = max(1, round(picture.shape[0] * scale))
    out: Pixels = imresize(picture, height, max(1, round(picture.shape[1] * scale)))
    for square in squares:
        x, y = int(square.x * scale), int(square.y * scale)
        end_x, end_y = int((square.x + square.side) * scale), int((square.y + square.side) * scale)
        for line in (
            np.s_[y:end_y, x : x + 2],
            np.s_[y:end_y, max(end_x - 2, 0) : end_x],
            np.s_[y : y + 2, x:end_x],
            np.s_[max(end_y - 2, 0) : end_y, x:end_x],
        ):
            out[line] = (255, 40, 40)
    return out


def _zoomed(picture: Pixels, square: Square) -> Pixels:
    times = max(1, ZOOMED // square.side)
    crop = picture[square.y : square.y + square.side, square.x : square.x + square.side]
    return crop.repeat(times, axis=0).repeat(times, axis=1)


def _joined(parts: Sequence[Pixels], axis: int) -> Pixels:
    """Parts in a row or column, with white gaps, aligned at the top or left."""
    other = 1 - axis
    extent = max(part.shape[other] for part in parts)
    pieces: list[Pixels] = []
    for part in parts:
        room = [(0, 0), (0, 0), (0, 0)]
        room[other] = (0, extent - part.shape[other])
        room[axis] = (_GAP if pieces else 0, 0)
        pieces.append(np.pad(part, room, constant_values=_PAPER))
    return np.concatenate(pieces, axis=axis)
