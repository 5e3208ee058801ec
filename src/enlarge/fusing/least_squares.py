"""The least squares by which a scene is found from the pixels of many frames.

Every pixel of every frame says what the scene, blurred by lens and pixel, is at one place. On a
fine grid the scene is sought that explains them best, each pixel weighted by how much it is
trusted, with the least differences between neighbouring cells beside it; by conjugate gradients.
Iterative back-projection (Irani and Peleg, "Improving resolution by image registration", CVGIP
1991) goes towards the same solution in many more steps; that the frames' pixels can be put into the
grid once, before the blur is undone, is from Elad and Hel-Or ("A fast super-resolution
reconstruction algorithm for pure translational motion and common space-invariant blur", IEEE
Transactions on Image Processing 2001).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.camera import Floats, Gathered
from enlarge.fusing.opencv import load_opencv
from enlarge.fusing.sharpening import MASK

Scene = NDArray[np.float32]
"""(H · factor, W · factor, 3), 0 to 255; luma and two colour differences while it is computed, RGB
when it is done.
"""

FACTOR = 4
"""Cells of the fine grid for each of the camera's pixels, in width and in height."""
SMOOTHNESS = 8e-4
"""What the squares of differences between neighbouring cells weigh, in units of the noise's
variance, where a network follows, which tells noise from detail better: little.
"""
EDGE_SMOOTHNESS = 0.02
"""The same where no network follows; differences that belong to edges count less then."""
_TINY = np.float32(1e-12)
_EDGE = 1.0
"""Levels of a difference between neighbouring cells from which it belongs to an edge."""
_COLOUR = 10.0
"""How many times smoother colour is taken to be than brightness before a network follows."""
_EDGE_COLOUR = 4.0
"""The same where no network follows. Edges of colour are taken to lie at edges of brightness."""


@dataclass(frozen=True)
class Optics:
    """`blur`: the standard deviation of the blur by lens and pixel, in the camera's pixels;
    `colour_blur`: the same of the colour differences, which most files hold with half the
    resolution. `sharpening`: the amount of the camera's unsharp mask. `keeps_edges`: noise is
    smoothed beside edges, and edges are not; for a picture that no network will clean.
    """

    blur: float
    colour_blur: float
    sharpening: float
    keeps_edges: bool


def seen_by(scene: Scene, optics: Optics) -> Scene:
    """A scene (H, W, 3) through lens and pixels, and its luma sharpened."""
    seen, luma = np.empty_like(scene), np.ascontiguousarray(scene[..., 0])
    seen[..., 0] = blurred(luma, optics.blur * FACTOR)
    if optics.sharpening:
        wide = float(np.hypot(optics.blur, MASK))
        seen[..., 0] += np.float32(optics.sharpening) * (
            seen[..., 0] - blurred(luma, wide * FACTOR)
        )
    seen[..., 1:] = blurred(np.ascontiguousarray(scene[..., 1:]), optics.colour_blur * FACTOR)
    return seen


def blurred(values: Floats, sigma: float) -> Floats:
    """Values (H, W) or (H, W, C) through a Gaussian of so many cells."""
    cv2 = load_opencv()
    result: Floats = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return result


def edges_of(scene: Scene) -> tuple[Floats, Floats]:
    """From 0 to 1, how little the differences downwards (H - 1, W, 1) and to the right
    (H, W - 1, 1) belong to edges of brightness.
    """
    soft = blurred(np.ascontiguousarray(scene[..., 0]), 0.7)
    down, across = (np.diff(soft, axis=axis)[..., None] for axis in (0, 1))
    one = np.float32(1)
    return (
        one / np.sqrt(one + np.square(down / np.float32(_EDGE))),
        one / np.sqrt(one + np.square(across / np.float32(_EDGE))),
    )


class Problem:
    """Least squares for the scene: `smoothness`: what differences between neighbouring cells
    weigh; `edges`: factors to that, as from `edges_of`.
    """

    def __init__(
        self,
        gathered: Gathered,
        optics: Optics,
        smoothness: float,
        edges: tuple[Floats, Floats] | None = None,
    ) -> None:
        self._gathered, self._optics, self._edges = gathered, optics, edges
        self._counts = gathered.counts[..., None]
        colour = _COLOUR if edges is None else _EDGE_COLOUR
        self._smoothness = np.array([1.0, colour, colour], np.float32) * np.float32(smoothness)

    def start(self) -> Scene:
        """The mean of the frames, blurred."""
        sigma = self._optics.blur * FACTOR
        counts = blurred(self._gathered.counts, sigma)[..., None]
        start = blurred(self._gathered.sums, sigma)
        start /= np.maximum(counts, np.float32(1e-4))
        return start

    def solve(self, start: Scene, steps: int) -> Scene:
        """The scene after so many steps of conjugate gradients."""
        if not steps:
            return start
        scene, _ = next(islice(self.steps(start), steps - 1, None))
        return scene

    def steps(self, start: Scene) -> Iterator[tuple[Scene, Scene]]:
        """The scene after each step of conjugate gradients, of every plane for itself, and what
        the camera sees of it. Both arrays are changed by the next step.
        """
        scene, seen = start.copy(), seen_by(start, self._optics)
        residual = seen_by(self._gathered.sums, self._optics) - self._applied(scene, seen)
        direction = residual.copy()
        power = _dots(residual, residual)
        while True:
            seen_direction = seen_by(direction, self._optics)
            change = self._applied(direction, seen_direction)
            step = power / np.maximum(_dots(direction, change), _TINY)
            scene += step * direction
            seen += step * seen_direction
            residual -= step * change
            before, power = power, _dots(residual, residual)
            direction *= power / np.maximum(before, _TINY)
            direction += residual
            yield scene, seen

    def _applied(self, scene: Scene, seen: Scene) -> Scene:
        """The normal equations' matrix times a scene, of which the camera sees `seen`."""
        result = seen_by(seen * self._counts, self._optics)
        down, across = np.diff(scene, axis=0), np.diff(scene, axis=1)
        if self._edges is not None:
            down *= self._edges[0]
            across *= self._edges[1]
        down *= self._smoothness
        across *= self._smoothness
        result[:-1] -= down
        result[1:] += down
        result[:, :-1] -= across
        result[:, 1:] += across
        return result


def _dots(first: Scene, second: Scene) -> Floats:
    """The sums of the products of two scenes' values, in each plane: (3,)."""
    products: Floats = np.einsum("hwc,hwc->c", first, second)
    return products
