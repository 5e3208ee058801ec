"""What a camera saw of a scene: which pixels of which frame lie where in the window.

The window is a rectangle of the reference: the region with a margin. The scene is computed on a
fine grid over it, with `factor` cells for each of the camera's pixels in width and in height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.alignment import covered, warp, within
from enlarge.fusing.frames import Frame
from enlarge.fusing.motion import Matrix, carried, corners, moved, translation
from enlarge.fusing.opencv import load_opencv
from enlarge.fusing.tracking import Region

Floats = NDArray[np.float32]
PLANES = 3
"""Luma and two colour differences."""
FARTHEST = 12
"""Pixels by which a flow may move points, so that views hold what lies there."""
_FIXED_POINT_STEPS = 3
"""Enough where flow changes by less than a fifth of a pixel from one to the next: the error is less
than a hundredth of it.
"""


@dataclass(frozen=True)
class View:
    """What one frame shows of a window. `pixels`: (h, w, 3) uint8 or uint16, a part of the frame.
    `motion`: 3×3, from the window's pixels to those. The frame times `gain` plus `offset` has the
    brightness of the reference, in levels of 255. `trusted`: (h, w), from 0 to 1, how much a pixel
    counts. `flow`: (H, W, 2) float16, how far in x and y each point of the window moves before
    `motion` moves it; None where it does not.
    """

    frame: int
    pixels: NDArray[Any]
    motion: Matrix
    gain: float
    offset: float
    trusted: Floats
    flow: NDArray[np.floating[Any]] | None = None

    def levels(self) -> Floats:
        """The pixels as luma and two colour differences, (h, w, 3), with the brightness of the
        reference; in levels of 255.
        """
        cv2 = load_opencv()
        scale = self.gain / 257 if self.pixels.dtype == np.uint16 else self.gain
        values: Floats = self.pixels.astype(np.float32)
        values *= np.float32(scale)
        values += np.float32(self.offset)
        result: Floats = cv2.cvtColor(values, cv2.COLOR_RGB2YCrCb)
        return result

    def places(self) -> tuple[Floats, Floats]:
        """Where in the window the pixels lie: x and y, (h, w) each."""
        height, width = self.pixels.shape[:2]
        back = np.linalg.inv(self.motion)
        across, down = carried(back, np.arange(width), np.arange(height)[:, None])
        return self._without_flow(across.astype(np.float32), down.astype(np.float32))

    def _without_flow(self, across: Floats, down: Floats) -> tuple[Floats, Floats]:
        """Which points of the window the flow moves to those places."""
        if self.flow is None:
            return across, down
        cv2 = load_opencv()
        flow = self.flow.astype(np.float32)
        x, y = across, down
        for _ in range(_FIXED_POINT_STEPS):
            moves = cv2.remap(flow, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            x, y = across - moves[..., 0], down - moves[..., 1]
        return x, y

    def on_window(self, values: Floats, width: int, height: int) -> Floats:
        """Values of the pixels (h, w), on the pixels of the window: (height, width), which is the
        size of the flow, if there is one. Bicubic; beyond the border the nearest pixel.
        """
        if self.flow is None:
            plain: Floats = warp(values, self.motion, width, height)
            return plain
        cv2 = load_opencv()
        moved_x, moved_y = self._moved_window(width, height)
        found: Floats = cv2.remap(
            values, moved_x, moved_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return found

    def inside(self, width: int, height: int) -> NDArray[np.bool_]:
        """Which pixels of the window the view shows: (height, width), the flow's size if there is
        one.
        """
        if self.flow is None:
            return covered(self.pixels.shape, self.motion, width, height)
        return within(*self._moved_window(width, height), self.pixels.shape)

    def _moved_window(self, width: int, height: int) -> tuple[Floats, Floats]:
        """Where the pixels of the window lie among the view's: x and y, (height, width) each."""
        assert self.flow is not None
        flow = self.flow.astype(np.float64)
        x = np.arange(width) + flow[..., 0]
        y = np.arange(height)[:, None] + flow[..., 1]
        across, down = carried(self.motion, x, y)
        return across.astype(np.float32), down.astype(np.float32)

    def part(self, window: Region, around: int = 2) -> View:
        """What the view shows of a part of its window."""
        x, y, width, height = map(float, window)
        flow = None
        if self.flow is not None:
            rows = slice(window.y, window.y + window.height)
            flow = self.flow[rows, window.x : window.x + window.width]
            left, top = np.minimum(flow.min(axis=(0, 1)), 0).astype(float)
            right, bottom = np.maximum(flow.max(axis=(0, 1)), 0).astype(float)
            x, y, width, height = x + left, y + top, width + right - left, height + bottom - top
        points = moved(self.motion, corners(x, y, width, height))
        height, width = self.pixels.shape[:2]
        left, top = (int(v) for v in np.floor(points.min(axis=0)) - around)
        right, bottom = (int(v) for v in np.ceil(points.max(axis=0)) + around + 1)
        left, top = min(max(0, left), width - 1), min(max(0, top), height - 1)
        right, bottom = max(left + 1, min(width, right)), max(top + 1, min(height, bottom))
        return View(
            self.frame,
            self.pixels[top:bottom, left:right],
            translation(-left, -top) @ self.motion @ translation(window.x, window.y),
            self.gain,
            self.offset,
            self.trusted[top:bottom, left:right],
            flow,
        )


def to_rgb_levels(planes: Sequence[Floats]) -> Floats:
    """Luma and two colour differences (H, W), as of `View.levels`, as RGB (H, W, 3)."""
    cv2 = load_opencv()
    rgb: Floats = cv2.cvtColor(cv2.merge(planes), cv2.COLOR_YCrCb2RGB)
    return rgb


def view_of(frame: Frame, motion: Matrix, light: tuple[float, float], window: Region) -> View:
    """What a frame shows of a window of the reference. `motion`: from the reference; `light`: gain
    and offset.
    """
    trusted = np.ones(frame.pixels.shape[:2], np.float32)
    if frame.field is not None:
        trusted[1 - frame.field :: 2] = 0
    view = View(frame.number, frame.filled, motion, *light, trusted).part(window, around=FARTHEST)
    # The whole frame is let go.
    return replace(view, pixels=view.pixels.copy(), trusted=view.trusted.copy())


@dataclass(frozen=True)
class Gathered:
    """The pixels of all frames in the cells of the fine grid: their sums (3, H, W; see
    `View.levels`), and how many there are, (H, W); both weighted.
    """

    sums: Floats
    counts: Floats


def gather(views: list[View], width: int, height: int, factor: int) -> Gathered:
    """Put every pixel of every view into the cell of the fine grid where it lies. `width`,
    `height`: of the window, in the camera's pixels.
    """
    wide, high = width * factor, height * factor
    sums = np.zeros((PLANES, high * wide))
    counts = np.zeros(high * wide)
    for view in views:
        across, down = view.places()
        column = np.floor((across + 0.5) * factor).astype(np.int32)
        row = np.floor((down + 0.5) * factor).astype(np.int32)
        inside = (column >= 0) & (column < wide) & (row >= 0) & (row < high) & (view.trusted > 0)
        cell = row[inside] * wide + column[inside]
        weight = view.trusted[inside]
        counts += np.bincount(cell, weight, minlength=counts.size)
        values = view.levels()[inside] * weight[:, None]
        for plane in range(PLANES):
            sums[plane] += np.bincount(cell, values[:, plane], minlength=counts.size)
    return Gathered(
        sums.reshape(PLANES, high, wide).astype(np.float32),
        counts.reshape(high, wide).astype(np.float32),
    )
