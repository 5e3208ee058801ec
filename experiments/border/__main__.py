"""Leaving the borders of patches out of the loss: 0, 4, 8 and 16 LR pixels.

    python -m experiments.border        four runs of 1,000 steps; writes results.json

STEPS=40 in the environment tries it out, in runs of its own, and writes nothing.

At their edges patches see the network's own zero padding where a photograph goes on: the loss there
teaches the network to guess, and to guess at the edges of whole pictures too. `fast`'s network, one
seed and patches of 48² for all; only what the loss sees differs, so a wide border also means fewer
pixels to learn from. Judged inside pictures and on their outermost 4 LR pixels.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.record import keep
from numpy.typing import NDArray

from enlarge.data.photos import Pair, bicubic_pair, list_photos
from enlarge.metrics import luma
from enlarge.training.config import data_root, load_config
from enlarge.training.fit import fit
from experiments.pictures import enlarged

HERE = Path(__file__).parent
BORDERS = (0, 4, 8, 16)
STEPS = int(os.environ.get("STEPS", "1000"))
_EDGE, _INSIDE = 16, 64
"""HR pixels: of the frame that is judged as the edge, and left out of what is inside."""


def judge(made: list[NDArray[np.uint8]], pairs: list[Pair]) -> dict[str, float]:
    """Luma PSNR in dB, mean over the pictures, of the frame at their edges and of their inside."""
    found = []
    for ours, pair in zip(made, pairs, strict=True):
        errors = np.square(luma(ours) - luma(pair.high))
        inside = errors[_INSIDE:-_INSIDE, _INSIDE:-_INSIDE]
        middle = errors[_EDGE:-_EDGE, _EDGE:-_EDGE]
        edge = (errors.sum() - middle.sum()) / (errors.size - middle.size)
        found.append((edge, inside.mean()))
    edge, inside = (10 * np.log10(255**2 / np.array(found))).mean(axis=0)
    return {"edge": round(float(edge), 3), "inside": round(float(inside), 3)}


def main() -> None:
    """One run for each border."""
    recipe = HERE.parents[1] / "recipes/fast.yaml"
    pairs = [bicubic_pair(path, 4) for path in list_photos(data_root() / "photos", ["valid"])]
    rows: list[dict[str, Any]] = []
    for border in BORDERS:
        config = load_config(
            recipe,
            [
                f"name=border{'-trial' * ('STEPS' in os.environ)}/{border}",
                f"train.ignore_border={border}",
                f"train.steps={STEPS}",
                "train.patch=48",
                "train.batch=8",
                "train.check_every=500",
                "train.seed=1",
                "train.keep=last",
            ],
        )
        run = fit(config, overwrite=True)
        last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
        parts = {key: round(last[key], 3) for key in ("valid", "detail") if key in last}
        rows.append({"border": border, **parts, **judge(enlarged(config, run, pairs), pairs)})
        print(rows[-1], flush=True)
    keep(HERE, rows, {"steps": STEPS})


if __name__ == "__main__":
    main()
