"""What a Ray cluster costs, on an otherwise idle machine: `python -m benchmarks.cluster`.

The same batch by one process with all cores, and by 1, 2 and 4 workers that Ray counts as one core
each on this machine (a node each, `ray.cluster_utils`). Prints JSON; `--write` puts it into
benchmarks/cluster.json and its table between the marks of docs/cluster.md. The overhead is in
core-seconds: wall clock × the cores that the workers can have, against wall clock × cores of the
local run; whole, and without the time until the first picture (Ray's start of the workers), which
does not grow with the batch.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import commit, machine, measured_at
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture

ROOT = Path(__file__).parents[1]
MARKS = re.compile(r"(<!-- overhead: [^>]*-->\n).*(<!-- /overhead -->)", re.DOTALL)
_STORE = 500_000_000


def fill(folder: Path, count: int, side: int) -> None:
    """`count` pictures of `side`² with structure at every scale, and a little noise."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    for number in range(count):
        waves = np.zeros((side, side, 3), np.float32)
        for octave in range(7):
            turn, shift = random.uniform(0, np.pi, 2)
            wave = np.sin((columns * np.cos(turn) + rows * np.sin(turn)) * 2**octave / 60 + shift)
            waves += wave[..., None] * random.uniform(0, 1, 3).astype(np.float32) / (octave + 1)
        noise = random.normal(0, 3, waves.shape)
        pixels = np.clip(128 + 40 * waves + noise, 0, 255).astype(np.uint8)
        path = folder / f"p{number:04}.png"
        with create_picture(
            path, PictureSpec(side, side, 3, pixels.dtype), WriteOptions("png")
        ) as sink:
            sink.write(pixels)
            sink.finish()


def timed(folder: Path, output: str, *options: str) -> dict[str, Any]:
    """One run of the command: seconds in all, until the first result, and the results' bytes."""
    line = [sys.executable, "-m", "enlarge", "in", "-o", f"{output}/", *options]
    begun = time.perf_counter()
    first = None
    with subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in process.stdout:
            first = first or time.perf_counter() - begun
    seconds = time.perf_counter() - begun
    if process.returncode:
        raise SystemExit(f"{' '.join(line)}: status {process.returncode}")
    made = {path.name: path.read_bytes() for path in sorted((folder / output).glob("*.png"))}
    return {"seconds": seconds, "first": first, "results": made}


@contextmanager
def nodes(count: int) -> Iterator[str]:
    """A cluster of so many nodes of one core each on this machine: its address."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": _STORE}
    head = options | {"include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(count - 1):
            cluster.add_node(**options)
        yield cluster.address
    finally:
        cluster.shutdown()


def measure(pictures: int, side: int, workers: list[int], model: str) -> dict[str, Any]:
    """Every run, in this order: a local one that fills the caches, the local one, the clusters."""
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="enlarge-cluster-") as name:
        folder = Path(name)
        (folder / "in").mkdir()
        fill(folder / "in", pictures, side)
        timed(folder, "warm", "--model", model)
        local = timed(folder, "local", "--model", model)
        rows = []
        for count in workers:
            with nodes(count) as address:
                timed(folder, f"warm{count}", "--model", model, "--cluster", address)
                ran = timed(folder, f"out{count}", "--model", model, "--cluster", address)
            if ran["results"] != local["results"]:
                raise SystemExit(f"{count} workers gave other bytes than the local run")
            used = min(count, cores)
            own = local["seconds"] * cores
            steady = (ran["seconds"] - ran["first"]) * used
            steady_local = (local["seconds"] - local["first"]) * cores
            rows.append(
                {
                    "workers": count,
                    "seconds": ran["seconds"],
                    "first": ran["first"],
                    "overhead": ran["seconds"] * used / own - 1,
                    "steady": steady / steady_local - 1,
                }
            )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": machine(),
        "batch": {"pictures": pictures, "side": side, "model": model},
        "local": {"seconds": local["seconds"], "first": local["first"], "cores": cores},
        "workers": rows,
        "equal": True,
    }


def table(result: dict[str, Any]) -> str:
    """What stands in docs/cluster.md."""
    batch, local = result["batch"], result["local"]
    lines = [
        f"{batch['pictures']} pictures of {batch['side']}² with `{batch['model']}`, on "
        f"{result['machine']}, {measured_at(result)}. All workers run on this machine; Ray counts "
        "each as one core but does not limit it to one, which is why one worker seems cheaper than "
        "the local run. *Overhead*: core-seconds relative to the local run, with and without the "
        "time until the first result. The results were equal, byte for byte.",
        "",
        "| | seconds | until the first result | overhead | overhead without start |",
        "|---|--:|--:|--:|--:|",
        f"| local, {local['cores']} cores | {local['seconds']:.1f} | {local['first']:.1f} | | |",
    ]
    for row in result["workers"]:
        one = row["workers"] == 1
        lines.append(
            f"| {row['workers']} worker{'s' * (not one)} | {row['seconds']:.1f} | "
            f"{row['first']:.1f} | {row['overhead']:+.0%} | {row['steady']:+.0%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and with `--write` put it into the docs."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.cluster")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--model", default="fast")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.pictures, arguments.side, arguments.workers, arguments.model)
    print(json.dumps(result, indent=1))
    if arguments.write:
        (ROOT / "benchmarks" / "cluster.json").write_text(json.dumps(result, indent=1) + "\n")
        page = ROOT / "docs" / "cluster.md"
        text = MARKS.sub(lambda found: found[1] + table(result) + found[2], page.read_text())
        page.write_text(text)


if __name__ == "__main__":
    main()
