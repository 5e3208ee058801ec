"""`python -m benchmarks.checkpoints`: see the package."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import checkpoints
from benchmarks.checkpoints import elsewhere, exports, families, pairs
from benchmarks.checkpoints.page import line_of_row, text_of_section
from benchmarks.checkpoints.rows import Case, measure
from benchmarks.record import DOCS, between_marks, stamp

FILE = Path(__file__).parent / "results.json"
SECTIONS: dict[str, Callable[[], list[Case]]] = {
    "ncnn": pairs.cases,
    "families": families.cases,
    "onnx": elsewhere.cases,
    "exports": exports.cases,
}
Found = dict[str, Any]


class Record:
    """What was measured, by section; each row is written when it is there."""

    def __init__(self, *, trial: bool) -> None:
        self._trial, self._known = trial, stamp()
        self._all: dict[str, Found] = {}
        if FILE.is_file() and not trial:
            self._all = json.loads(FILE.read_text(encoding="utf-8"))

    def of(self, name: str) -> Found:
        """A section, without what another commit or machine measured."""
        found = self._all.get(name, {})
        keys = ("commit", "machine")
        if any(found.get(key) != self._known[key] for key in keys):
            found = {**self._known, "rows": []}
        return found

    def put(self, name: str, found: Found) -> None:
        """Write a section, and its table; a trial is printed by whoever measures."""
        if self._trial:
            return
        self._all[name] = found
        text = json.dumps(self._all, ensure_ascii=False, indent=1)
        FILE.write_text(text + "\n", encoding="utf-8")
        page = DOCS / "checkpoints.md"
        told = between_marks(page.read_text(encoding="utf-8"), name, text_of_section(name, found))
        page.write_text(told, encoding="utf-8")


def measure_section(name: str, record: Record, *, trial: bool) -> None:
    """Measure the rows of a section that are not there."""
    found = record.of(name)
    done = {(row["name"], row["file"]) for row in found["rows"]}
    for case in SECTIONS[name]()[: 2 if trial else None]:
        if (case.name, case.file) in done:
            continue
        begun = time.perf_counter()
        found["rows"].append(measure(case, trial=trial).record())
        record.put(name, found)
        print(f"{line_of_row(found['rows'][-1])} {time.perf_counter() - begun:.0f} s", flush=True)
    if trial:
        print(text_of_section(name, found))


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(
        description=checkpoints.__doc__,
        prog="python -m benchmarks.checkpoints",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("section", nargs="*", choices=[[], *SECTIONS], help="default: all")
    parser.add_argument("--try", action="store_true", dest="trial", help="nothing is written")
    arguments = parser.parse_args()
    os.environ.pop("ENLARGE_MODELS", None)  # models of the packages alone
    torch.set_num_threads(os.cpu_count() or 1)
    record = Record(trial=arguments.trial)
    for name in arguments.section or SECTIONS:
        measure_section(name, record, trial=arguments.trial)
    if arguments.trial:
        print("(a trial: nothing was written, and its numbers mean nothing)")


if __name__ == "__main__":
    main()
