"""`python -m benchmarks.fuse`: see the package."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import fuse
from benchmarks.fuse import reading
from benchmarks.fuse.camera import MOTIONS, Camera, Scene
from benchmarks.fuse.judging import Cell, judge
from benchmarks.fuse.page import into_page, row_of_cell, text_of_section
from benchmarks.fuse.scenes import STYLES, before_still, photographs, plate
from benchmarks.record import DOCS, stamp

FILE = Path(__file__).parent / "results.json"
PHOTOGRAPHS = 9
SECTIONS: dict[str, tuple[Cell, ...]] = {
    "frames": tuple(Cell(f"{count} frames", count=count) for count in (4, 8, 16, 32)),
    "noise": tuple(
        Cell(f"σ {sigma}, JPEG {quality}", Camera(noise=float(sigma), jpeg=quality))
        for sigma in (4, 8, 16)
        for quality in (40, 60, 80)
    ),
    "motion": (
        *(Cell(motion, Camera(motion=motion)) for motion in MOTIONS[:4]),
        Cell("plates before a still background"),
        Cell("bending by 0.5 px", Camera(bend=0.5)),
        Cell("bending by 1 px", Camera(bend=1.0)),
    ),
    "camera": (
        Cell("motion blur of up to 2 px", Camera(blur=2.0)),
        Cell("rolling shutter of up to 1.5 px", Camera(rolling=1.5)),
        Cell("sharpened in the camera", Camera(sharpen=1.0)),
    ),
    "video": (
        Cell("H.264 at 300 kbit/s", Camera(noise=4.0, codec="h264-300")),
        Cell("H.264 at 1,000 kbit/s", Camera(noise=4.0, codec="h264-1000")),
        Cell("interlaced MPEG-2", Camera(noise=4.0, codec="interlaced-mpeg2")),
    ),
    "foreign": (Cell("2 of 20 frames of another scene", count=20, foreign=2),),
}
Row = dict[str, Any]


def scenes() -> list[Scene]:
    """Nine photographs, and a plate of each country."""
    random = np.random.default_rng(3)
    plates = [plate(name, 8 + number, random).scene for number, name in enumerate(STYLES)]
    return [*photographs(PHOTOGRAPHS), *plates]


def still_scenes() -> list[Scene]:
    """The plates, each before a photograph that stands still."""
    random = np.random.default_rng(3)
    plates = [plate(name, 8 + number, random) for number, name in enumerate(STYLES)]
    behind = photographs(len(plates))
    return [before_still(one, still.pixels) for one, still in zip(plates, behind, strict=True)]


def judged_cell(cell: Cell, pool: ProcessPoolExecutor, *, trial: bool) -> Row:
    """All scenes as the cell records them; a trial takes two."""
    all_scenes = scenes()
    shown = still_scenes() if "still" in cell.name else all_scenes
    chosen = [shown[0], shown[-1]] if trial else shown
    others = [*all_scenes[1:], all_scenes[0]][: len(chosen)]
    # The same seeds everywhere: the cells of a section differ in what they are named for alone.
    seeds = [[7, number] for number in range(len(chosen))]
    rows = list(pool.map(judge, chosen, [cell] * len(chosen), seeds, others))
    errors = [value for row in rows for frame in row.pop("errors") for value in frame]
    found: Row = {"name": cell.name, "count": cell.count, "scenes": rows}
    if errors:
        found["motion"] = [float(np.median(errors)), float(np.percentile(errors, 95))]
    return found


class Record:
    """What was measured: of every section its cells, or the plates that were read. Each is written
    when it is done; what this commit measured already is not measured again.
    """

    def __init__(self, *, trial: bool) -> None:
        self._trial, self._known = trial, stamp()
        self._all: Row = json.loads(FILE.read_text()) if FILE.is_file() and not trial else {}

    def of(self, name: str) -> Row:
        """A section, without what another commit measured."""
        mine = self._all.get(name, {})
        if mine.get("commit") != self._known["commit"]:
            mine = {**self._known, "plates" if name == "reading" else "cells": []}
        return dict(mine)

    def put(self, name: str, found: Row) -> None:
        """Write a section, and its table; a trial is printed."""
        if self._trial:
            print(text_of_section(name, found))
            print("(a trial: nothing was written, and its numbers mean nothing)")
            return
        self._all[name] = found
        lines = [
            f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in self._all.items()
        ]
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        page = DOCS / "fuse.md"
        page.write_text(into_page(page.read_text(encoding="utf-8"), name, found), encoding="utf-8")


def measure(names: Sequence[str], jobs: int, *, trial: bool) -> None:
    """Measure sections, into what was recorded before."""
    record = Record(trial=trial)
    # A fork would inherit the locks of threads that it does not have.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for name in names:
            found = record.of(name)
            if name == "reading":
                wanted = range(6 if trial else reading.PLATES)
                for part in batched(wanted[len(found["plates"]) :], 20):
                    found["plates"] += pool.map(reading.read_plate, part)
                    record.put(name, found)
                    print(f"{len(found['plates'])} plates", flush=True)
                continue
            done = {cell["name"] for cell in found["cells"]}
            for cell in SECTIONS[name][: 1 if trial else None]:
                if cell.name not in done:
                    found["cells"].append(judged_cell(cell, pool, trial=trial))
                    record.put(name, found)
                    print(row_of_cell(found["cells"][-1]), flush=True)


def batched(values: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Parts of a sequence, each of that size but the last."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(
        description=fuse.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*SECTIONS, "reading"]
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(known))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sheets", action="store_true", help="write the sheets, nothing else")
    parser.add_argument("--try", action="store_true", dest="trial", help="tiny, nothing is written")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(known):
        parser.error(f"unknown section {sorted(unknown)[0]!r}; there are: {', '.join(known)}")
    if arguments.sheets:
        from benchmarks.fuse.sheets import write_sheets

        write_sheets(DOCS / "images")
        return
    default = ("frames", "foreign", "reading") if arguments.trial else known
    measure(arguments.sections or default, arguments.jobs, trial=arguments.trial)


if __name__ == "__main__":
    main()
