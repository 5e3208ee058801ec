"""The scene from what many frames saw of it.

Every pixel of every frame says what the scene, blurred by lens and pixel, is at one place. On a
fine grid the scene is found that explains them best by least squares, each pixel weighted by how
much it is trusted, with the least differences between neighbouring cells beside it; by conjugate
gradients. Iterative back-projection (Irani and Peleg, "Improving resolution by image registration",
CVGIP 1991) goes towards the same solution in many more steps; that the frames' pixels can be put
into the grid once, before the blur is undone, is from Elad and Hel-Or ("A fast super-resolution
reconstruction algorithm for pure translational motion and common space-invariant blur", IEEE
Transactions on Image Processing 2001).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.alignment import warp
from enlarge.fusing.camera import Floats, Gathered, View, gather, to_rgb_levels
from enlarge.fusing.opencv import load_opencv
from enlarge.fusing.tracking import Region

Scene = NDArray[np.float32]
"""(H · factor, W · factor, 3), 0 to 255; luma and two colour differences while it is computed, RGB
when it is done.
"""

FACTOR = 4
"""Cells of the fine grid for each of the camera's pixels, in width and in height."""
_STEPS = 15
_FIRST_STEPS = 6
_EDGE_STEPS, _EDGE_ROUNDS = 10, 3
_SMOOTHNESS = 8e-4
"""What the squares of differences between neighbouring cells weigh, in units of the noise's
variance, where a network follows, which tells noise from detail better: little.
"""
_EDGE_SMOOTHNESS = 0.02
"""The same where no network follows; differences that belong to edges count less then."""
_EDGE = 1.0
"""Levels of a difference between neighbouring cells from which it belongs to an edge."""
_COLOUR = 10.0
"""How many times smoother colour is taken to be than brightness before a network follows: most
compressed files hold it with half the resolution.
"""
_TILE = 192
"""The camera's pixels of the side of a part of the window that is reconstructed at a time."""
_OVERLAP = 12
_USUAL_NOISE = 5.0
_ENOUGH_FOR_MEDIAN = 5
_COVERING = 5.0
"""Differences from the median of all frames, in units of what a tenth of the pixels exceed, from
which something covers the scene.
"""
_AROUND = 1.5
"""Standard deviation, in the camera's pixels, of the neighbourhood over which differences are
averaged before they tell noise from what the other frames do not show.
"""
_OUTLYING = 3.0
"""Such differences, in units of what is usual, from which a pixel counts less."""


@dataclass(frozen=True)
class Optics:
    """`blur`: the standard deviation of the blur by lens and pixel, in the camera's pixels.
    `keeps_edges`: noise is smoothed beside edges, and edges are not; for a picture that no network
    will clean.
    """

    blur: float
    keeps_edges: bool


@dataclass(frozen=True)
class Reconstruction:
    """`scene`: on the fine grid. `samples` (H, W): how many pixels of frames lie in each of the
    window's pixels, weighted. `noise`: the standard deviation of the frames' differences from what
    they should show, in levels. `weights`: of each view's pixels in the mean, 0 to 1.
    """

    scene: Scene
    samples: Floats
    noise: float
    weights: tuple[float, ...]


def tiles(width: int, height: int) -> list[Region]:
    """The parts of a window that are reconstructed one after another."""
    return [
        Region(x, y, min(_TILE, width - x), min(_TILE, height - y))
        for y in range(0, height, _TILE)
        for x in range(0, width, _TILE)
    ]


def reconstruct(
    views: Sequence[View],
    size: tuple[int, int],
    optics: Optics,
    tick: Callable[[], None] = lambda: None,
) -> Reconstruction:
    """The scene in a window of that width and height, on the fine grid. `tick` is called after
    each of `tiles`.
    """
    width, height = size
    scene = np.empty((height * FACTOR, width * FACTOR, 3), np.float32)
    samples = np.empty((height, width), np.float32)
    squares, weights, count = 0.0, np.zeros(len(views)), 0
    for tile in tiles(width, height):
        left, top = max(0, tile.x - _OVERLAP), max(0, tile.y - _OVERLAP)
        right = min(width, tile.x + tile.width + _OVERLAP)
        bottom = min(height, tile.y + tile.height + _OVERLAP)
        part = Region(left, top, right - left, bottom - top)
        made = _reconstruct_part([view.part(part) for view in views], part, optics)
        x, y = tile.x - left, tile.y - top
        rows = slice(tile.y * FACTOR, (tile.y + tile.height) * FACTOR)
        columns = slice(tile.x * FACTOR, (tile.x + tile.width) * FACTOR)
        scene[rows, columns] = made.scene[
            y * FACTOR : (y + tile.height) * FACTOR, x * FACTOR : (x + tile.width) * FACTOR
        ]
        samples[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] = made.samples[
            y : y + tile.height, x : x + tile.width
        ]
        area = tile.width * tile.height
        squares += made.noise**2 * area
        weights += np.array(made.weights) * area
        count += area
        tick()
    return Reconstruction(
        scene, samples, (squares / count) ** 0.5, tuple(map(float, weights / count))
    )


def _reconstruct_part(views: list[View], part: Region, optics: Optics) -> Reconstruction:
    """Once with all pixels, and again with those that fit."""
    size = part.width, part.height
    views = _uncovered(views, part)
    gathered = gather(views, *size, FACTOR)
    problem = _Problem(gathered, optics.blur * FACTOR, _SMOOTHNESS * _USUAL_NOISE**2)
    first = problem.solve(problem.start(), _FIRST_STEPS)
    views, noise = _trusting(views, first, optics)
    gathered = gather(views, *size, FACTOR)
    problem = _Problem(gathered, optics.blur * FACTOR, _SMOOTHNESS * noise**2)
    scene = problem.solve(first, _STEPS)
    if optics.keeps_edges:
        for _ in range(_EDGE_ROUNDS):
            smoothness = _EDGE_SMOOTHNESS * noise**2
            problem = _Problem(gathered, optics.blur * FACTOR, smoothness, _edges(scene))
            scene = problem.solve(scene, _EDGE_STEPS)
    scene = to_rgb_levels(scene)
    cells = gathered.counts.reshape(part.height, FACTOR, part.width, FACTOR)
    samples = cells.sum(axis=(1, 3))
    weights = tuple(float(view.trusted.mean()) for view in views)
    return Reconstruction(scene, samples, noise, weights)


def _trusting(views: list[View], scene: Scene, optics: Optics) -> tuple[list[View], float]:
    """The views with how much each of their pixels counts: frames with stronger noise less (by its
    variance), and pixels that differ from the scene over a neighbourhood less. And the noise of the
    best half of the frames.
    """
    cv2 = load_opencv()
    blurred = _blurred(scene, optics.blur * FACTOR)
    lumas, differences, shown = [], [], []
    for view in views:
        across, down = view.places()
        seen = cv2.remap(
            blurred,
            (across + np.float32(0.5)) * np.float32(FACTOR) - np.float32(0.5),
            (down + np.float32(0.5)) * np.float32(FACTOR) - np.float32(0.5),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        inside = (
            (across > -0.5)
            & (down > -0.5)
            & (across < scene.shape[1] / FACTOR - 0.5)
            & (down < scene.shape[0] / FACTOR - 0.5)
            & (view.trusted > 0)
        )
        luma = (view.levels()[..., 0] - seen[..., 0]) * inside
        lumas.append(luma)
        differences.append(cv2.GaussianBlur(luma, (0, 0), _AROUND))
        shown.append(inside)
    usual = [
        1.4826 * float(np.median(np.abs(difference[inside]))) if inside.any() else np.inf
        for difference, inside in zip(differences, shown, strict=True)
    ]
    limit = np.float32(_OUTLYING * (float(np.median(usual)) + 0.25))
    fits = [
        inside / np.square(np.maximum(np.float32(1), np.abs(difference) / limit))
        for difference, inside in zip(differences, shown, strict=True)
    ]
    variances = [
        float((fit * np.square(luma)).sum() / max(float(fit.sum()), 1.0))
        for fit, luma in zip(fits, lumas, strict=True)
    ]
    floor = float(np.quantile(variances, 0.25)) + 0.25
    trusting = [
        replace(view, trusted=(view.trusted * fit * min(1.0, floor / max(variance, 1e-6))))
        for view, fit, variance in zip(views, fits, variances, strict=True)
    ]
    return trusting, float(np.median(variances)) ** 0.5


def _uncovered(views: list[View], part: Region) -> list[View]:
    """The views without what differs much from the median of all, over a neighbourhood: it covered
    the scene, and would leave its trace in a mean.
    """
    if len(views) < _ENOUGH_FOR_MEDIAN:
        return views
    cv2 = load_opencv()
    lumas = [np.ascontiguousarray(view.levels()[..., 0]) for view in views]
    stack = [
        warp(luma, view.motion, part.width, part.height)
        for luma, view in zip(lumas, views, strict=True)
    ]
    median = np.median(np.stack(stack), axis=0).astype(np.float32)
    differences = []
    for luma, view in zip(lumas, views, strict=True):
        across, down = view.places()
        seen = cv2.remap(median, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        differences.append(np.abs(cv2.GaussianBlur(luma - seen, (0, 0), _AROUND)))
    usual = float(np.median([np.quantile(difference, 0.9) for difference in differences]))
    limit = _COVERING * (usual + 0.25)
    return [
        replace(view, trusted=view.trusted * (difference < limit))
        for view, difference in zip(views, differences, strict=True)
    ]


def _blurred(values: Floats, sigma: float) -> Floats:
    cv2 = load_opencv()
    result: Floats = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return result


def _edges(scene: Scene) -> tuple[Floats, Floats]:
    """From 0 to 1, how little the differences downwards (H - 1, W, 1) and to the right
    (H, W - 1, 1) belong to edges of brightness.
    """
    soft = _blurred(np.ascontiguousarray(scene[..., 0]), 0.7)
    down, across = (np.diff(soft, axis=axis)[..., None] for axis in (0, 1))
    one = np.float32(1)
    return (
        one / np.sqrt(one + np.square(down / np.float32(_EDGE))),
        one / np.sqrt(one + np.square(across / np.float32(_EDGE))),
    )


class _Problem:
    """Least squares for the scene: `sigma`: the blur in cells; `smoothness`: what differences
    between neighbouring cells weigh; `edges`: factors to that, as from `_edges`.
    """

    def __init__(
        self,
        gathered: Gathered,
        sigma: float,
        smoothness: float,
        edges: tuple[Floats, Floats] | None = None,
    ) -> None:
        self._gathered, self._sigma, self._edges = gathered, sigma, edges
        self._counts = gathered.counts[..., None]
        colour = _COLOUR if edges is None else 1.0
        self._smoothness = np.array([1.0, colour, colour], np.float32) * np.float32(smoothness)

    def start(self) -> Scene:
        """The mean of the frames, blurred."""
        counts = _blurred(self._gathered.counts, self._sigma)[..., None]
        start = _blurred(self._gathered.sums, self._sigma)
        start /= np.maximum(counts, np.float32(1e-4))
        return start

    def solve(self, start: Scene, steps: int) -> Scene:
        """The scene after so many steps of conjugate gradients."""
        scene = start.copy()
        residual = _blurred(self._gathered.sums, self._sigma) - self._applied(scene)
        direction = residual.copy()
        power = _dot(residual, residual)
        for _ in range(steps):
            change = self._applied(direction)
            curvature = _dot(direction, change)
            if curvature <= 0 or power <= 1e-12:
                break
            step = np.float32(power / curvature)
            scene += step * direction
            residual -= step * change
            before, power = power, _dot(residual, residual)
            direction *= np.float32(power / before)
            direction += residual
        return scene

    def _applied(self, scene: Scene) -> Scene:
        """The normal equations' matrix times a scene."""
        seen = _blurred(scene, self._sigma)
        seen *= self._counts
        result = _blurred(seen, self._sigma)
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


def _dot(first: Scene, second: Scene) -> float:
    return float(np.einsum("i,i->", first.ravel(), second.ravel()))
