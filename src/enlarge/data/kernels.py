"""Kernels of blurs, and of the sharpening that pictures have on the web.

All are float64 (k, k) with an odd k, and sum to 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Random = np.random.Generator


def _distances(size: int, sigma_x: float, sigma_y: float, angle: float) -> NDArray[np.float64]:
    """Squared Mahalanobis distances from the centre, of an ellipse turned by `angle` radians."""
    axis = np.arange(size) - size // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    u = x * math.cos(angle) + y * math.sin(angle)
    v = -x * math.sin(angle) + y * math.cos(angle)
    squared: NDArray[np.float64] = (u / sigma_x) ** 2 + (v / sigma_y) ** 2
    return squared


def gaussian_kernel(
    size: int, sigma_x: float, sigma_y: float | None = None, angle: float = 0.0, beta: float = 1.0
) -> NDArray[np.float64]:
    """exp(−½ d^β): isotropic, anisotropic with a second σ, generalised with β ≠ 1."""
    squared = _distances(size, sigma_x, sigma_y or sigma_x, angle)
    kernel = np.exp(-0.5 * squared**beta)
    return kernel / kernel.sum()


def plateau_kernel(
    size: int, sigma_x: float, sigma_y: float | None = None, angle: float = 0.0, beta: float = 1.0
) -> NDArray[np.float64]:
    """1 / (1 + d^β): flat on top (Liu et al., "Estimating generalized Gaussian blur kernels")."""
    kernel = 1.0 / (1.0 + _distances(size, sigma_x, sigma_y or sigma_x, angle) ** beta)
    return kernel / kernel.sum()


def sinc_kernel(size: int, cutoff: float) -> NDArray[np.float64]:
    """The circular low pass of `cutoff` (0 … π): it rings, as sharpened and resized pictures do."""
    axis = np.arange(size) - size // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    radius = np.hypot(x, y)
    radius[size // 2, size // 2] = 1.0
    kernel = cutoff * _bessel_j1(cutoff * radius) / (2.0 * math.pi * radius)
    kernel[size // 2, size // 2] = cutoff**2 / (4.0 * math.pi)
    return kernel / kernel.sum()


def _bessel_j1(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """J₁ by Bessel's integral, (1/π) ∫₀^π cos(t − x sin t) dt; 256 midpoints are exact to 1e-12
    for the arguments of a kernel (below 60).
    """
    t = (np.arange(256) + 0.5) * (math.pi / 256)
    found: NDArray[np.float64] = np.cos(t - x[..., None] * np.sin(t)).mean(axis=-1)
    return found


def motion_kernel(length: float, angle: float) -> NDArray[np.float64]:
    """A line of `length` pixels at `angle` radians, drawn with bilinear weights."""
    half = math.ceil(length / 2) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    for along in np.linspace(-(length - 1) / 2, (length - 1) / 2, max(2, round(4 * length))):
        x, y = half + along * math.cos(angle), half + along * math.sin(angle)
        column, row = int(x), int(y)
        right, below = x - column, y - row
        kernel[row, column] += (1 - right) * (1 - below)
        kernel[row, column + 1] += right * (1 - below)
        kernel[row + 1, column] += (1 - right) * below
        kernel[row + 1, column + 1] += right * below
    return kernel / kernel.sum()


def random_kernel(
    random: Random, sigma: tuple[float, float], *, sinc: float
) -> NDArray[np.float64]:
    """One of Real-ESRGAN's kernels, of side 7 to 21; with the chance `sinc` a sinc filter."""
    size = 2 * int(random.integers(3, 11)) + 1
    if random.random() < sinc:
        low = math.pi / 3 if size < 13 else math.pi / 5
        return sinc_kernel(size, float(random.uniform(low, math.pi)))
    wide, high = random.uniform(*sigma, size=2)
    angle = float(random.uniform(-math.pi, math.pi))
    kind = int(random.choice(6, p=[0.45, 0.25, 0.12, 0.03, 0.12, 0.03]))
    if kind % 2 == 0:  # isotropic
        high, angle = wide, 0.0
    if kind < 2:
        return gaussian_kernel(size, wide, high, angle)
    if kind < 4:
        return gaussian_kernel(size, wide, high, angle, float(random.uniform(0.5, 4.0)))
    return plateau_kernel(size, wide, high, angle, float(random.uniform(1.0, 2.0)))
