"""The scene from what many frames saw of it: iterative back-projection.

From the mean of the frames on a fine grid, what each frame would have seen is computed; its
differences from what the frame did see are brought back to the grid and added (Irani and Peleg,
"Improving resolution by image registration", CVGIP 1991). Differences that are large over a
neighbourhood come from something that the other frames do not show, and count less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.camera import Camera, Scene, View
from enlarge.fusing.opencv import load_opencv

STEPS = 20
_STEP = 0.9
_SPREAD = 0.3
"""Standard deviation, in the camera's pixels, of the blur of what is brought back."""
_OUTLYING = 3.0
"""Differences, in units of what is usual, from which they count less."""


@dataclass(frozen=True)
class Reconstruction:
    """`scene`: on the fine grid. `samples` (H, W) of the fine grid: how many pixels of frames lie
    in each of the camera's pixels. `noise`: the standard deviation of the differences between what
    frames show and what they should show, in levels.
    """

    scene: Scene
    samples: NDArray[np.float32]
    noise: float


def reconstruct(
    views: Sequence[View], camera: Camera, tick: Callable[[], None] = lambda: None
) -> Reconstruction:
    """The scene on the camera's fine grid. `tick` is called after each step."""
    weights = [np.float32(view.weight) * camera.shown(view).astype(np.float32) for view in views]
    scene, samples = _mean(views, weights, camera)
    total = np.maximum(samples, np.float32(1e-3))[..., None]
    noise = 0.0
    for _ in range(STEPS):
        blurred = camera.blurred(scene)
        change = np.zeros_like(scene)
        squares = count = 0.0
        for view, weight in zip(views, weights, strict=True):
            difference = view.pixels - camera.seen(blurred, view)
            trusted = weight * _trust(difference)
            squares += float((trusted[..., None] * np.square(difference)).sum())
            count += 3.0 * float(trusted.sum())
            change += camera.back(difference * trusted[..., None], view)
        noise = (squares / max(count, 1.0)) ** 0.5
        change /= total
        scene = scene + np.float32(_STEP) * _spread(change, camera)
        tick()
    return Reconstruction(scene, samples, noise)


def _mean(
    views: Sequence[View], weights: Sequence[NDArray[np.float32]], camera: Camera
) -> tuple[Scene, NDArray[np.float32]]:
    """The mean of the frames on the fine grid, and the sum of their weights there."""
    width, height = camera.size
    total = np.zeros((height, width, 3), np.float32)
    count = np.zeros((height, width), np.float32)
    for view, weight in zip(views, weights, strict=True):
        here = camera.back(weight, view)
        total += camera.back(view.pixels, view, smooth=True) * here[..., None]
        count += here
    total /= np.maximum(count, np.float32(1e-3))[..., None]
    return total, count


def _trust(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """From 0 to 1, how much each pixel of a frame counts: (h, w)."""
    cv2 = load_opencv()
    around = cv2.GaussianBlur(difference.mean(axis=2), (0, 0), 1.5)
    usual = 1.4826 * float(np.median(np.abs(around))) + 0.25
    ratio = np.abs(around) / (_OUTLYING * usual)
    result: NDArray[np.float32] = (1.0 / np.maximum(1.0, ratio) ** 2).astype(np.float32)
    return result


def _spread(change: Scene, camera: Camera) -> Scene:
    cv2 = load_opencv()
    result: Scene = cv2.GaussianBlur(change, (0, 0), _SPREAD * camera.factor)
    return result
