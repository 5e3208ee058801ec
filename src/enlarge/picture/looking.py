"""What a picture looks like: noise, JPEG, blur, flat colours. Figures from a sample of its pixels.

The figures are few and cheap: about 30 ms for a picture of any size. `python -m benchmarks.auto`
measures what they are good for, on pictures other than those by which the limits below were set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enlarge.luma import LUMA

Kind = Literal["clean", "degraded", "drawing"]
"""clean: nothing to remove. degraded: noise, JPEG, blur, aliasing or oversharpening. drawing: flat
colours, such as a drawing or a screenshot, without traces of JPEG."""

RULES = "5"
"""Changes with whatever changes a finding: results of other rules are made again."""

SMALLEST = 8
"""Pixels of the shorter side from which a picture is looked at."""

# Chosen on 114 of the photographs for training, each in 20 forms, by PSNR: there `auto` is 0.043 dB
# below the better model on average, `photo-fast` alone 0.129 and `fast` alone 0.66.
QUALITY = 85
"""JPEGs up to this quality are degraded."""
NOISE, WHITE = 2.3, 0.73
"""Standard deviation of noise in levels, and how white it is: how much of it goes when pixels are
averaged two by two, as a ratio of before to after. 2 is white noise; fine texture, which looks like
noise otherwise, has 0.4 to 0.6."""
FAINT, EVEN = 0.45, 0.725
"""The same of noise that is not white, as compression and downscaling leave it, but even: that of
the flattest twentieth of the blocks as a share of that of the flattest quarter. Noise leaves no
block out; texture has less than 0.7."""
COLOUR_NOISE, COLOUR_WHITE = 9.5, 1.8
"""As for `NOISE`, of the differences between colours."""
BLOCKS = 0.31
"""Levels by which steps between blocks of 8×8 are surely larger than those beside them."""
SOFT = 0.54
"""Steps between neighbours, as a share of those between every second pixel: 0.5 is a ramp, 1 is
noise. Sharp photographs have 0.65 to 0.7."""
ROUGH = 0.77
"""The same share from which a picture is aliased, grainy or oversharpened."""
FLAT, FLAT_BLOCKS = 0.6, 1.0
"""Share of neighbours of exactly the same colour in a drawing, and the largest `blocks` of one:
what is drawn may lie on a grid."""

_SIDE, _WINDOWS = 256, 8
"""Large pictures are looked at in so many windows of this side, spread over them."""
_BLOCK = 8
_USUAL = (6.0, 249.0)
"""Levels between which noise is not cut off."""
_FLATTEST, _FLATTEST_COLOUR, _QUARTER = 5.0, 10.0, 25.0
"""The share of the blocks, in percent, in which noise is measured."""
_NEARLY_ALL, _AT_LEAST = 0.9, 0.3
_OF_TWO = 1.414
"""A difference of two colours has so much more noise than either."""
_FEWEST = 8
"""Blocks without extremes that are enough to judge noise by."""
_TO_DEVIATION = 1.2533 / 6.0
"""From the mean magnitude of second differences across both axes to the deviation of the noise."""
_CHANCE = 1.5
"""Standard errors that count as chance: one of eight columns is always the largest."""
_LARGEST_STEP, _LEAST_STEP = 8.0, 0.05
"""Levels: steps of edges count no more than this; with less, there is nothing to see."""


@dataclass(frozen=True)
class Looks:
    """The figures of a picture, in levels of 255 where they have a unit.

    `noise`, `colour_noise`: standard deviation of noise in luma and in colour differences; `white`,
    `colour_white`: how white that is (see `WHITE`); `even`: how alike it is everywhere (see
    `EVEN`). `blocks`: how much steps on a grid of 8×8 stand out. `softness`: small steps as a share
    of larger ones (see `SOFT`). `flat`: share of equal neighbours. `quality`: of the JPEG file, 1
    to 100 (None: it is none).
    """

    noise: float
    white: float
    even: float
    colour_noise: float
    colour_white: float
    blocks: float
    softness: float
    flat: float
    quality: int | None = None


@dataclass(frozen=True)
class Finding:
    """The kind of a picture, and why, in a few words."""

    kind: Kind
    reason: str


def looks_of(pixels: NDArray[Any], *, quality: int | None = None) -> Looks:
    """The figures of a picture, or of a part of it.

    `pixels`: (H, W) or (H, W, C), gray or RGB, with or without alpha; uint8, uint16, or float in
    [0, 1]. `quality`: of the JPEG file that it is from (None: of none).
    """
    windows = _windows(pixels)
    luma = windows[..., 0] if windows.shape[3] == 1 else windows @ np.array(LUMA, np.float32)
    usual = (luma > _USUAL[0]) & (luma < _USUAL[1])
    colour = Noise(0.0, 0.0, 0.0)
    if windows.shape[3] == 3:
        differences = [windows[..., i] - windows[..., 1] for i in (0, 2)]
        colour = _noise(differences, usual, _FLATTEST_COLOUR)
    gray = _noise([luma], usual, _FLATTEST)
    return Looks(
        noise=gray.deviation,
        white=gray.white,
        even=gray.even,
        colour_noise=colour.deviation,
        colour_white=colour.white,
        blocks=(_grid_steps(luma) + _grid_steps(luma.swapaxes(1, 2))) / 2.0,
        softness=(_softness(luma) + _softness(luma.swapaxes(1, 2))) / 2.0,
        flat=_flatness(windows),
        quality=quality,
    )


def find_kind(figures: Looks) -> Finding:
    """The kind of a picture with these figures."""
    if likely_kind(figures.quality) == "degraded":
        return Finding("degraded", f"JPEG of quality {figures.quality}")
    if figures.flat >= FLAT and figures.blocks < FLAT_BLOCKS and figures.noise < FAINT:
        return Finding("drawing", f"flat colours in {figures.flat:.0%}")
    if figures.white >= WHITE:
        gray = figures.noise >= NOISE
    else:
        gray = figures.noise >= FAINT and figures.even >= EVEN
    colour = figures.colour_noise >= COLOUR_NOISE and figures.colour_white >= COLOUR_WHITE
    if gray or colour:
        most = max(figures.noise * gray, figures.colour_noise * colour / _OF_TWO)
        return Finding("degraded", f"noise of about {most:.0f} levels")
    if figures.blocks >= BLOCKS:
        return Finding("degraded", "blocks of an earlier JPEG")
    if figures.softness >= ROUGH:
        return Finding("degraded", "aliased or oversharpened")
    if figures.softness <= SOFT:
        return Finding("degraded", "blur")
    return Finding("clean", "no noise, blocks or blur")


def likely_kind(quality: int | None) -> Kind:
    """The kind that a picture is taken for before it is decoded, by the quality of its JPEG."""
    return "degraded" if quality is not None and quality <= QUALITY else "clean"


def _windows(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """The sample, (n, h, w, 1 or 3), in levels. Windows begin at multiples of 8 pixels."""
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    pixels = pixels[..., :1] if pixels.shape[2] < 3 else pixels[..., :3]
    height, width = pixels.shape[:2]
    if height * width > _WINDOWS * _SIDE * _SIDE:
        rows = _starts(height, _WINDOWS // 4)
        columns = _starts(width, _WINDOWS // len(rows))
        parts = [pixels[y : y + _SIDE, x : x + _SIDE] for y in rows for x in columns]
        found = np.stack(parts)
    else:
        found = pixels[None]
    unit = {np.dtype(np.uint8): 1.0, np.dtype(np.uint16): 1.0 / 257.0}.get(found.dtype, 255.0)
    levels: NDArray[np.float32] = found.astype(np.float32)
    return levels if unit == 1.0 else levels * np.float32(unit)


def _starts(size: int, most: int) -> list[int]:
    """Where windows begin along an axis, evenly spread: at most so many, at multiples of 8."""
    count = max(1, min(most, size // _SIDE))
    places = np.linspace(0, max(size - _SIDE, 0), count).astype(int)
    return [int(at) - int(at) % _BLOCK for at in places]


class Noise(NamedTuple):
    """Its standard deviation in levels, and how white and even it is (see `WHITE` and `EVEN`)."""

    deviation: float
    white: float
    even: float


def _noise(
    planes: Sequence[NDArray[np.float32]], usual: NDArray[np.bool_], percent: float
) -> Noise:
    """The mean noise of planes, in the flattest `percent` of their blocks without extremes."""
    shares = (percent, _QUARTER)
    fine, more = np.mean([_deviation(one, usual, shares) for one in planes], axis=0)
    usual = _halved(usual.astype(np.float32)) > _NEARLY_ALL
    coarse, _ = np.mean([_deviation(_halved(one), usual, shares) for one in planes], axis=0)
    even = fine / more if more > 0.0 else 0.0
    return Noise(float(fine), float(fine / (coarse + _AT_LEAST)), float(even))


def _halved(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of every two by two pixels."""
    height, width = planes.shape[1:]
    whole = planes[:, : height // 2 * 2, : width // 2 * 2]
    halved: NDArray[np.float32] = (
        whole[:, ::2, ::2] + whole[:, 1::2, ::2] + whole[:, ::2, 1::2] + whole[:, 1::2, 1::2]
    ) * np.float32(0.25)
    return halved


def _deviation(
    planes: NDArray[np.float32], usual: NDArray[np.bool_], shares: tuple[float, float]
) -> NDArray[np.float64]:
    """The standard deviation of noise: that of second differences across both axes, which leave
    nothing of a plane (Immerkær, CVIU 1996), in the flattest shares, in percent, of the blocks.
    """
    across = planes[:, :, :-2] - 2.0 * planes[:, :, 1:-1] + planes[:, :, 2:]
    both = across[:, :-2] - 2.0 * across[:, 1:-1] + across[:, 2:]
    means = _blocks(np.abs(both)).mean(axis=(2, 4)).ravel()
    whole = _blocks(usual[:, 1:-1, 1:-1]).all(axis=(2, 4)).ravel()
    if whole.sum() >= _FEWEST:
        means = means[whole]
    if not len(means):
        return np.zeros(2)
    return _percentiles(means, shares) * _TO_DEVIATION


def _percentiles(values: NDArray[Any], shares: Sequence[float]) -> NDArray[np.float64]:
    """As `np.percentile`, which would import numpy.ma."""
    places = np.array(shares) * ((len(values) - 1) / 100.0)
    found: NDArray[np.float64] = np.interp(places, np.arange(len(values)), np.sort(values))
    return found


def _blocks(planes: NDArray[Any]) -> NDArray[Any]:
    """(n, h, w) as (n, rows, 8, columns, 8), without what is left at the right and the bottom."""
    count, height, width = planes.shape
    rows, columns = height // _BLOCK, width // _BLOCK
    cut = planes[:, : rows * _BLOCK, : columns * _BLOCK]
    return cut.reshape(count, rows, _BLOCK, columns, _BLOCK)


def _grid_steps(planes: NDArray[np.float32]) -> float:
    """By how much the steps at one in eight columns are larger than the two beside them, more than
    they are at the other columns, and than may be chance.
    """
    steps = np.abs(np.diff(planes, axis=2))
    beyond = steps[:, :, 1:-1] - 0.5 * (steps[:, :, :-2] + steps[:, :, 2:])
    columns = beyond.clip(-_LARGEST_STEP, _LARGEST_STEP).mean(axis=(0, 1))
    whole = len(columns) - len(columns) % _BLOCK
    if whole < 2 * _BLOCK:
        return 0.0
    periods = columns[:whole].reshape(-1, _BLOCK)
    phases = periods.mean(axis=0)
    most = int(np.argmax(phases))
    chance = float(np.delete(periods, most, axis=1).std()) / len(periods) ** 0.5
    (usual,) = _percentiles(np.delete(phases, most), (50.0,))
    return float(phases[most] - usual) - _CHANCE * chance


def _softness(planes: NDArray[np.float32]) -> float:
    """Steps between neighbours as a share of those between every second pixel."""
    near = float(np.abs(np.diff(planes, axis=2)).mean()) if planes.shape[2] > 1 else 0.0
    far = float(np.abs(planes[:, :, 2:] - planes[:, :, :-2]).mean()) if planes.shape[2] > 2 else 0.0
    return near / far if far > _LEAST_STEP else 1.0


def _flatness(windows: NDArray[np.float32]) -> float:
    """The share of pixels of exactly their left neighbour's colour."""
    same = (windows[:, :, 1:] == windows[:, :, :-1]).all(axis=3)
    return float(same.mean()) if same.size else 1.0
