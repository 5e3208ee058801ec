"""What stands still in the frames while the scene moves: timestamps, logos, dirt on the lens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.alignment import Luma, covered, warp
from enlarge.fusing.motion import Matrix
from enlarge.fusing.opencv import load_opencv

_FRAMES = 4
"""Frames that a place must be seen in."""
_STILL = 0.25
"""The largest share that a place's change over time has of its difference from the moving scene."""
_MISFIT = 4.0
"""How many times larger that difference is than what is usual."""
_LARGEST = 0.4
"""The share of the frame above which it is the scene that stands still."""
_AROUND = 5
"""Pixels of the side of the square by which what was found grows."""


def find_overlays(scene: Luma, seen: Sequence[tuple[Luma, Matrix]]) -> NDArray[np.bool_] | None:
    """Where the frames show something that does not move with the scene: (H, W), or None.

    `scene`: the frames' mean. `seen`: frames in its brightness, and the motions from it to them.
    """
    height, width = seen[0][0].shape
    counts = np.zeros((height, width), np.float32)
    sums, squares, misfits = (np.zeros((height, width), np.float32) for _ in range(3))
    for luma, motion in seen:
        back = np.asarray(np.linalg.inv(motion), np.float64)
        inside = covered(scene.shape, back, width, height)
        counts += inside
        sums += luma * inside
        squares += np.square(luma) * inside
        misfits += np.square(luma - warp(scene, back, width, height)) * inside
    enough = counts >= _FRAMES
    if not enough.any():
        return None
    total = np.maximum(counts, 1)
    change = np.maximum(squares / total - np.square(sums / total), 0)
    misfit = misfits / total
    usual = float(np.median(misfit[enough])) + 0.25
    found = enough & (misfit > _MISFIT * usual) & (change < _STILL * misfit)
    if not found.any():
        return None
    cv2 = load_opencv()
    grown = cv2.dilate(found.astype(np.uint8), np.ones((_AROUND, _AROUND), np.uint8)) > 0
    return None if grown[enough].mean() > _LARGEST else grown
