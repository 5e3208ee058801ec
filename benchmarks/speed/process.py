"""The command from the shell to the file."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import enlarge
from benchmarks import versions
from benchmarks.speed.turns import in_turns


def process(*, trial: bool) -> dict[str, Any]:
    """512² → 2048², PNG to PNG: seconds by stage of the first run ever (nothing compiled), and the
    medians of 9 more; and milliseconds of starting.
    """
    with tempfile.TemporaryDirectory() as name:
        source, target = versions.square(Path(name)), Path(name) / "out.png"
        cache = Path(name) / "cache"
        first = command(source, target, cache, "--model", "fast")
        runs = [command(source, target, cache, "--model", "fast") for _ in range(1 if trial else 9)]
    warm = {key: statistics.median(run.get(key, 0.0) for run in runs) for key in first}
    return {
        "first run": first,
        "warm": warm,
        "runs": len(runs),
        "starting": _starting(1 if trial else 9),
    }


def pairs(commit: str, *, trial: bool) -> dict[str, Any]:
    """512² → 2048², PNG to PNG, against another commit, in alternating pairs."""
    return versions.compare(commit, None, 2 if trial else 30, ("--model", "fast"))


def models(*, trial: bool) -> dict[str, dict[str, float]]:
    """Every bundled model (in a trial the first) on the sample photograph: seconds of the better of
    two warm runs, and operations of an output pixel.
    """
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        cache, target = Path(folder) / "cache", Path(folder) / "out.png"
        for card in enlarge.models()[: 1 if trial else None]:
            told = ("--model", card.name, "--scale", str(card.scale))
            runs = [command(versions.SAMPLE, target, cache, *told) for _ in range(3)][1:]
            best = min(runs, key=lambda run: run["compute"])
            table[card.name] = {
                "scale": card.scale,
                "flops": card.flops,
                "wall": best["wall"],
                "compute": best["compute"],
                "peak MB": best["peak MB"],
            }
            print(card.name, table[card.name], flush=True)
    return table


def command(source: Path, target: Path, cache: Path, *options: str) -> dict[str, float]:
    """One run of the command: seconds from the shell to the file, and by stage."""
    environment = {**os.environ, "ENLARGE_CACHE": str(cache)}
    line = [sys.executable, "-m", "enlarge", str(source), "-o", str(target)]
    line += ["--overwrite", "--json", *options]
    begun = time.perf_counter()
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - begun
    (result,) = json.loads(done.stdout)["results"]
    stages: dict[str, float] = result["stages"]
    return {
        "wall": wall,
        "start": wall - result["seconds"],
        **stages,
        "rest": result["seconds"] - sum(stages.values()),
        "peak MB": result["peak_memory"] / 1e6,
    }


def _starting(times: int) -> dict[str, float]:
    """Median milliseconds of `enlarge --help`, of `import enlarge` over bare Python, and of bare
    Python.
    """

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    seconds = in_turns(
        {
            "help": lambda: run("-m", "enlarge", "--help"),
            "import": lambda: run("-c", "import enlarge"),
            "bare": lambda: run("-c", "pass"),
        },
        times,
    )
    medians = {name: 1000 * statistics.median(each) for name, each in seconds.items()}
    return {
        "enlarge --help": medians["help"],
        "import enlarge, over bare Python": medians["import"] - medians["bare"],
        "bare Python": medians["bare"],
    }
