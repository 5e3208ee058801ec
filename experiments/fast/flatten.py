"""Make flat pictures come out flat up to their corners, and change nothing else of a `replain`.

    python -m experiments.fast.flatten IN.safetensors OUT.onnx [--steps 500]

Writes OUT.onnx, and OUT.safetensors beside it, with IN's card.

Zero padding looks like black, so near its edges a flat picture comes out some levels off. Here the
folded network learns two things at once: to give what it gave before on patches of photographs (L2
to its own output, so PSNR stays), and to be within half a level on flat pictures of every colour
and many sizes (a squared hinge beyond 0.3 levels).
"""

from __future__ import annotations

import argparse
import copy
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from enlarge.data.photos import list_photos, read_rgb
from enlarge.media.resample import imresize
from enlarge.training.config import data_root
from enlarge.training.result import write_files
from enlarge.weights.network_file import load_network

PATCH = 48
LEVEL = 1.0 / 255.0


def flats(random: np.random.Generator, count: int) -> Tensor:
    """Flat pictures of one random size, (B, 3, h, w): grays, colours, black and white."""
    colours = random.integers(0, 256, (count, 3))
    colours[: count // 2] = colours[: count // 2, :1]
    colours[0], colours[1] = 0, 255
    height, width = random.integers(20, 65, 2)
    pixels = torch.from_numpy(colours).float()[:, :, None, None] / 255.0
    return pixels.expand(count, 3, int(height), int(width)).contiguous()


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--steps", type=int, default=500)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    network, card = load_network(arguments.source)
    before = copy.deepcopy(network).requires_grad_(False)
    paths = list_photos(data_root() / "photos", ["free"])[::3]
    lows = []
    for path in paths:
        high = read_rgb(path)
        lows.append(imresize(high, high.shape[0] // 4, high.shape[1] // 4))
    lows = [low for low in lows if min(low.shape[:2]) >= PATCH]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    for step in range(arguments.steps):
        optimizer.param_groups[0]["lr"] = (
            1e-4 * 0.5 * (1 + math.cos(math.pi * step / arguments.steps))
        )
        patches = []
        for _ in range(4):
            low = lows[int(random.integers(len(lows)))]
            y, x = (int(random.integers(side - PATCH + 1)) for side in low.shape[:2])
            patches.append(low[y : y + PATCH, x : x + PATCH])
        photo = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).float() / 255.0
        plain = flats(random, 12)
        kept = ((network(photo) - before(photo)) / LEVEL).square().mean()
        wanted = plain.repeat_interleave(4, 2).repeat_interleave(4, 3)
        error = (network(plain) - wanted) / LEVEL
        past = ((wanted >= 1) & (error > 0)) | (
            (wanted <= 0) & (error < 0)
        )  # the clamp takes these
        beyond = (error.abs() - 0.3).clamp(min=0).masked_fill(past, 0.0).square()
        loss = kept + 4.0 * (beyond.mean() + beyond.amax((1, 2, 3)).mean() / 16)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 99 or step == 0:
            print(
                f"{step + 1}: photographs moved {math.sqrt(float(kept.detach())):.3f} levels, "
                f"flat ones off by at most {float(error.detach().abs().max()):.2f}",
                flush=True,
            )
    write_files(network.eval(), card, arguments.target)


if __name__ == "__main__":
    main()
