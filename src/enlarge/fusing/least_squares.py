"""The least squares by which a scene is found from the pixels of many frames.

Every pixel of every frame says what the scene, blurred by lens and pixel, is at one place. On a
fine grid the scene is sought that explains them best, each pixel weighted by how much it is
trusted, with the least differences between neighbouring cells beside it; by conjugate gradients,
for luma and for each of the two colour differences by itself.
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

from enlarge.fusing.camera import PLANES, Floats, Gathered
from enlarge.fusing.opencv import load_opencv
from enlarge.fusing.sharpening import MASK

FACTOR = 4
"""Cells of the fine grid for each of the camera's pixels, in width and in height."""
SMOOTHNESS = 8e-4
"""What the squares of differences between neighbouring cells weigh, in units of the noise's
variance, where a network follows, which tells noise from detail better: little.
"""
EDGE_SMOOTHNESS = 0.13
"""The same where no network follows, in units of the noise's standard deviation instead: frames
with little noise share a codec's errors, which do not average out. Differences that belong to edges
count less then.
"""
_TINY = 1e-12
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


def seen_by(plane: int, values: Floats, optics: Optics) -> Floats:
    """A plane of the scene (H, W), 0 to 2, through lens and pixels; luma, which is 0, sharpened."""
    if plane:
        return blurred(values, optics.colour_blur * FACTOR)
    seen = blurred(values, optics.blur * FACTOR)
    if not optics.sharpening:
        return seen
    wide = blurred(values, float(np.hypot(optics.blur, MASK)) * FACTOR)
    cv2 = load_opencv()
    sharpened: Floats = cv2.addWeighted(seen, 1 + optics.sharpening, wide, -optics.sharpening, 0)
    return sharpened


def blurred(values: Floats, sigma: float) -> Floats:
    """Values (H, W) through a Gaussian of so many cells."""
    cv2 = load_opencv()
    result: Floats = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return result


def edges_of(luma: Floats) -> tuple[Floats, Floats]:
    """From 0 to 1, how little the differences of luma downwards (H - 1, W) and to the right
    (H, W - 1) belong to edges.
    """
    soft = blurred(luma, 0.7)
    down, across = (np.diff(soft, axis=axis) for axis in (0, 1))
    one = np.float32(1)
    return (
        one / np.sqrt(one + np.square(down / np.float32(_EDGE))),
        one / np.sqrt(one + np.square(across / np.float32(_EDGE))),
    )


class Problem:
    """Least squares for a plane of the scene (0: luma; 1 and 2: colour differences).

    `smoothness`: what differences between neighbouring cells of luma weigh; `edges`: factors to
    that, as from `edges_of`.
    """

    def __init__(
        self,
        plane: int,
        gathered: Gathered,
        optics: Optics,
        smoothness: float,
        edges: tuple[Floats, Floats] | None = None,
    ) -> None:
        self._plane, self._gathered, self._optics, self._edges = plane, gathered, optics, edges
        colour = _COLOUR if edges is None else _EDGE_COLOUR
        self._smoothness = smoothness * (colour if plane else 1.0)

    def start(self) -> Floats:
        """The mean of the frames, blurred."""
        sigma = self._optics.blur * FACTOR
        counts = blurred(self._gathered.counts, sigma)
        start = blurred(self._gathered.sums[self._plane], sigma)
        start /= np.maximum(counts, np.float32(1e-4))
        return start

    def solve(self, start: Floats, steps: int) -> Floats:
        """The plane after so many steps of conjugate gradients."""
        if not steps:
            return start
        values, _ = next(islice(self.steps(start), steps - 1, None))
        return values

    def steps(self, start: Floats) -> Iterator[tuple[Floats, Floats]]:
        """The plane after each step of conjugate gradients, and what the camera sees of it. Both
        arrays are changed by the next step.
        """
        cv2 = load_opencv()
        values, seen = start.copy(), self._seen(start)
        residual = self._seen(self._gathered.sums[self._plane]) - self._applied(values, seen)
        direction = residual.copy()
        power = float(np.vdot(residual, residual))
        while True:
            seen_direction = self._seen(direction)
            change = self._applied(direction, seen_direction)
            step = power / max(float(np.vdot(direction, change)), _TINY)
            cv2.scaleAdd(direction, step, values, dst=values)
            cv2.scaleAdd(seen_direction, step, seen, dst=seen)
            cv2.scaleAdd(change, -step, residual, dst=residual)
            before, power = power, float(np.vdot(residual, residual))
            cv2.scaleAdd(direction, power / max(before, _TINY), residual, dst=direction)
            yield values, seen

    def _seen(self, values: Floats) -> Floats:
        return seen_by(self._plane, values, self._optics)

    def _applied(self, values: Floats, seen: Floats) -> Floats:
        """The normal equations' matrix times a plane, of which the camera sees `seen`."""
        cv2 = load_opencv()
        result = self._seen(seen * self._gathered.counts)
        if self._edges is None:
            # Of the differences to all four neighbours; beyond the border there are none.
            bends = cv2.Laplacian(values, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REPLICATE)
            cv2.scaleAdd(bends, -self._smoothness, result, dst=result)
            return result
        weight = np.float32(self._smoothness)
        down, across = np.diff(values, axis=0), np.diff(values, axis=1)
        down *= self._edges[0]
        down *= weight
        across *= self._edges[1]
        across *= weight
        result[:-1] -= down
        result[1:] += down
        result[:, :-1] -= across
        result[:, 1:] += across
        return result


def problems(
    gathered: Gathered,
    optics: Optics,
    smoothness: float,
    edges: tuple[Floats, Floats] | None = None,
) -> list[Problem]:
    """The least squares of all planes."""
    return [Problem(plane, gathered, optics, smoothness, edges) for plane in range(PLANES)]
