"""What `--strength` does between `photo` (0) and `photo-sharp` (1).

    python -m benchmarks.strength [STRENGTH…] [--json benchmarks/strength.json]
    python -m benchmarks.strength --sheet docs/images/photo-strength.jpg

For each strength, bicubic beside them: PSNR on City100's validation pairs (RGB), mean NIQE over
`real/lr_only` (lower is more like a photograph), and there the grid (see `grid`) and the largest
change of a picture's mean R, G or B, in levels, with the number of pictures where it is at most 1.
`--sheet` writes a JPEG of parts of `real/lr_only` instead, a column for each strength.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter

from benchmarks.photo import SCALE, Pixels, bicubic, mean_psnr, method
from benchmarks.sets import photographed
from benchmarks.sheets import sheet
from enlarge.data.photos import find_pictures, read_rgb
from enlarge.metrics.naturalness import niqe
from enlarge.metrics.pairs import read_pair
from enlarge.metrics.protocol import Protocol
from enlarge.training.config import data_root

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHOWN = (("Lincoln", 40, 58), ("butterfly2", 70, 60), ("tiger", 178, 110), ("pattern", 60, 60))
"""Pictures, and the corners of the parts that are shown."""
PART = 40


def grid(picture: Pixels) -> float:
    """What repeats with the period of an LR pixel: in every window of 8 × 8 of them, the mean at
    each of the SCALE² places within one, of the luma less its mean over SCALE × SCALE; RMS, levels.
    """
    luma = picture.astype(np.float64).mean(axis=2)
    fine = luma - uniform_filter(luma, SCALE)
    side = 8 * SCALE
    rows, columns = luma.shape[0] // side, luma.shape[1] // side
    cells = fine[: rows * side, : columns * side].reshape(rows, 8, SCALE, columns, 8, SCALE)
    return float(np.sqrt(np.square(cells.mean(axis=(1, 4))).mean()))


def measured(strengths: Sequence[float]) -> dict[str, dict[str, float]]:
    """The figures of every strength, printed as they come."""
    city = [read_pair(pair, SCALE) for pair in photographed().pairs]
    pairs = [(pair.low, pair.high) for pair in city]
    lows = [read_rgb(path) for path in find_pictures(data_root() / "real/lr_only")]
    table = {}
    for strength in (None, *strengths):
        run = bicubic if strength is None else method("photo", strength)
        row = {"city100": mean_psnr(run, pairs, Protocol("rgb"))}
        large = [run(low) for low in lows]
        moved = [
            float(np.abs(picture.mean((0, 1)) - low.mean((0, 1))).max())
            for picture, low in zip(large, lows, strict=True)
        ]
        row |= {"niqe": float(np.mean([niqe(picture) for picture in large]))}
        row |= {"grid": float(np.mean([grid(picture) for picture in large]))}
        row |= {"colour": max(moved), "within_1": sum(shift <= 1.0 for shift in moved)}
        name = "bicubic" if strength is None else f"{strength:g}"
        table[name] = row
        print(name.ljust(7), *(f"{key} {value:.3f}" for key, value in row.items()), flush=True)
    return table


def main() -> None:
    """Measure, or write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("strengths", nargs="*", type=float, default=STRENGTHS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    if arguments.sheet:
        lows = []
        for name, x, y in SHOWN:
            low = read_rgb(data_root() / f"real/lr_only/{name}.png")
            lows.append(low[y : y + PART, x : x + PART])
        methods = [method("photo", strength) for strength in arguments.strengths]
        sheet(lows, methods, side=PART, shrink=1).save(arguments.sheet, quality=88)
        return
    table = measured(arguments.strengths)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
