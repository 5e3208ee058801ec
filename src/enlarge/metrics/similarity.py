"""SSIM and MS-SSIM: how alike two pictures are in luminance, contrast and structure.

Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli, "Image quality assessment: from error visibility to
structural similarity", 2004. Z. Wang, E. Simoncelli, A. Bovik, "Multiscale structural similarity
for image quality assessment", 2003. The window is Wang's: 11×11, Gaussian with σ 1.5, and only
where it lies inside the picture; K1 = 0.01, K2 = 0.03, C3 = C2 / 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import DataError
from enlarge.metrics.fidelity import inner, size

WINDOW = 11
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The exponents of the five scales, finest first."""

_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03

Plane = NDArray[np.float64]


def ssim(
    first: NDArray[Any],
    second: NDArray[Any],
    *,
    data_range: float,
    border: int = 0,
    luminance: float = 1.0,
    contrast: float = 1.0,
    structure: float = 1.0,
) -> float:
    """The mean structural similarity, l^α · c^β · s^γ with the exponents `luminance`, `contrast`
    and `structure`; 1 for equal pictures.

    Arrays of one shape, H×W or H×W×C (the mean over channels), any dtype; `border` pixels are left
    out on each side. Where structure is negative (inverted), a fractional γ counts it as 0.
    Raises `DataError` where the shapes differ or a side is below 11 pixels.
    """
    x, y = inner(first, second, border)
    _check_sides(x, WINDOW)
    exponents = (luminance, contrast, structure)
    values = [_similarity(a, b, data_range, exponents) for a, b in _planes(x, y)]
    return float(np.mean(values))


def ms_ssim(
    first: NDArray[Any], second: NDArray[Any], *, data_range: float, border: int = 0
) -> float:
    """Multi-scale SSIM over five scales, each half as large as the one before (means of 2×2).

    As `ssim`; a scale whose contrast-structure is negative counts as 0. Raises `DataError` where a
    side is below 161 pixels: the coarsest scale must hold the window.
    """
    x, y = inner(first, second, border)
    _check_sides(x, (WINDOW - 1) * 2 ** (len(SCALES) - 1) + 1)
    return float(np.mean([_multiscale(a, b, data_range) for a, b in _planes(x, y)]))


def _planes(x: Plane, y: Plane) -> list[tuple[Plane, Plane]]:
    if x.ndim == 2:
        return [(x, y)]
    return [(x[..., c], y[..., c]) for c in range(x.shape[2])]


def _check_sides(picture: Plane, least: int) -> None:
    if min(picture.shape[:2]) < least:
        raise DataError(
            f"a picture of {size(picture)} (without its border) is too small to compare this way; "
            f"each side needs {least} pixels"
        )


def _similarity(
    x: Plane, y: Plane, data_range: float, exponents: tuple[float, float, float]
) -> float:
    light, change = _terms(x, y, data_range)
    if exponents == (1.0, 1.0, 1.0):  # c·s is one fraction, since C3 = C2 / 2
        return float(np.mean(light * change))
    alpha, beta, gamma = exponents
    c, s = _contrast_and_structure(x, y, data_range)
    if gamma != int(gamma):
        s = np.maximum(s, 0.0)
    return float(np.mean(light**alpha * c**beta * s**gamma))


def _terms(x: Plane, y: Plane, data_range: float) -> tuple[Plane, Plane]:
    """Luminance, and contrast times structure, at every position of the window."""
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    mean_x, mean_y, var_x, var_y, both = _moments(x, y)
    light = (2.0 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return light, (2.0 * both + c2) / (var_x + var_y + c2)


def _contrast_and_structure(x: Plane, y: Plane, data_range: float) -> tuple[Plane, Plane]:
    c2 = (_K2 * data_range) ** 2
    _, _, var_x, var_y, both = _moments(x, y)
    product = np.sqrt(np.maximum(var_x, 0.0) * np.maximum(var_y, 0.0))
    contrast = (2.0 * product + c2) / (var_x + var_y + c2)
    return contrast, (both + c2 / 2.0) / (product + c2 / 2.0)


def _moments(x: Plane, y: Plane) -> tuple[Plane, Plane, Plane, Plane, Plane]:
    """Weighted means, variances and covariance (of the population) in every window."""
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x = _blurred(x * x) - mean_x**2
    var_y = _blurred(y * y) - mean_y**2
    return mean_x, mean_y, var_x, var_y, _blurred(x * y) - mean_x * mean_y


def _blurred(plane: Plane) -> Plane:
    """Gaussian means where the window fits, so each side is 10 shorter."""
    distance = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-0.5 * (distance / _SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        count = plane.shape[axis] - WINDOW + 1
        part = (slice(None),) * axis
        plane = sum(w * plane[(*part, slice(i, i + count))] for i, w in enumerate(weights))
    return plane


def _multiscale(x: Plane, y: Plane, data_range: float) -> float:
    result = 1.0
    for level, exponent in enumerate(SCALES):
        light, change = _terms(x, y, data_range)
        if level == len(SCALES) - 1:
            change = light * change
        result *= max(float(np.mean(change)), 0.0) ** exponent
        x, y = _halved(x), _halved(y)
    return result


def _halved(plane: Plane) -> Plane:
    """Means of 2×2 pixels; if a side is odd, its last row or column counts twice."""
    plane = np.pad(plane, [(0, side % 2) for side in plane.shape], mode="edge")
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) / 4.0
