"""How much the camera blurred, from the spectrum of what it saw.

The power of a scene falls with the frequency f about as f^−α, α near 4 for edges and a little less
for photographs; a Gaussian blur of σ pixels multiplies it by exp(−4π²σ²f²), and noise adds a floor.
All three are fitted at once, by Whittle's likelihood of the periodogram, and weighed against what
is usual for α and σ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.sharpening import MASK

Floats = NDArray[np.float64]

USUAL = 0.66
"""Standard deviation in pixels of a sharp lens and a square pixel together."""
_SPREAD = 0.3
"""How far blurs lie from what is usual (a standard deviation, in pixels)."""
_SLOPE, _SLOPE_SPREAD = 3.9, 0.2
_TRUST = 0.005
"""The exponent of the likelihood: the model is rough, and neighbouring frequencies depend on each
other.
"""
_BANDS = np.arange(0.06, 0.6, 0.03)
"""Lower ends of the bands of frequencies, in cycles per pixel of the camera."""
_BLURS = np.arange(0.3, 1.8, 0.03)
_SLOPES = np.arange(3.0, 4.7, 0.2)
_FLOORS = np.exp(np.linspace(np.log(1e-4), np.log(3e3), 25))
_LEAST_SIDE = 24
_HALVED = 1.0
"""The variance, in squared pixels, that colour with half the resolution adds to its blur: a quarter
by the mean of two pixels and three quarters by linear interpolation between such means.
"""
_EVEN = 0.6
"""Of differences that begin at odd and at even pixels, the weaker over the stronger: below it, one
of two pixels is interpolated.
"""


def estimated_blur(
    luma: NDArray[np.float32], factor: int, smoothed: float, sharpening: float = 0.0
) -> float:
    """The standard deviation of the blur in the camera's pixels, of lens and pixel together.

    `luma`: (H, W), 0 to 255, the frames' mean on a grid `factor` times as fine, where it was
    smoothed by a Gaussian of `smoothed` pixels of the camera. `sharpening`: see
    `estimated_sharpening`.
    """
    if min(luma.shape) < _LEAST_SIDE:
        return USUAL
    frequency, power, count = _spectrum(luma.astype(np.float64), factor)
    power = power * np.exp((2 * np.pi * smoothed * frequency) ** 2)
    mask = np.square(1 + sharpening * (1 - np.exp(-2 * (np.pi * MASK * frequency) ** 2)))
    fall = frequency ** -_SLOPES[:, None]
    blur = mask * np.exp(-((2 * np.pi * _BLURS[:, None] * frequency) ** 2))
    model = (blur[:, None] * fall)[:, :, None] + _FLOORS[:, None]  # (blur, slope, floor, band)
    scale = (count * power / model).sum(-1) / count.sum()
    likelihood = -(count * np.log(model)).sum(-1) - count.sum() * np.log(scale)
    chance = _TRUST * likelihood.max(-1)
    chance -= 0.5 * ((_SLOPES - _SLOPE) / _SLOPE_SPREAD) ** 2
    chance -= 0.5 * ((_BLURS[:, None] - USUAL) / _SPREAD) ** 2
    weight = np.exp(chance - chance.max()).sum(axis=1)
    return float((weight * _BLURS).sum() / weight.sum())


def _spectrum(luma: Floats, factor: int) -> tuple[Floats, Floats, Floats]:
    """The mean power in rings of frequency: their middles, the power, and how many values of the
    periodogram lie in each.
    """
    height, width = luma.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    turned = np.fft.fft2((luma - luma.mean()) * window)
    power = np.square(np.abs(turned)) / np.square(window).sum()
    down, across = np.fft.fftfreq(height) * factor, np.fft.fftfreq(width) * factor
    frequency = np.hypot(down[:, None], across)
    rings = np.digitize(frequency, [*_BANDS, _BANDS[-1] + 0.03]).ravel()
    count = np.bincount(rings, minlength=len(_BANDS) + 2)[1:-1].astype(np.float64)
    total = np.bincount(rings, power.ravel(), len(_BANDS) + 2)[1:-1]
    filled = count > 0
    return (_BANDS + 0.015)[filled], total[filled] / count[filled] + 1e-9, count[filled]


def colour_blur(frames: Sequence[NDArray[np.float32]], blur: float) -> float:
    """The standard deviation of the blur of colour in the camera's pixels, where `blur` is luma's.

    `frames`: (h, w, 3) each, luma and two colour differences, as the frames' own pixels lie. Nearly
    all JPEGs and videos hold colour with half the resolution. Where it was brought to the full one
    by repetition, every other difference of neighbours is zero; by linear interpolation, every
    other third difference.
    """
    shares = [_evenness(frame) for frame in frames if min(frame.shape[:2]) >= _LEAST_SIDE]
    halved = bool(shares) and float(np.median(shares)) < _EVEN
    return float(np.sqrt(blur**2 + _HALVED)) if halved else blur


def _evenness(frame: NDArray[np.float32]) -> float:
    """How alike differences of colour are that begin at odd and at even pixels: 0 to 1, of the
    first and third differences in both directions the least.
    """
    least = 1.0
    for axis in (0, 1):
        colour = np.moveaxis(frame[..., 1:], axis, 0)
        for order in (1, 3):
            squares = np.square(np.diff(colour, order, axis=0))
            even, odd = float(squares[::2].mean()) + 1e-3, float(squares[1::2].mean()) + 1e-3
            least = min(least, min(even, odd) / max(even, odd))
    return least
