"""Where a model's result has another mean colour than its input, and what a correction would cost.

    python -m experiments.photo.colour [MODEL]

Three questions, each answered by a few lines: how far the mean R, G or B of a result is from its
input's (`real/lr_only`); at which levels of the input, and whether the true pictures differ by as
much (City100's validation pairs, Set14 through `cctv` and `old`, seed 0); and what PSNR (RGB) the
corrections have that would take the difference back.

A result is compared with its input after the mean over SCALE × SCALE pixels. The corrections add
what the input has more than that: its mean over the picture, or blurred by a Gaussian of some σ, in
input pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from benchmarks.sets import data_root, photographed
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from enlarge.data.photos import find_pictures, read_rgb
from enlarge.metrics.pairs import load
from enlarge.metrics.protocol import Protocol
from experiments.photo.__main__ import SCALE, Pixels, degraded, method

Floats = NDArray[np.float64]
LEVELS = (0, 20, 40, 80, 120, 160, 200, 240, 256)
SIGMAS = (0, 32, 16, 8, 4)
"""0 stands for the mean over the whole picture."""


class Case(NamedTuple):
    """A picture, what a model makes of it, and what it was made of."""

    low: Pixels
    large: Pixels
    high: Pixels


def reduced(picture: Pixels) -> Floats:
    """(sH, sW, 3) → (H, W, 3): the mean over SCALE × SCALE pixels."""
    height, width = picture.shape[0] // SCALE, picture.shape[1] // SCALE
    part = picture[: height * SCALE, : width * SCALE].astype(np.float64)
    means: Floats = part.reshape(height, SCALE, width, SCALE, 3).mean(axis=(1, 3))
    return means


def corrected(low: Pixels, large: Pixels, sigma: int) -> Pixels:
    """The result with the low frequencies of its input."""
    missing: Any = low - reduced(large)
    missing = gaussian_filter(missing, (sigma, sigma, 0)) if sigma else missing.mean((0, 1))
    if sigma:
        missing = missing.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    return np.clip(np.rint(large + missing), 0, 255).astype(np.uint8)


def moved(low: Pixels, large: Pixels) -> float:
    """The largest change of the mean R, G or B, in levels."""
    return float(np.abs(large.mean((0, 1)) - low.mean((0, 1))).max())


def tell_tones(name: str, cases: Sequence[Case]) -> None:
    """By the level of the input (blurred, σ 3): how much the result and HR lie above it."""
    level, made, true = [], [], []
    for low, large, high in cases:
        height, width = (
            min(a // SCALE, b) for a, b in zip(high.shape, low.shape[:2], strict=False)
        )
        part = low[:height, :width].astype(np.float64)
        level.append(gaussian_filter(part, (3, 3, 0)).ravel())
        made.append((reduced(large)[:height, :width] - part).ravel())
        true.append((reduced(high)[:height, :width] - part).ravel())
    levels, models, trues = (np.concatenate(parts) for parts in (level, made, true))
    for least, most in pairwise(LEVELS):
        there = (levels >= least) & (levels < most)
        if there.mean() > 0.005:
            print(
                f"{name} {least:3}–{most:3}: {100 * there.mean():3.0f} % of values, "
                f"result {models[there].mean():+.2f}, HR {trues[there].mean():+.2f}",
                flush=True,
            )


def tell_cost(name: str, cases: Sequence[Case]) -> None:
    """PSNR of the results, and how the corrections change it: on average, and at worst."""
    protocol = Protocol("rgb")

    def score(large: Pixels, high: Pixels) -> float:
        return protocol.measure(large[: high.shape[0], : high.shape[1]], high, factor=SCALE).psnr

    plain = [score(case.large, case.high) for case in cases]
    print(f"{name}: {np.mean(plain):.3f} dB")
    for sigma in SIGMAS:
        change = [
            score(corrected(case.low, case.large, sigma), case.high) - before
            for case, before in zip(cases, plain, strict=True)
        ]
        print(f"{name} σ {sigma or 'whole'}: {np.mean(change):+.3f}, worst {min(change):+.3f}")


def main() -> None:
    """Print the answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="photo")
    run = method(parser.parse_args().model)
    lows = [read_rgb(path) for path in find_pictures(data_root() / "real/lr_only")]
    results = [run(low) for low in lows]
    for sigma in (None, *SIGMAS):
        larges = [
            large if sigma is None else corrected(low, large, sigma)
            for low, large in zip(lows, results, strict=True)
        ]
        shifts = [moved(low, large) for low, large in zip(lows, larges, strict=True)]
        within = sum(shift <= 1.0 for shift in shifts)
        name = "as it is" if sigma is None else f"σ {sigma or 'whole'}"
        print(f"lr_only {name}: {within} within 1, worst {max(shifts):.2f}", flush=True)
    city = [load(pair, SCALE) for pair in photographed().pairs]
    sets = {"city100": [(pair.low, pair.high) for pair in city]}
    sets |= {chain: degraded(chain, 0) for chain in ("cctv", "old")}
    for name, pairs in sets.items():
        cases = [Case(low, run(low), high) for low, high in pairs]
        tell_tones(name, cases)
        tell_cost(name, cases)


if __name__ == "__main__":
    main()
