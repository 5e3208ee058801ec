"""How much the camera sharpened its frames, from how far edges overshoot.

Lens and pixels blur an edge, whose profile then rises without a turn. An unsharp mask lets it pass
the level beyond the edge, and come back: the halo. Single edges of a scene do so too, in both ways.
So the median of many is taken, of those alone beyond which the scene is flat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.camera import Floats
from enlarge.fusing.opencv import load_opencv

MASK = 1.0
"""Standard deviation in pixels of the blur that an unsharp mask subtracts: a usual one."""
_LEAST = 0.03
"""Overshoot, as a share of the edge, up to which frames may be as they were seen: noise and JPEG
left up to 0.028.
"""
_STRENGTH = 10.0
"""An unsharp mask's amount for each of overshoot: one of 1 let sharp edges pass by 0.04 to 0.1."""
_STRONGEST = 1.0
_EDGES = 0.3
"""The share of ridges of the gradient, the strongest, that are looked at."""
_SIGNIFICANT = 25.0
"""Levels that an edge must have."""
_FLAT = 0.06
"""The standard deviation beyond an edge, as a share of it, at most."""
_ENOUGH, _MOST = 30, 10_000
"""Edges."""
_HALF = 5.0
"""The profiles' length in pixels, on each side."""
_PLACES = np.arange(-_HALF, _HALF + 0.01, 0.25, dtype=np.float32)
"""Places along a profile, in pixels from the edge."""
_BEYOND, _HALO, _BEFORE = (2.75, 4.75), (0.5, 2.25), (0.5, 2.0)
"""Distances in pixels: where the level beyond an edge is taken, where a halo is, and on the other
side where the edge begins.
"""


def estimated_sharpening(luma: Floats, factor: int) -> float:
    """The amount of the unsharp mask (the picture, plus that much of its difference from itself
    blurred by `MASK`); 0 where edges do not overshoot, or are too few.

    `luma`: (H, W), 0 to 255, the frames' mean on a grid `factor` times as fine.
    """
    profiles = _profiles(luma, factor)
    if len(profiles) < _ENOUGH:
        return 0.0
    middle = np.median(profiles, axis=0)
    halo = float(middle[_between(_HALO)].max())
    return min(_STRENGTH * halo, _STRONGEST) if halo > _LEAST else 0.0


def _between(ends: tuple[float, float]) -> NDArray[np.bool_]:
    """Which places of a profile lie between two distances."""
    first, last = ends
    found: NDArray[np.bool_] = (first <= _PLACES) & (last >= _PLACES)
    return found


def _profiles(luma: Floats, factor: int) -> Floats:
    """Across edges beyond which it is flat: (n, places), 0 there, and -1 where the edge begins."""
    cv2 = load_opencv()
    rows, columns, x, y = _edges(luma, factor)
    if not len(rows):
        return np.empty((0, len(_PLACES)), np.float32)
    reach = _PLACES * factor
    along = (columns[:, None] + reach * x[:, None], rows[:, None] + reach * y[:, None])
    across, down = (places.astype(np.float32) for places in along)
    values = cv2.remap(luma, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    beyond, begin = _between(_BEYOND), _between(_BEFORE)[::-1]
    found = []
    # The gradient points to the brighter side; then the darker one is looked at alike.
    for profiles in (values, 255 - values[:, ::-1]):
        level = profiles[:, beyond].mean(axis=1)
        edge = level - profiles[:, begin].min(axis=1)
        fits = (edge > _SIGNIFICANT) & (profiles[:, beyond].std(axis=1) < _FLAT * edge)
        found.append((profiles[fits] - level[fits, None]) / edge[fits, None])
    return np.concatenate(found)


def _edges(luma: Floats, factor: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats, Floats]:
    """Rows and columns of the strongest ridges of the gradient, and its direction there (x, y);
    without those whose profiles would leave the picture.
    """
    cv2 = load_opencv()
    smooth = cv2.GaussianBlur(luma, (0, 0), factor / 2)
    right, down = (cv2.Sobel(smooth, cv2.CV_32F, *way) for way in ((1, 0), (0, 1)))
    strength = np.hypot(right, down) + np.float32(1e-6)
    x, y = right / strength, down / strength
    row, column = np.indices(luma.shape, np.float32)
    ridge = np.ones(luma.shape, bool)
    for way in (1, -1):
        beside = cv2.remap(strength, column + way * x, row + way * y, cv2.INTER_LINEAR)
        ridge &= strength >= beside
    edge = round(_HALF * factor)
    ridge[:edge], ridge[-edge:], ridge[:, :edge], ridge[:, -edge:] = False, False, False, False
    if ridge.any():
        ridge &= strength >= np.quantile(strength[ridge], 1 - _EDGES)
    rows, columns = np.nonzero(ridge)
    every = -(-len(rows) // _MOST) or 1
    return rows[::every], columns[::every], x[ridge][::every], y[ridge][::every]
