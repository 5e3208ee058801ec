"""SRGAN, tiny, against L1 alone: what the adversarial loss does to the high frequencies.

    python -m experiments.srgan              three seeds; writes results.json and sheet.png here

From one start (L1, START steps) two runs of STEPS steps follow on real patches: adversarial, and L1
alone. Judged on the `detail` part: by how much the spectrum of the result differs from HR's above
half of LR's Nyquist frequency, as the mean absolute difference of log power in rings.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from enlarge.data.photos import Pair, list_photos, load_pairs
from enlarge.metrics import luma
from enlarge.metrics.pictures import write_pixels
from enlarge.networks import build
from enlarge.training.config import data_root, load_config
from enlarge.training.fit import fit, network_of

HERE = Path(__file__).parent
SEEDS = (1, 2, 3)
START, STEPS = int(os.environ.get("START", "600")), int(os.environ.get("STEPS", "200"))
NETWORK = [
    "model.options={features: 24, blocks: 4, batch_norm: false}",
    "train.batch=8",
    "train.check_every=100",
    "data.valid=[detail]",
]
L1 = ["train.loss=l1", "adversarial.weight=0"]


def spectrum_error(result: NDArray[Any], high: NDArray[Any]) -> float:
    """Mean |log power of the result − of HR|, in dB, over rings from half of LR's Nyquist
    frequency (1/16 of the sampling frequency at ×4) to HR's own. H×W, 0 to 255.
    """
    profiles = [rings(picture) for picture in (result, high)]
    return float(np.abs(profiles[0] - profiles[1]).mean())


def rings(picture: NDArray[Any]) -> NDArray[np.float64]:
    """Mean power in 24 rings of frequency, in dB."""
    height, width = picture.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.fft2((picture - picture.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    edges = np.linspace(1 / 16, 0.5, 25)
    found = [power[(radius >= a) & (radius < b)].mean() for a, b in itertools.pairwise(edges)]
    return 10.0 * np.log10(np.asarray(found) + 1e-3)


def enlarge(run: Path, options: dict[str, Any], pairs: list[Pair]) -> list[NDArray[np.uint8]]:
    """The pictures as the run's averaged network makes them."""
    network = build("srresnet", **options).eval()
    network.load_state_dict(network_of(run / "last.ckpt", "average"))
    made = []
    with torch.inference_mode():
        for pair in pairs:
            low = torch.from_numpy(pair.low.transpose(2, 0, 1)[None] / np.float32(255))
            out = network(low)[0].clamp(0, 1).mul(255).round().byte()
            made.append(out.permute(1, 2, 0).numpy())
    return made


def main() -> None:
    """Three seeds."""
    recipe = HERE.parents[1] / "recipes/srgan.yaml"
    pairs = load_pairs(list_photos(data_root() / "photos", ["detail"]), 4)
    rows = []
    for seed in SEEDS:
        base = [*NETWORK, f"train.seed={seed}"]
        first = load_config(
            recipe, [*base, *L1, f"name=srgan/start-{seed}", f"train.steps={START}"]
        )
        start = fit(first)
        errors, finite = {}, True
        sheets = []
        for name, more in (("l1", L1), ("srgan", ["adversarial.weight=0.01", "train.loss=l1"])):
            told = [f"name=srgan/{name}-{seed}", f"train.steps={STEPS}"]
            told += [f"model.start={start}/last.ckpt", "train.ema=0", "train.decay=0"]
            run = fit(load_config(recipe, [*base, *told, *more]))
            lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
            finite &= all(np.isfinite(v) for line in lines for v in line.values())
            made = enlarge(run, dict(first.model.options), pairs)
            errors[name] = float(
                np.mean(
                    [
                        spectrum_error(luma(m), luma(p.high))
                        for m, p in zip(made, pairs, strict=True)
                    ]
                )
            )
            sheets.append(made[0])
        row = {"seed": seed, "finite": bool(finite), **errors}
        row["lower by"] = 1.0 - errors["srgan"] / errors["l1"]
        rows.append(row)
        print(row, flush=True)
        if seed == SEEDS[0]:
            middle = [p[64:256, 64:256] for p in (*sheets, pairs[0].high)]
            write_pixels(np.concatenate(middle, axis=1), HERE / "sheet.png")
    (HERE / "results.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
