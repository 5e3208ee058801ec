"""NIQE: how natural a picture looks, without an original. Lower is better.

A. Mittal, R. Soundararajan, A. Bovik, "Making a 'completely blind' image quality analyzer", 2013.
Features of blocks of 96×96 at two scales, fitted by a Gaussian, against that of pristine
photographs (`data/README.md` says where its parameters come from).
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import DataError
from enlarge.media.resample import imresize
from enlarge.metrics.fidelity import size
from enlarge.metrics.protocol import Protocol

BLOCK = 96
_DATA = Path(__file__).parent / "data" / "niqe.npz"
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))

Plane = NDArray[np.float64]


def niqe(picture: NDArray[Any]) -> float:
    """The NIQE of (H, W) or (H, W, 3), uint8, uint16 or float in [0, 1]: of its rounded Y.

    Raises `DataError` if fewer than two blocks of 96×96 fit, or all of them are flat.
    """
    y = np.rint(Protocol("y").planes(picture))
    rows, columns = (side // BLOCK for side in y.shape)
    if rows * columns < 2:
        raise DataError(f"NIQE needs a picture of at least 192×96 pixels, got {size(picture)}")
    plane = y[: rows * BLOCK, : columns * BLOCK]
    features = []
    for side in (BLOCK, BLOCK // 2):
        normal = _normalised(plane)
        blocks = normal.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)
        features.append(np.array([_features(block) for block in blocks]))
        plane = _halved(plane)
    return _distance(np.concatenate(features, axis=1))


class _Pristine(NamedTuple):
    mean: Plane  # (36,)
    covariance: Plane  # (36, 36)
    window: Plane  # (7, 7)


@cache
def _pristine() -> _Pristine:
    with np.load(_DATA) as found:
        mean, covariance = found["mu_pris_param"][0], found["cov_pris_param"]
        return _Pristine(mean, covariance, found["gaussian_window"])


@cache
def _shapes() -> tuple[Plane, Plane]:
    """Shapes of the generalised Gaussian, and the ratio of moments of each."""
    shapes = np.arange(0.2, 10.001, 0.001)
    ratios = [_gamma(2 / a) ** 2 / (_gamma(1 / a) * _gamma(3 / a)) for a in shapes]
    return shapes, np.array(ratios)


_gamma = math.gamma


def _distance(features: Plane) -> float:
    """Distance of the features (blocks, 36) from the pristine ones; flat blocks are left out."""
    valid = features[~np.isnan(features).any(axis=1)]
    if len(valid) < 2:
        raise DataError("NIQE needs texture: at most one block of the picture is not flat")
    known = _pristine()
    apart = known.mean - np.nanmean(features, axis=0)
    joint = (known.covariance + np.cov(valid, rowvar=False)) / 2.0
    return math.sqrt(float(apart @ np.linalg.pinv(joint) @ apart))


def _normalised(plane: Plane) -> Plane:
    """Each value minus its local mean, divided by its local standard deviation plus one."""
    mean = _windowed(plane)
    deviation = np.sqrt(np.abs(_windowed(plane * plane) - mean * mean))
    result: Plane = (plane - mean) / (deviation + 1.0)
    return result


def _halved(plane: Plane) -> Plane:
    """MATLAB's bicubic with its mirrored edges (`imresize` replicates them)."""
    reach = 8
    padded = np.pad(plane, reach, mode="symmetric")
    small: Plane = imresize(padded, padded.shape[0] // 2, padded.shape[1] // 2)
    return small[reach // 2 : -reach // 2, reach // 2 : -reach // 2]


def _windowed(plane: Plane) -> Plane:
    """Weighted means over the 7×7 window, edges replicated."""
    window = _pristine().window
    height, width = plane.shape
    padded = np.pad(plane, 3, mode="edge")
    out = np.zeros_like(plane)
    for (i, j), weight in np.ndenumerate(window):
        out += weight * padded[i : i + height, j : j + width]
    return out


def _features(block: Plane) -> list[float]:
    """The 18 features of a block; NaN if it is flat."""
    shape, left, right = _fit(block)
    found = [shape, (left + right) / 2.0]
    for shift in _SHIFTS:
        shape, left, right = _fit(block * np.roll(block, shift, axis=(0, 1)))
        mean = (right - left) * _gamma(2 / shape) / _gamma(1 / shape)
        found += [shape, mean, left, right]
    return found


def _fit(values: Plane) -> tuple[float, float, float]:
    """Shape, left and right scale of an asymmetric generalised Gaussian, by its moments."""
    below, above = values[values < 0], values[values > 0]
    if not below.size or not above.size:
        return math.nan, math.nan, math.nan
    left, right = math.sqrt(np.mean(below**2)), math.sqrt(np.mean(above**2))
    skew = left / right
    ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    ratio *= (skew**3 + 1.0) * (skew + 1.0) / (skew**2 + 1.0) ** 2
    shapes, ratios = _shapes()
    shape = float(shapes[np.argmin((ratios - ratio) ** 2)])
    spread = math.sqrt(_gamma(1 / shape) / _gamma(3 / shape))
    return shape, left * spread, right * spread
