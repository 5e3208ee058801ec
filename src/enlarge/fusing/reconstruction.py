"""The scene in a window from what many frames saw of it, one part after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from enlarge.fusing.camera import Floats, View, gather, to_rgb_levels
from enlarge.fusing.held_out import Effort
from enlarge.fusing.least_squares import (
    EDGE_SMOOTHNESS,
    FACTOR,
    SMOOTHNESS,
    Optics,
    Problem,
    Scene,
    edges_of,
)
from enlarge.fusing.tracking import Region
from enlarge.fusing.trust import weighed

_TILE = 192
"""The camera's pixels of the side of a part of the window that is reconstructed at a time."""
_OVERLAP = 12
_EDGE_ROUNDS, _EDGE_STEPS = 3, 12
"""Rounds of smoothing beside edges, which no frame that was left out can judge: edges get sharper
than the camera sees them.
"""


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
    effort: Effort,
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
        made = _reconstruct_part([view.part(part) for view in views], part, optics, effort)
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


def _reconstruct_part(
    views: list[View], part: Region, optics: Optics, effort: Effort
) -> Reconstruction:
    """The scene in a part of the window."""
    trusted = weighed(views, part, optics)
    gathered = gather(trusted.views, part.width, part.height, FACTOR)
    noise = trusted.noise if effort.noise is None else effort.noise
    problem = Problem(gathered, optics, SMOOTHNESS * noise**2)
    scene = problem.solve(problem.start(), effort.steps)
    for _ in range(_EDGE_ROUNDS if optics.keeps_edges else 0):
        problem = Problem(gathered, optics, EDGE_SMOOTHNESS * noise**2, edges_of(scene))
        scene = problem.solve(scene, _EDGE_STEPS)
    cells = gathered.counts.reshape(part.height, FACTOR, part.width, FACTOR)
    samples = cells.sum(axis=(1, 3))
    weights = tuple(float(view.trusted.mean()) for view in trusted.views)
    return Reconstruction(to_rgb_levels(scene), samples, noise, weights)
