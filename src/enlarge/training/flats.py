"""A loss on flat pictures: networks with zero padding get them wrong near their edges.

Zero padding looks like black, so near its edges a flat picture comes out some levels off. The loss
is squared beyond what rounding hides, so that a network that gives flat pictures back pays nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

COUNT = 12
"""Flat pictures in each step."""
LEAST, MOST = 20, 64
"""Their sides in LR pixels, drawn anew for each step."""
HIDDEN = 0.3
"""Levels that an output may be off, of which rounding to 8 bits leaves nothing."""
WORST = 1.0 / 16.0
"""The weight of each picture's worst pixel against the mean of all."""
_LEVELS = 255.0


def flat_pictures(seed: int, number: int) -> Tensor:
    """The flat pictures of a batch, (COUNT, 3, h, w) in [0, 1]: half of them gray, one black and
    one white.
    """
    random = np.random.default_rng((seed, number, 2))
    colours = random.integers(0, 256, (COUNT, 3))
    colours[: COUNT // 2] = colours[: COUNT // 2, :1]
    colours[0], colours[1] = 0, 255
    height, width = (int(side) for side in random.integers(LEAST, MOST + 1, 2))
    pixels = torch.from_numpy(colours).float()[:, :, None, None] / _LEVELS
    return pixels.expand(COUNT, 3, height, width).contiguous()


def flat_loss(enlarged: Tensor, flat: Tensor) -> Tensor:
    """By how much the results (B, 3, sh, sw) on flat pictures (B, 3, h, w) are off, in squared
    levels beyond `HIDDEN`: the mean, and the worst of each picture. What clamping removes is free.
    """
    wanted = flat[:, :, :1, :1]
    error = (enlarged - wanted) * _LEVELS
    past = ((wanted >= 1.0) & (error > 0.0)) | ((wanted <= 0.0) & (error < 0.0))
    beyond = (error.abs() - HIDDEN).clamp(min=0.0).masked_fill(past, 0.0).square()
    return beyond.mean() + WORST * beyond.amax((1, 2, 3)).mean()
