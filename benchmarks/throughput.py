"""Training throughput against a plain loop of the usual kind, in one run, with the same threads.

    python -m benchmarks.throughput    writes benchmarks/throughput.json; 15 minutes, idle machine

Ours: `fit` as a recipe runs it (a mapped store, channels-last, bf16 autocast, Lightning), with the
recipe's Adam. Plain: a Dataset that decodes a PNG pair for every sample, or holds them in memory,
torch eager f32 NCHW, Adam. Every measurement is a child process; STEPS and WARM set its length.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import keep
from enlarge.data.pairs import find_pairs
from enlarge.data.photos import crop_to_multiple, list_photos, read_rgb
from enlarge.data.store import write_store
from enlarge.media.resample import imresize
from enlarge.memory import format_size, peak
from enlarge.metrics.pictures import write_pixels
from enlarge.training.config import data_root, load_config

ROOT = Path(__file__).parents[1]
STEPS, WARM = int(os.environ.get("STEPS", "16")), int(os.environ.get("WARM", "4"))
PICTURES = int(os.environ.get("PICTURES", "40"))
CASES = [
    ("edsr_baseline", "ours", "store"),
    ("edsr_baseline", "ours", "memory"),
    ("edsr_baseline", "plain", "disk"),
    ("edsr_baseline", "plain", "memory"),
    ("swinir_light", "ours", "store"),
    ("swinir_light", "plain", "disk"),
]
_BATCH = {"edsr_baseline": 16, "swinir_light": 4}
"""As in the recipe, and an eighth of it: the plain loop's memory is what bounds SwinIR's."""


def prepare(folder: Path) -> None:
    """PNG pairs of photographs, and a store of them."""
    for path in list_photos(data_root() / "photos", ["free"])[:PICTURES]:
        high = np.ascontiguousarray(crop_to_multiple(read_rgb(path), 4))
        low = imresize(high, high.shape[0] // 4, high.shape[1] // 4)
        write_pixels(high, folder / "HR" / f"{path.stem}.png")
        write_pixels(low, folder / "LR" / f"{path.stem}.png")
    write_store(find_pairs(folder).pairs, folder.with_name("store"), 4)


def ours(recipe: str, folder: Path) -> dict[str, Any]:
    """Seconds of a step of `fit`, and the share of them in which batches were made."""
    from enlarge.data.patches import Patches
    from enlarge.training.fit import fit

    spent = [0.0, 0.0]
    make = Patches.batch

    def timed(self: Patches, number: int, size: int) -> Any:
        begun = time.perf_counter()
        made = make(self, number, size)
        if number >= WARM:
            spent[0] += time.perf_counter() - begun
        return made

    Patches.batch = timed  # type: ignore[method-assign]
    config = load_config(
        ROOT / f"recipes/{recipe}.yaml",
        [
            f"data.pairs=[{folder}]",
            "data.valid=[]",
            f"train.steps={WARM + STEPS}",
            f"train.batch={_BATCH[recipe]}",
            f"train.check_every={WARM}",
            "name=throughput",
        ],
    )
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        run = fit(config)
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    seconds = 60.0 * (lines[-1]["minutes"] - lines[0]["minutes"])
    steps = lines[-1]["step"] - lines[0]["step"]
    return {"seconds": seconds / steps, "waiting": spent[0] / seconds, "peak": peak()}


def plain(recipe: str, folder: Path, in_memory: bool) -> dict[str, Any]:
    """Seconds of a step of the usual loop."""
    import torch
    from PIL import Image
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, Dataset

    from enlarge.networks import build

    config = load_config(ROOT / f"recipes/{recipe}.yaml", [])
    patch, batch = config.train.patch, _BATCH[recipe]
    names = sorted(path.name for path in (folder / "LR").iterdir())

    def decode(name: str) -> tuple[Any, Any]:
        with Image.open(folder / "LR" / name) as low, Image.open(folder / "HR" / name) as high:
            return np.asarray(low.convert("RGB")), np.asarray(high.convert("RGB"))

    class Pictures(Dataset[Any]):
        kept = [decode(name) for name in names] if in_memory else []

        def __len__(self) -> int:
            return (WARM + STEPS) * batch

        def __getitem__(self, index: int) -> Any:
            index %= len(names)
            low, high = self.kept[index] if in_memory else decode(names[index])
            y, x = (int(np.random.randint(side - patch + 1)) for side in low.shape[:2])
            low = low[y : y + patch, x : x + patch]
            high = high[4 * y : 4 * (y + patch), 4 * x : 4 * (x + patch)]
            if np.random.rand() < 0.5:
                low, high = low[:, ::-1], high[:, ::-1]
            return tuple(
                torch.from_numpy(np.ascontiguousarray(p.transpose(2, 0, 1))).float() / 255
                for p in (low, high)
            )

    network = build(config.model.network, **config.model.options)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    begun = 0.0
    for step, (low, high) in enumerate(DataLoader(Pictures(), batch_size=batch, shuffle=True)):
        if step == WARM:
            begun = time.perf_counter()
        optimizer.zero_grad()
        loss = F.l1_loss(network(low), high)
        loss.backward()
        optimizer.step()
        loss.item()
    return {"seconds": (time.perf_counter() - begun) / STEPS, "peak": peak()}


def main() -> None:
    """Every case in a process of its own."""
    found = []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "pairs"
        prepare(folder)
        for recipe, who, source in CASES:
            place = folder.with_name("store") if source == "store" else folder
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.throughput", recipe, who, source, str(place)],
                capture_output=True,
                text=True,
                check=True,
            )
            row: dict[str, Any] = {"recipe": recipe, "loop": who, "source": source}
            row |= json.loads(done.stdout.splitlines()[-1])
            found.append(row)
            waiting = f", {row['waiting']:.1%} making batches" if "waiting" in row else ""
            print(
                f"{recipe:14} {who:6} {source:7} {row['seconds']:.3f} s a step{waiting}, "
                f"peak {format_size(row['peak'])}",
                flush=True,
            )
    keep("throughput", found, {"steps": STEPS, "warm": WARM, "pictures": PICTURES})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        recipe, who, source, place = sys.argv[1:]
        if who == "ours":
            print(json.dumps(ours(recipe, Path(place))))
        else:
            print(json.dumps(plain(recipe, Path(place), source == "memory")))
    else:
        main()
