"""Bursts of one scene with known motions: what a camera with noise would take."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.conftest import ROOT


class Burst(NamedTuple):
    """`frames`; `motions`, from the first to each; and what the first would be, `factor` times
    larger.
    """

    frames: list[NDArray[Any]]
    motions: list[NDArray[np.float64]]
    scene: NDArray[np.uint8]


def sample(x: int = 60, y: int = 200, width: int = 384, height: int = 256) -> NDArray[np.uint8]:
    """A part of the sample photograph."""
    picture = cv2.imread(str(ROOT / "samples" / "photo.jpg"))
    assert picture is not None
    return np.ascontiguousarray(picture[y : y + height, x : x + width, ::-1]).astype(np.uint8)


def bending(height: int, width: int, amount: float, random: np.random.Generator) -> NDArray[Any]:
    """Displacements (H, W, 2), smooth over 12 of the frames' pixels, of that RMS in them."""
    rough = random.normal(size=(height // 4, width // 4, 2)).astype(np.float32)
    smooth = cv2.GaussianBlur(rough, (0, 0), 12)
    smooth *= np.float32(4 * amount / 2**0.5) / smooth.std()
    return np.asarray(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC))


def burst(
    count: int,
    *,
    scene: NDArray[Any] | None = None,
    sigma: float = 8.0,
    seed: int = 0,
    bend: float = 0.0,
) -> Burst:
    """Frames four times smaller than the scene, moved, turned and zoomed at random; with `bend`
    every one but the first is bent by so many of its pixels (RMS).
    """
    random = np.random.default_rng(seed)
    large = sample() if scene is None else scene
    height, width = large.shape[:2]
    down = np.array([[0.25, 0, -0.375], [0, 0.25, -0.375], [0, 0, 1]])
    frames, motions = [], []
    for number in range(count):
        motion = np.eye(3)
        if number:
            turn, zoom = np.deg2rad(random.normal(0, 0.4)), 1 + random.normal(0, 0.004)
            centre = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
            turned = np.array(
                [
                    [zoom * np.cos(turn), -zoom * np.sin(turn), 0],
                    [zoom * np.sin(turn), zoom * np.cos(turn), 0],
                    [0, 0, 1],
                ]
            )
            motion = centre @ turned @ np.linalg.inv(centre)
            motion[:2, 2] += random.uniform(-10, 10, 2)
        shown = large.astype(np.float32)
        if bend and number:
            y, x = np.mgrid[:height, :width].astype(np.float32)
            moves = bending(height, width, bend, random)
            x, y = x + moves[..., 0], y + moves[..., 1]
            shown = cv2.remap(shown, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        moved = cv2.warpPerspective(
            shown, motion, (width, height), flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        )  # fmt: skip
        moved = cv2.GaussianBlur(moved, (0, 0), 1.0)
        small = cv2.resize(moved, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
        small = small + random.normal(0, sigma, small.shape)
        frames.append(np.clip(small, 0, 255).round().astype(np.uint8))
        motions.append(down @ motion @ np.linalg.inv(down))
    return Burst(frames, motions, large.astype(np.uint8))


def psnr(first: NDArray[Any], second: NDArray[Any], border: int = 24) -> float:
    """In dB, without the border."""
    inner = slice(border, -border)
    one, two = (picture[inner, inner].astype(np.float64) for picture in (first, second))
    return float(10 * np.log10(255**2 / np.mean((one - two) ** 2)))


def errors(
    motion: NDArray[np.float64], true: NDArray[np.float64], width: int, height: int
) -> NDArray[np.float64]:
    """How far apart two motions bring the pixels of a grid over the frame."""
    x, y = np.meshgrid(np.linspace(4, width - 5, 7), np.linspace(4, height - 5, 7))
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    ends = [matrix @ points for matrix in (motion, true)]
    one, two = (end[:2] / end[2] for end in ends)
    return np.asarray(np.linalg.norm(one - two, axis=0))
