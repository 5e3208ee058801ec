"""The scene in a window from what many frames saw of it, some parts of it at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np

from enlarge.fusing.camera import Floats, View, gather, to_rgb_levels
from enlarge.fusing.held_out import Effort
from enlarge.fusing.least_squares import (
    EDGE_SMOOTHNESS,
    FACTOR,
    SMOOTHNESS,
    Optics,
    edges_of,
    problems,
)
from enlarge.fusing.tracking import Region
from enlarge.fusing.trust import weighed

_TILE = 192
"""The camera's pixels that a part of the window has at most, in width and in height."""
_WORTH_HALVING = 96
"""The camera's pixels of the longer side from which a window is halved that one part could hold, so
that two threads have work.
"""
_OVERLAP = 12
_EDGE_ROUNDS, _EDGE_STEPS = 3, 12
"""Rounds of smoothing beside edges, which no frame that was left out can judge: edges get sharper
than the camera sees them.
"""


@dataclass(frozen=True)
class Reconstruction:
    """`scene`: on the fine grid, RGB in levels: (H · factor, W · factor, 3). `samples` (H, W): how
    many pixels of frames lie in each of the window's pixels, weighted. `noise`: the standard
    deviation of the frames' differences from what they should show, in levels. `weights`: of each
    view's pixels in the mean, 0 to 1.
    """

    scene: Floats
    samples: Floats
    noise: float
    weights: tuple[float, ...]


def tiles(width: int, height: int) -> list[Region]:
    """The parts of a window that are reconstructed by themselves, of about equal size."""
    across, down = -(-width // _TILE), -(-height // _TILE)
    if across * down == 1 and max(width, height) >= _WORTH_HALVING:
        across, down = (2, 1) if width >= height else (1, 2)
    return [
        Region(x, y, right - x, bottom - y)
        for y, bottom in _spans(height, down)
        for x, right in _spans(width, across)
    ]


def _spans(length: int, count: int) -> Iterator[tuple[int, int]]:
    """The beginnings and ends of so many parts of a length."""
    ends = [length * number // count for number in range(count + 1)]
    return pairwise(ends)


def reconstruct(
    views: Sequence[View],
    size: tuple[int, int],
    optics: Optics,
    effort: Effort,
    *,
    threads: int = 1,
    tick: Callable[[], None] = lambda: None,
) -> Reconstruction:
    """The scene in a window of that width and height, on the fine grid. `threads`: how many parts
    are computed at a time. `tick` is called after each of `tiles`; what it raises ends the work.
    """
    width, height = size
    scene = np.empty((height * FACTOR, width * FACTOR, 3), np.float32)
    samples = np.empty((height, width), np.float32)
    squares, weights = 0.0, np.zeros(len(views))
    parts = tiles(width, height)
    work = partial(_reconstruct_tile, views, size, optics, effort)
    pool = ThreadPoolExecutor(min(threads, len(parts)))
    try:
        for tile, made in zip(parts, pool.map(work, parts), strict=True):
            rows, columns = _slices(tile)
            scene[_finer(rows), _finer(columns)] = made.scene
            samples[rows, columns] = made.samples
            share = tile.width * tile.height / (width * height)
            squares += made.noise**2 * share
            weights += np.array(made.weights) * share
            tick()
    finally:
        pool.shutdown(cancel_futures=True)
    return Reconstruction(scene, samples, squares**0.5, tuple(map(float, weights)))


def _reconstruct_tile(
    views: Sequence[View], size: tuple[int, int], optics: Optics, effort: Effort, tile: Region
) -> Reconstruction:
    """The scene in a tile, computed with what lies around it."""
    left, top = max(0, tile.x - _OVERLAP), max(0, tile.y - _OVERLAP)
    right = min(size[0], tile.x + tile.width + _OVERLAP)
    bottom = min(size[1], tile.y + tile.height + _OVERLAP)
    part = Region(left, top, right - left, bottom - top)
    made = _reconstruct_part([view.part(part) for view in views], part, optics, effort)
    rows, columns = _slices(tile._replace(x=tile.x - left, y=tile.y - top))
    scene = made.scene[_finer(rows), _finer(columns)]
    return replace(made, scene=scene, samples=made.samples[rows, columns])


def _slices(region: Region) -> tuple[slice, slice]:
    """Rows and columns of a region."""
    return (
        slice(region.y, region.y + region.height),
        slice(region.x, region.x + region.width),
    )


def _finer(pixels: slice) -> slice:
    """The cells of the fine grid that lie in pixels."""
    return slice(pixels.start * FACTOR, pixels.stop * FACTOR)


def _reconstruct_part(
    views: list[View], part: Region, optics: Optics, effort: Effort
) -> Reconstruction:
    """The scene in a part of the window."""
    trusted = weighed(views, part, optics)
    gathered = gather(trusted.views, part.width, part.height, FACTOR)
    noise = trusted.noise if effort.noise is None else effort.noise
    planes = [
        problem.solve(problem.start(), effort.steps)
        for problem in problems(gathered, optics, SMOOTHNESS * noise**2)
    ]
    for _ in range(_EDGE_ROUNDS if optics.keeps_edges else 0):
        edged = problems(gathered, optics, EDGE_SMOOTHNESS * noise, edges_of(planes[0]))
        planes = [
            problem.solve(plane, _EDGE_STEPS) for plane, problem in zip(planes, edged, strict=True)
        ]
    cells = gathered.counts.reshape(part.height, FACTOR, part.width, FACTOR)
    samples = cells.sum(axis=(1, 3))
    weights = tuple(float(view.trusted.mean()) for view in trusted.views)
    return Reconstruction(to_rgb_levels(planes), samples, noise, weights)
