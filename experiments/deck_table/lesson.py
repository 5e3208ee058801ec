"""The deck's lesson, measured: a training step on a whole 512² picture against 64 patches of it.

    python -m experiments.deck_table.lesson            writes results/lesson.jsonl, prints a table

Each step runs in a child process whose data segment is limited to LIMIT (default 6GB). What a step
takes is estimated before (`enlarge.training.footprint`), and must say so where it does not fit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from enlarge.memory import format_size, parse_size
from enlarge.training.config import Config, load_config
from enlarge.training.footprint import measure

HERE = Path(__file__).parent
SIZES = {"whole 512²": (1, 512, 1), "64 patches of 64²": (16, 64, 4)}
"""Name → batch, patch, accumulated batches."""
_STEPS = 3


def config_of(model: str, batch: int, patch: int) -> Config:
    """The toy's recipe at a size."""
    config = load_config(HERE.parents[1] / f"recipes/toy_{model}.yaml", [])
    return replace(config, train=replace(config.train, batch=batch, patch=patch))


def child(model: str, batch: int, patch: int, accumulate: int, limit: int) -> None:
    """Take steps on noise under the limit; prints the peak bytes and the seconds of a step."""
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    import torch

    from enlarge.data.datasets import Batch
    from enlarge.memory import keep_freed_memory, peak
    from enlarge.networks import build
    from enlarge.training.learner import Learner

    keep_freed_memory()  # as `enlarge train` does
    config = config_of(model, batch, patch)
    network = build(config.model.network, **config.model.options)
    learner: Any = Learner(config, network, steps=2)
    optimizers = learner.configure_optimizers()
    learner.manual_backward = lambda loss: (loss / accumulate).backward()
    learner.own_optimizers = lambda: list(optimizers)
    learner.took_a_step = lambda: None
    low, high = (
        torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
        for side in (patch, patch * learner.scale)
    )
    learner.told = replace(learner.told, accumulate=accumulate)
    seconds = []
    for _ in range(_STEPS):
        begun = time.perf_counter()
        learner.micro = 0
        for _ in range(accumulate):
            learner.training_step(Batch(low, high, 0), 0)
        seconds.append(time.perf_counter() - begun)
    print(json.dumps({"peak": peak(), "seconds": min(seconds)}))


def main() -> None:
    """Every model at both sizes."""
    limit = parse_size(os.environ.get("LIMIT", "6GB"))
    rows = []
    for model in ("edsr", "swinir"):
        footprint = measure(config_of(model, 1, 512), limit)
        for name, (batch, patch, accumulate) in SIZES.items():
            estimate = footprint.of(batch, patch) if footprint else 0
            arguments = [model, *map(str, (batch, patch, accumulate, limit))]
            done = subprocess.run(
                [sys.executable, "-m", "experiments.deck_table.lesson", *arguments],
                capture_output=True,
                text=True,
                check=False,
            )
            found = json.loads(done.stdout) if done.returncode == 0 else None
            rows.append(
                {"model": model, "batch": name, "limit": limit, "estimate": estimate}
                | (found or {"failed": (done.stderr.strip().splitlines() or ["killed"])[-1]})
            )
            told = (
                f"peak {format_size(found['peak'])}, {found['seconds']:.2f} s a step"
                if found
                else "does not fit"
            )
            print(f"{model:8} {name:18} estimated {format_size(estimate)}: {told}", flush=True)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results/lesson.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(sys.argv[1], *map(int, sys.argv[2:]))
    else:
        main()
