"""Judge models on photographed pairs, on degraded and clean Set14, and on pictures without HR.

    python -m benchmarks.photo MODEL… [--json benchmarks/photo.json]

MODEL: names or paths; bicubic always stands beside them. City100 in RGB, Set14 by the default
protocol (Y), degraded by each chain with the seeds 0, 1, 2; NIQE is the mean over `real/lr_only`
(lower is more like a photograph); colour: the largest change of a picture's mean R, G or B there,
in levels. Models compute as for a user (bf16 where their card allows it).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.sets import photographed
from enlarge import open_model
from enlarge.data.degradations import CHAINS
from enlarge.data.photos import crop_to_multiple, find_pictures, read_rgb
from enlarge.media.resample import imresize
from enlarge.metrics.naturalness import niqe
from enlarge.metrics.pairs import read_pair
from enlarge.metrics.protocol import Protocol
from enlarge.training.config import data_root

Pixels = NDArray[Any]
Enlarge = Callable[[Pixels], Pixels]
SEEDS = (0, 1, 2)
SCALE = 4


def bicubic(low: Pixels) -> Pixels:
    """MATLAB's bicubic."""
    return imresize(low, SCALE * low.shape[0], SCALE * low.shape[1])


def method(model: str, strength: float | None = None) -> Enlarge:
    """A model as a function, or bicubic."""
    if model == "bicubic":
        return bicubic
    upscaler = open_model(model, strength=strength)

    def run(low: Pixels) -> Pixels:
        enlarged: Pixels = upscaler.upscale(low, scale=SCALE)
        return enlarged

    return run


def degraded(chain: str, seed: int) -> list[tuple[Pixels, Pixels]]:
    """Set14 through a chain: (LR, HR) of every picture; each has a generator of its own."""
    pairs = []
    for number, path in enumerate(find_pictures(data_root() / "benchmarks/Set14/x4/HR")):
        high = crop_to_multiple(read_rgb(path), SCALE)
        random = np.random.default_rng([seed, number])
        pairs.append(CHAINS[chain](high, SCALE, random))
    return pairs


def mean_psnr(run: Enlarge, pairs: list[tuple[Pixels, Pixels]], protocol: Protocol) -> float:
    """Mean PSNR over pairs."""
    found = [protocol.measure(run(low), high, factor=SCALE).psnr for low, high in pairs]
    return float(np.mean(found))


def judged(model: str) -> dict[str, float]:
    """Every figure of one model."""
    run = method(model)
    city = [read_pair(pair, SCALE) for pair in photographed().pairs]
    row = {"city100": mean_psnr(run, [(c.low, c.high) for c in city], Protocol("rgb"))}
    for chain in ("bicubic", "compressed", "old", "cctv", "real"):
        seeds = SEEDS[:1] if chain == "bicubic" else SEEDS
        scores = [mean_psnr(run, degraded(chain, seed), Protocol()) for seed in seeds]
        row[chain] = float(np.mean(scores))
    natural, moved = [], 0.0
    for path in find_pictures(data_root() / "real/lr_only"):
        low = read_rgb(path)
        enlarged = run(low)
        natural.append(niqe(enlarged))
        shift = enlarged.mean((0, 1)) - low.mean((0, 1))
        moved = max(moved, float(np.abs(shift).max()))
    return row | {"niqe": float(np.mean(natural)), "colour": moved}


def main() -> None:
    """Print a row for every model, as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    table = {}
    for model in ("bicubic", *arguments.models):
        table[Path(model).stem] = row = judged(model)
        cells = "  ".join(f"{key} {value:.3f}" for key, value in row.items())
        print(f"{Path(model).stem.ljust(14)} {cells}", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
