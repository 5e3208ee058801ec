"""PSNR: how far the values of a picture lie from those of another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import DataError


def psnr(first: NDArray[Any], second: NDArray[Any], *, data_range: float, border: int = 0) -> float:
    """The peak signal-to-noise ratio in dB: 10·log10(`data_range`² / MSE) over all values.

    Arrays of one shape, H×W or H×W×C, any dtype; `border` pixels are left out on each side.
    Equal pictures give infinity. Raises `DataError` where the shapes differ.
    """
    x, y = inner(first, second, border)
    error = float(np.mean(np.square(x - y)))
    return 10.0 * math.log10(data_range**2 / error) if error else math.inf


def inner(
    first: NDArray[Any], second: NDArray[Any], border: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both pictures as float64 without their borders, once they are known to be of one shape.

    Raises `DataError` where the shapes differ, or where the border leaves nothing.
    """
    if first.shape != second.shape:
        raise DataError(
            f"expected two pictures of the same size, got {size(first)} and {size(second)}"
        )
    height, width = first.shape[:2]
    if border < 0 or 2 * border >= min(height, width):
        raise DataError(f"a border of {border} pixels leaves nothing of a {size(first)} picture")
    part = (slice(border, height - border), slice(border, width - border))
    return first[part].astype(np.float64), second[part].astype(np.float64)


def size(picture: NDArray[Any]) -> str:
    """Width × height for messages, with the channels where there are several."""
    channels = f"×{picture.shape[2]}" if picture.ndim == 3 else ""
    return f"{picture.shape[1]}×{picture.shape[0]}{channels}"


def json_safe(value: float) -> float | str:
    """A number as JSON can hold it: "inf" for infinity."""
    return "inf" if math.isinf(value) else value


def format_psnr(value: float) -> str:
    """A PSNR for people: two decimals, or ∞."""
    return "∞" if math.isinf(value) else f"{value:.2f}"
