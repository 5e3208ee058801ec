"""One part of `benchmarks/gpu.sh`, or the page about all of them.

    python -m benchmarks.gpu PART --folder FOLDER [--device cuda:0] [--small]
    python -m benchmarks.gpu page --folder FOLDER [--small] [--write]

A part writes FOLDER/PART.json as it goes on, so that one that is stopped leaves what it has. Exit
status 1: it failed, or what it measured is not as it has to be.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.gpu.setting import Run

PARTS = {
    "about": "benchmarks.gpu.about",
    "tests": "benchmarks.gpu.about",
    "closeness": "benchmarks.gpu.closeness",
    "network": "benchmarks.gpu.network",
    "files": "benchmarks.gpu.files",
    "batch": "benchmarks.gpu.batch",
    "together": "benchmarks.gpu.batch",
    "memory": "benchmarks.gpu.memory",
}
"""The parts, in the order in which they run; a function of that name in that module yields the
results as they come.
"""


def run_part(name: str, run: Run) -> int:
    """Run a part and write down what it yields. Returns the exit status."""
    target = run.folder / f"{name}.json"
    result: dict[str, Any] = {}
    try:
        part: Callable[[Run], Iterator[dict[str, Any]]] = getattr(import_module(PARTS[name]), name)
        for result in part(run):
            write(target, result)
    except Exception as error:
        traceback.print_exc()
        print(getattr(error, "stderr", None) or "")
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        result = {**result, "failures": [*result.get("failures", []), said]}
        write(target, result)
    for failure in result.get("failures", []):
        print(f"FAILS: {failure}")
    return 1 if result.get("failures") else 0


def write(path: Path, result: dict[str, Any]) -> None:
    """Write a result, whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "page"])
    parser.add_argument("--folder", type=Path, required=True, help="where its files go")
    parser.add_argument("--device", default="cuda:0", help="cuda:0, mps, cpu; default: cuda:0")
    parser.add_argument("--small", action="store_true", help="a rehearsal: little of everything")
    parser.add_argument("--write", action="store_true", help="page: write it into docs as well")
    told = parser.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    if told.part == "page":
        from benchmarks.gpu.page import gathered, publish

        result = gathered(told.folder, list(PARTS), small=told.small)
        publish(result, told.folder, into_docs=told.write)
        return 0
    from benchmarks.gpu.setting import Run

    return run_part(told.part, Run(told.device, told.small, told.folder.resolve()))


if __name__ == "__main__":
    sys.exit(main())
