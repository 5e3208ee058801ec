"""What `--strength` does between `photo` (0) and `photo-sharp` (1).

    python -m experiments.photo.strength [--json FILE] [--sheet FILE]

For each strength: PSNR on City100's validation pairs (RGB), mean NIQE over `real/lr_only` (lower is
more like a photograph), and how far values there lie from what `photo` gives, in levels on average.
`--sheet` writes a JPEG of four middles of `real/lr_only`, a column for each strength.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from benchmarks.sets import data_root, photographed

from enlarge.data.photos import find_pictures, read_rgb
from enlarge.metrics.comparison import difference
from enlarge.metrics.naturalness import niqe
from enlarge.metrics.pairs import load
from enlarge.metrics.protocol import Protocol
from experiments.photo.__main__ import SCALE, mean_psnr, method
from experiments.photo.sheets import SIDE, middle, sheet

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHOWN = ("Lincoln", "dog", "frog", "tiger")


def measured() -> dict[str, dict[str, float]]:
    """The figures of every strength, printed as they come."""
    pairs = [load(pair, SCALE) for pair in photographed().pairs]
    lows = [read_rgb(path) for path in find_pictures(data_root() / "real/lr_only")]
    plain = []
    table = {}
    for strength in STRENGTHS:
        run = method("photo", strength)
        city = mean_psnr(run, [(pair.low, pair.high) for pair in pairs], Protocol("rgb"))
        large = [run(low) for low in lows]
        plain = plain or large
        row = {
            "city100": city,
            "niqe": float(np.mean([niqe(picture) for picture in large])),
            "from_photo": float(
                np.mean([difference(a, b).mean() for a, b in zip(large, plain, strict=True)])
            ),
        }
        table[f"{strength:g}"] = row
        print(strength, *(f"{key} {value:.3f}" for key, value in row.items()), flush=True)
    return table


def main() -> None:
    """Measure, or write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    told = parser.parse_args()
    if told.sheet:
        folder = data_root() / "real/lr_only"
        chosen = [path for path in find_pictures(folder) if path.stem in SHOWN]
        lows = [middle(read_rgb(path), SIDE) for path in chosen]
        methods = [method("photo", strength) for strength in STRENGTHS]
        sheet(lows, methods).save(told.sheet, quality=88)
        return
    table = measured()
    if told.json:
        told.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
