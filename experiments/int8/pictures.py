"""What the 8-bit forms are made with: photographs, drawings and gradients.

Batches are (B, 3, H, W), float32, RGB in [0, 1], with the values of 8-bit pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from enlarge.data.photos import Pixels, list_photos, read_rgb
from enlarge.media.resample import imresize

PATCH = 48
_SPANS = (4.0, 12.0, 40.0, 120.0)
"""How many levels a gradient spans, at most."""


def photographs(folder: Path, scale: int) -> list[Pixels]:
    """The photographs of the part `free`, reduced by the factor, where a patch fits in."""
    lows = []
    for path in list_photos(folder, ["free"]):
        high = read_rgb(path)
        lows.append(imresize(high, high.shape[0] // scale, high.shape[1] // scale))
    return [low for low in lows if min(low.shape[:2]) >= PATCH]


def patches(lows: Sequence[Pixels], random: np.random.Generator, count: int) -> Tensor:
    """Patches of photographs, some mirrored, some transposed."""
    return _batch(np.stack([_patch(lows, random) for _ in range(count)]))


def drawings(lows: Sequence[Pixels], random: np.random.Generator, count: int) -> Tensor:
    """Patches of two colours each, with contours from photographs: edges of full contrast, as those
    of letters; and now and then a board.
    """
    found = []
    for _ in range(count):
        gray = _patch(lows, random).mean(2, keepdims=True)
        where = gray > np.median(gray)
        if random.random() < 0.2:
            y, x = np.mgrid[:PATCH, :PATCH] // random.integers(1, 6)
            where = ((y + x) % 2 == 1)[..., None]
        colours = 255 * random.integers(0, 2, (2, 3))
        colours = np.array([[0] * 3, [255] * 3]) if random.random() < 0.5 else colours
        found.append(np.where(where, colours[0], colours[1]).astype(np.uint8))
    return _batch(np.stack(found))


def _patch(lows: Sequence[Pixels], random: np.random.Generator) -> Pixels:
    low = lows[int(random.integers(len(lows)))]
    y, x = (int(random.integers(side - PATCH + 1)) for side in low.shape[:2])
    patch = low[y : y + PATCH, x : x + PATCH]
    patch = patch[:, ::-1] if random.random() < 0.5 else patch
    return patch.transpose(1, 0, 2) if random.random() < 0.5 else patch


def gradients(random: np.random.Generator, count: int) -> Tensor:
    """From one colour to another, of few or of many levels, along a line or from a point."""
    y, x = np.mgrid[0:PATCH, 0:PATCH] / (PATCH - 1) - 0.5
    found = []
    for _ in range(count):
        angle = random.uniform(0.0, 2.0 * np.pi)
        share = np.cos(angle) * x + np.sin(angle) * y + 0.5
        if random.random() < 0.3:
            share = np.hypot(x - random.normal(0.0, 0.7), y - random.normal(0.0, 0.7))
        first = random.uniform(0, 256, 3 if random.random() < 0.6 else 1)
        span = random.choice(_SPANS)
        step = random.uniform(-span, span, 3 if random.random() < 0.5 else 1)
        colours = np.broadcast_to(first + step * share[..., None], (PATCH, PATCH, 3))
        found.append(np.clip(np.rint(colours), 0, 255).astype(np.uint8))
    return _batch(np.stack(found))


def _batch(pixels: NDArray[np.uint8]) -> Tensor:
    """(B, H, W, 3) → a batch."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255.0
