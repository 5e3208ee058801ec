"""Many pictures through the command: a batch, and two processes on one GPU at the same time."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.gpu.setting import Run, Watch, command, make_pictures, most_levels

PICTURES, MOST, SMALL, SMALL_MOST = 200, 1024, 4, 64
COMPARED, MODEL = 5, "fast"


def batch(run: Run) -> Iterator[dict[str, Any]]:
    """`enlarge in/ -o out/`: seconds a picture, how busy the GPU is, and the largest difference to
    pictures that are enlarged alone.
    """
    number, most = (SMALL, SMALL_MOST) if run.small else (PICTURES, MOST)
    sources = make_pictures(run.folder / "many", number, most=most, seed=1)
    target = run.folder / "many-large"
    line = command(run, run.folder / "many", "-o", f"{target}/", "--overwrite", "--json")
    with Watch(run) as watch:
        begun = time.perf_counter()
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"the batch ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    results = json.loads(done.stdout)["results"]
    failures = [] if len(results) == number else [f"{len(results)} of {number} pictures came out"]
    pixels = sum(result["width"] * result["height"] for result in results)
    found = {
        "pictures": number,
        "most": most,
        "seconds": seconds,
        "rate": pixels / seconds / 1e6,
        "stages": summed(results),
        "busy": watch.busy,
        "memory": watch.memory,
        "failures": failures,
    }
    yield found
    upscaler = run.upscaler(MODEL)
    apart = 0
    for source in sources[:: max(number // COMPARED, 1)]:
        alone = run.folder / "alone.png"
        upscaler.upscale_file(source, alone, overwrite=True)
        apart = max(apart, most_levels(alone, target / f"{source.stem}.png"))
    if apart > 1:
        failures.append(f"a picture differs by {apart} levels from the one that is enlarged alone")
    yield {**found, "apart": apart}


def summed(results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds by stage, over all pictures; several are under way at a time."""
    total: dict[str, float] = {}
    for result in results:
        for stage, seconds in result["stages"].items():
            total[stage] = total.get(stage, 0.0) + seconds
    return total


def together(run: Run) -> Iterator[dict[str, Any]]:
    """One process, then two at the same time with the same pictures: seconds, and how far their
    results are from those of the one.
    """
    number, most = (SMALL, SMALL_MOST) if run.small else (PICTURES // 4, MOST)
    sources = make_pictures(run.folder / "some", number, most=most, seed=2)
    targets = [run.folder / f"some-{name}" for name in ("alone", "first", "second")]
    lines = [
        command(run, run.folder / "some", "-o", f"{target}/", "--overwrite", "--quiet")
        for target in targets
    ]
    alone, *before = side_by_side(lines[:1])
    both, *said = side_by_side(lines[1:])
    failures = [text for text in (*before, *said) if text]
    apart = 0
    for source in sources:
        name = f"{source.stem}.png"
        for target in targets[1:]:
            apart = max(apart, most_levels(targets[0] / name, target / name))
    if apart > 1:
        failures.append(f"the results differ by {apart} levels")
    yield {
        "pictures": number,
        "alone": alone,
        "both": both,
        "gain": 2 * alone / both,
        "apart": apart,
        "failures": failures,
    }


def side_by_side(lines: Sequence[Sequence[str]]) -> tuple[Any, ...]:
    """Run commands at the same time: seconds until all have ended, and for each what it said if it
    failed, else "".
    """
    begun = time.perf_counter()
    started = [
        subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in lines
    ]
    said = [process.communicate()[1].strip()[-400:] for process in started]
    seconds = time.perf_counter() - begun
    return (
        seconds,
        *(
            f"status {process.returncode}: {text}" if process.returncode else ""
            for process, text in zip(started, said, strict=True)
        ),
    )
