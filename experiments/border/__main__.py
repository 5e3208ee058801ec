"""Leaving the borders of patches out of the loss: 0, 4, 8 and 16 LR pixels.

    python -m experiments.border             4 × MINUTES (default 10), alone; writes results.json

Patches overlap the network's own zero padding at their edges, where a photograph goes on: the loss
there teaches the network to guess. Same recipe, seed and patch (48²) for all; only what the loss
sees differs, so a wide border also means fewer pixels to learn from.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from enlarge.training.config import load_config
from enlarge.training.fit import fit

HERE = Path(__file__).parent
BORDERS = (0, 4, 8, 16)


def main() -> None:
    """One run for each border."""
    recipe = HERE.parents[1] / "recipes/fast_flat.yaml"
    minutes = os.environ.get("MINUTES", "10")
    rows = []
    for border in BORDERS:
        config = load_config(
            recipe,
            [
                f"name=border/{border}",
                f"train.ignore_border={border}",
                f"train.minutes={minutes}",
                "model.start=",
                "train.patch=48",
                "train.batch=8",
                "train.lr=0.01",
                "train.lr_rest=0.001",
                "train.flat=0.03",
                "train.flat_weight=1",
            ],
        )
        run = fit(config)
        last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
        rows.append({"border": border, **last})
        print(rows[-1], flush=True)
    (HERE / "results.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
