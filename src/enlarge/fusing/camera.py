"""What a camera makes of a scene: it blurs, samples, and brightens or darkens; and the way back.

The scene is a fine grid over the reference's window, `factor` pixels for one of the camera's. The
blur is that of the lens and of the pixels' area together, as a Gaussian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.alignment import covered
from enlarge.fusing.blur import USUAL
from enlarge.fusing.motion import Matrix, finer, moved, translation
from enlarge.fusing.opencv import load_opencv

Scene = NDArray[np.float32]
"""(H · factor, W · factor, 3), 0 to 255."""


@dataclass(frozen=True)
class View:
    """What one frame shows of the window. `pixels`: (h, w, 3) float32, 0 to 255, with the
    brightness of the reference; a part of the frame. `motion`: 3×3, from the window's pixels to
    those. `weight`: of the frame against the others.
    """

    frame: int
    pixels: NDArray[np.float32]
    motion: Matrix
    weight: float = 1.0


@dataclass(frozen=True)
class Camera:
    """`width`, `height`: of the window, in the camera's pixels. `factor`: of the fine grid. `blur`:
    the standard deviation in the camera's pixels.
    """

    width: int
    height: int
    factor: int
    blur: float = USUAL

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the fine grid."""
        return self.width * self.factor, self.height * self.factor

    def blurred(self, scene: Scene) -> Scene:
        """A scene through the lens, before it is sampled. Its own transpose."""
        cv2 = load_opencv()
        sigma = self.blur * self.factor
        result: Scene = cv2.GaussianBlur(scene, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        return result

    def places(self, view: View) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the frame's pixels lie on the fine grid: x and y, (h · w) each."""
        height, width = view.pixels.shape[:2]
        rows, columns = np.mgrid[:height, :width].reshape(2, -1)
        points = np.column_stack([columns, rows]).astype(np.float64)
        placed = moved(np.linalg.inv(self._motion(view)).astype(np.float64), points)
        return placed[:, 0], placed[:, 1]

    def shown(self, view: View) -> NDArray[np.bool_]:
        """Which pixels of the frame lie in the window: (h, w)."""
        height, width = view.pixels.shape[:2]
        size = self.size
        return covered((size[1], size[0]), np.linalg.inv(self._motion(view)), width, height)

    def _motion(self, view: View) -> Matrix:
        """From the fine grid to the frame's pixels."""
        return view.motion @ finer(self.factor)


def cut_view(
    number: int, pixels: NDArray[Any], motion: Matrix, size: tuple[int, int], around: int = 4
) -> tuple[NDArray[Any], Matrix]:
    """The part of a frame that shows a window of that size, and the motion into that part."""
    width, height = size
    edges = [(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)]
    points = moved(motion, np.array(edges, np.float64))
    high, wide = pixels.shape[:2]
    left, top = np.floor(points.min(axis=0)).astype(int) - around
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + around + 1
    left, top = min(max(0, left), wide - 1), min(max(0, top), high - 1)
    right, bottom = max(left + 1, min(wide, right)), max(top + 1, min(high, bottom))
    return pixels[top:bottom, left:right], translation(-left, -top) @ motion
