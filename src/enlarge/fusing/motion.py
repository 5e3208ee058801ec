"""Motions of the picture plane as 3×3 matrices (float64), and what is done with them.

A motion maps pixel coordinates of the reference frame to those of another frame: x to the right, y
down, (0, 0) at the centre of the first pixel, homogeneous with the last entry 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
"""3×3."""


def translation(x: float, y: float) -> Matrix:
    """The motion by (x, y)."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def normalized(motion: Matrix) -> Matrix:
    """The same motion with 1 as its last entry."""
    return motion / motion[2, 2]


def moved(motion: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where points (N, 2) lie after a motion: (N, 2)."""
    homogeneous = points @ motion[:, :2].T + motion[:, 2]
    result: NDArray[np.float64] = homogeneous[:, :2] / homogeneous[:, 2:]
    return result


def carried(
    motion: NDArray[Any], x: NDArray[Any], y: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where places lie after a motion, as arrays of x and of y that broadcast with each other."""
    rows = [motion[n, 0] * x + motion[n, 1] * y + motion[n, 2] for n in range(3)]
    return rows[0] / rows[2], rows[1] / rows[2]


def corners(x: float, y: float, width: float, height: float) -> NDArray[np.float64]:
    """The centres of the corner pixels of a rectangle: (4, 2)."""
    right, bottom = x + width - 1, y + height - 1
    return np.array([[x, y], [right, y], [right, bottom], [x, bottom]], np.float64)


def displacement(motion: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far points (N, 2) move: (N, 2), in pixels."""
    return moved(motion, points) - points
