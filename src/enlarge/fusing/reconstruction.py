"""The scene from what many frames saw of it, by least squares with a prior.

Every pixel of every frame is a sample of the blurred scene, at a place between the pixels of the
fine grid: a row of sixteen weights (bicubic). The scene is sought that explains the samples, each
counting by the inverse variance of its frame's noise, and that is smooth: squares of its gradients
cost, or, so that edges stay sharp, Huber's function of them (Farsiu et al., "Fast and robust
multiframe super resolution", IEEE TIP 2004, have a similar prior). The equations are solved by
conjugate gradients. Where a frame differs from the scene over a neighbourhood, something covers it
that the other frames do not show, and it counts less there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.blur import estimated_blur
from enlarge.fusing.camera import Camera, Scene, View
from enlarge.fusing.opencv import load_opencv, load_sparse

ROUNDS, STEPS_EACH = 2, 8
STEPS = ROUNDS * STEPS_EACH
_OUTLYING = 6.0
"""Differences, in units of what is usual, from which they count less."""
_SPREAD = 0.3
"""Standard deviation, in the camera's pixels, of the Gaussian that the mean is taken with."""
_LEAST_NOISE = 1.0
"""Standard deviation in levels: 8-bit pixels, compressed, have at least that much."""


@dataclass(frozen=True)
class Prior:
    """What gradients of a scene cost: `strength` times their squares up to `edge` levels per pixel
    of the fine grid, and growing linearly from there (None: squares throughout).
    """

    strength: float
    edge: float | None = None


SOFT = Prior(3e-4)
"""For a network that runs afterwards: it removes what noise is left, and finds the edges."""
SHARP = Prior(4e-3, 8.0)
"""For what is shown as it is."""


@dataclass(frozen=True)
class Reconstruction:
    """`scene`: on the fine grid. `samples` (H, W) of the fine grid: how many pixels of frames lie
    in each of the camera's pixels. `noise`: the standard deviation of the differences between what
    frames show and what they should show, in levels. `blur`: of lens and pixel, standard deviation
    in the camera's pixels.
    """

    scene: Scene
    samples: NDArray[np.float32]
    noise: float
    blur: float


class _Samples:
    """The pixels of all frames as samples of the fine grid."""

    def __init__(self, views: Sequence[View], camera: Camera) -> None:
        self.camera = camera
        self.shapes = [view.pixels.shape for view in views]
        self.matrix = load_sparse().vstack([_rows(view, camera) for view in views], format="csr")
        self.values = np.concatenate([view.pixels.reshape(-1, 3) for view in views])
        self.shown = np.concatenate([camera.shown(view).ravel() for view in views])
        ends = np.cumsum([0] + [high * wide for high, wide, _ in self.shapes])
        self.parts = [slice(a, b) for a, b in pairwise(ends)]

    def seen(self, scene: Scene) -> NDArray[np.float32]:
        """What all frames would show of a scene: (n, 3)."""
        return self.matrix @ self.camera.blurred(scene).reshape(-1, 3)

    def back(self, values: NDArray[np.float32]) -> Scene:
        """The transpose of `seen`."""
        width, height = self.camera.size
        return self.camera.blurred((self.matrix.T @ values).reshape(height, width, 3))


def _rows(view: View, camera: Camera) -> Any:
    wide, high = camera.size
    x, y = camera.places(view)
    x, y = np.clip(x, 1, wide - 3.001), np.clip(y, 1, high - 3.001)
    left, top = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    across, down = _taps(x - left), _taps(y - top)
    near = np.arange(-1, 3, dtype=np.int32)
    columns = (top[:, None] + near)[:, :, None] * np.int32(wide) + (left[:, None] + near)[:, None]
    weights = down[:, :, None] * across[:, None]
    ends = np.arange(0, 16 * len(x) + 1, 16, dtype=np.int32)
    shape = (len(x), wide * high)
    return load_sparse().csr_matrix((weights.ravel(), columns.ravel(), ends), shape=shape)


def _taps(fraction: NDArray[np.float64]) -> NDArray[np.float32]:
    """The four weights of bicubic interpolation (Keys, a = −1/2) at each place: (n, 4)."""
    f = fraction.astype(np.float32)
    square, cube = f * f, f * f * f
    return np.stack(
        [
            -0.5 * cube + square - 0.5 * f,
            1.5 * cube - 2.5 * square + 1,
            -1.5 * cube + 2 * square + 0.5 * f,
            0.5 * cube - 0.5 * square,
        ],
        axis=1,
    )


def reconstruct(
    views: Sequence[View], camera: Camera, prior: Prior, tick: Callable[[], None] = lambda: None
) -> Reconstruction:
    """The scene on the camera's fine grid. `tick` is called after each step."""
    samples = _Samples(views, camera)
    given = [
        np.full(part.stop - part.start, view.weight, np.float32)
        for part, view in zip(samples.parts, views, strict=True)
    ]
    trusted = np.concatenate(given) * samples.shown
    scene, density = _mean(samples, trusted)
    blur = estimated_blur(scene, camera.factor, _SPREAD)
    samples.camera = replace(camera, blur=blur)
    weights = trusted
    for _ in range(ROUNDS):
        difference = samples.values - samples.seen(scene)
        weights, noise = _weighed(difference, trusted, samples)
        scene = _solved(scene, samples, weights, prior, tick)
    return Reconstruction(scene, density, noise, blur)


def _mean(samples: _Samples, weights: NDArray[np.float32]) -> tuple[Scene, NDArray[np.float32]]:
    """The mean of the samples around each pixel of the fine grid, and how many of them lie in each
    of the camera's pixels.
    """
    cv2 = load_opencv()
    width, height = samples.camera.size
    values = np.column_stack([samples.values, np.ones(len(weights), np.float32)])
    spread = (samples.matrix.T @ (values * weights[:, None])).reshape(height, width, 4)
    smooth = cv2.GaussianBlur(spread, (0, 0), _SPREAD * samples.camera.factor)
    scene = smooth[..., :3] / np.maximum(smooth[..., 3:], np.float32(1e-3))
    shown = samples.matrix.T @ (weights > 0).astype(np.float32)
    density = cv2.GaussianBlur(shown.reshape(height, width), (0, 0), 0.5 * samples.camera.factor)
    return scene, density * np.float32(samples.camera.factor**2)


def _weighed(
    difference: NDArray[np.float32], trusted: NDArray[np.float32], samples: _Samples
) -> tuple[NDArray[np.float32], float]:
    """The weight of every sample, and the standard deviation of the frames' noise."""
    parts, variances = [], []
    for part, (height, width, _) in zip(samples.parts, samples.shapes, strict=True):
        mine = difference[part].reshape(height, width, 3)
        weight = trusted[part] * _trust(mine, trusted[part].reshape(height, width)).ravel()
        squares = np.square(difference[part]).mean(axis=1)
        variance = float((weight * squares).sum() / max(float(weight.sum()), 1e-6))
        variance = max(variance, _LEAST_NOISE**2)
        variances.append(variance)
        parts.append(weight / np.float32(variance))
    return np.concatenate(parts), float(np.median(variances) ** 0.5)


def _trust(difference: NDArray[np.float32], shown: NDArray[np.float32]) -> NDArray[np.float32]:
    """From 0 to 1, how much each pixel of a frame counts: (h, w)."""
    cv2 = load_opencv()
    inside = shown > 0
    around = np.abs(cv2.GaussianBlur(difference.mean(axis=2) * inside, (0, 0), 1.5))
    usual = 1.4826 * float(np.median(around[inside])) + 0.25 if inside.any() else 1.0
    ratio = around / np.float32(_OUTLYING * usual)
    result: NDArray[np.float32] = (1.0 / np.maximum(1.0, ratio) ** 2).astype(np.float32)
    return result


def _solved(
    scene: Scene,
    samples: _Samples,
    weights: NDArray[np.float32],
    prior: Prior,
    tick: Callable[[], None],
) -> Scene:
    """A few steps of conjugate gradients from a scene."""
    cost = _cost(scene, prior)

    def equation(change: Scene) -> Scene:
        return samples.back(samples.seen(change) * weights[:, None]) + _smoothing(change, cost)

    rest = samples.back((samples.values - samples.seen(scene)) * weights[:, None])
    rest -= _smoothing(scene, cost)
    direction, power = rest, float(np.vdot(rest, rest))
    for _ in range(STEPS_EACH):
        tick()
        if power < 1e-6:
            continue
        turned = equation(direction)
        step = np.float32(power / float(np.vdot(direction, turned)))
        scene = scene + step * direction
        rest = rest - step * turned
        before, power = power, float(np.vdot(rest, rest))
        direction = rest + np.float32(power / before) * direction
    return scene


def _cost(scene: Scene, prior: Prior) -> NDArray[np.float32]:
    """What squares of gradients cost at each pixel: (H, W, 1)."""
    if prior.edge is None:
        return np.full((1, 1, 1), prior.strength, np.float32)
    across, down = _gradients(scene)
    size = np.sqrt(np.square(across).sum(2, keepdims=True) + np.square(down).sum(2, keepdims=True))
    cost: NDArray[np.float32] = prior.strength / np.maximum(np.float32(1), size / prior.edge)
    return cost.astype(np.float32)


def _gradients(scene: Scene) -> tuple[Scene, Scene]:
    """Differences to the right and downwards; 0 at the last column and row."""
    across, down = np.zeros_like(scene), np.zeros_like(scene)
    across[:, :-1] = scene[:, 1:] - scene[:, :-1]
    down[:-1] = scene[1:] - scene[:-1]
    return across, down


def _smoothing(scene: Scene, cost: NDArray[np.float32]) -> Scene:
    """Half the derivative of the prior's cost."""
    across, down = (cost * part for part in _gradients(scene))
    found = -across - down
    found[:, 1:] += across[:, :-1]
    found[1:] += down[:-1]
    return found
