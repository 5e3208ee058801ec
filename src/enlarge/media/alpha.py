"""Fill the colour of fully transparent pixels from the visible pixels around them.

Fully transparent pixels can hold any colour (usually black), which a network would draw into the
visible edge. Each of them gets the mean colour of the visible pixels in the smallest of a few
square windows around it that contains any; further than `RADIUS` pixels from a visible one it
stays as it is. The result depends only on a pixel's surroundings, not on the bands in which the
picture is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.media.rows import Rows

RADIUS = 24
_RADII = (1, 3, 7, 15, RADIUS)
_PIECE = 64
"""Rows that are filled at a time: the sums take many times their memory."""


def _window_sums(values: NDArray[Any], size: int, axis: int) -> NDArray[Any]:
    """Sums over `size` neighbours along an axis, which becomes `size` - 1 shorter.

    Computed by doubling: 1, 2, 4, … neighbours. The order of additions is the same for every pixel,
    so that floats do not depend on the bands either.
    """

    def part(array: NDArray[Any], start: int, length: int) -> NDArray[Any]:
        index = [slice(None)] * array.ndim
        index[axis] = slice(start, start + length)
        return array[tuple(index)]

    left = values.shape[axis] - size + 1
    total: NDArray[Any] | None = None
    block, span, done = values, 1, 0
    while True:
        if size & span:
            piece = part(block, done, left)
            total = piece.copy() if total is None else total + piece
            done += span
        if done == size:
            assert total is not None
            return total
        longer = block.shape[axis] - span
        block = part(block, 0, longer) + part(block, span, longer)
        span *= 2


def _spread(columns: NDArray[np.bool_]) -> tuple[int, int]:
    """The half-open range that covers all set flags; (0, 0) if none is set."""
    found = np.flatnonzero(columns)
    return (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)


def fill_rows(image: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
    """The rows `start:stop` of `image` (H, W, 2 or 4; straight alpha last), filled, as a new array.

    Rows further than `RADIUS` above or below are not used.
    """
    out = image[start:stop].copy()
    hidden = out[..., -1] == 0
    left, right = _spread(hidden.any(axis=0))
    if left == right:
        return out
    # A frame of invisible pixels, so that windows may reach over the edges.
    first, last = max(0, left - RADIUS), min(image.shape[1], right + RADIUS)
    top, bottom = max(0, start - RADIUS), min(image.shape[0], stop + RADIUS)
    part = image[top:bottom, first:last]
    visible = part[..., -1] != 0
    if not visible.any():
        return out
    wide = np.float64 if image.dtype == np.float32 else np.int32  # 49² × 65535 fits
    frame = (
        (top - (start - RADIUS), stop + RADIUS - bottom),
        (first - (left - RADIUS), right + RADIUS - last),
    )
    shown = np.pad(visible, frame)
    colour = np.pad(part[..., :-1].astype(wide) * visible[..., None], (*frame, (0, 0)))
    target = out[:, left:right, :-1]
    todo = hidden[:, left:right].copy()
    for radius in _RADII:
        cut = RADIUS - radius
        rows = slice(cut, shown.shape[0] - cut)
        columns = slice(cut, shown.shape[1] - cut)
        size = 2 * radius + 1
        count = _window_sums(shown[rows, columns].astype(np.int32), size, 0)
        count = _window_sums(count, size, 1)
        now = todo & (count > 0)
        if now.any():
            sums = _window_sums(_window_sums(colour[rows, columns], size, 0), size, 1)[now]
            weight = count[now][:, None]
            if wide is np.int32:
                target[now] = (sums + weight // 2) // weight
            else:
                target[now] = sums / weight
            todo &= ~now
        if not todo.any():
            break
    return out


class FillTransparent:
    """Rows whose fully transparent pixels are filled; pictures without alpha pass unchanged.

    Reads `RADIUS` rows ahead and keeps as many behind. Owns the rows it reads from.
    """

    def __init__(self, rows: Rows) -> None:
        self.width, self.height = rows.width, rows.height
        self.channels, self.dtype = rows.channels, rows.dtype
        self._rows = rows
        self._next = 0
        self._top = 0  # the first row in `_ring`
        self._ring = np.empty((0, rows.width, rows.channels), rows.dtype)

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        if self.channels not in (2, 4):
            return self._rows.read(count)
        count = min(count, self.height - self._next)
        band = np.empty((count, self.width, self.channels), self.dtype)
        for first in range(0, count, _PIECE):
            part = band[first : first + _PIECE]
            part[:] = self._filled(len(part))
        return band

    def _filled(self, count: int) -> NDArray[Any]:
        start, stop = self._next, self._next + count
        have = self._top + len(self._ring)
        need = min(stop + RADIUS, self.height)
        if need > have:
            new = self._rows.read(need - have)
            self._ring = np.concatenate([self._ring, new]) if len(self._ring) else new
        out = fill_rows(self._ring, start - self._top, stop - self._top)
        top = max(self._top, stop - RADIUS)
        self._ring = self._ring[top - self._top :].copy()
        self._top, self._next = top, stop
        return out

    def close(self) -> None:
        """Close the rows it reads from."""
        self._rows.close()
