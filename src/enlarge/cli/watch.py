"""`--watch`: enlarge new pictures in folders, until interrupted."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from enlarge.batch.inputs import Found, Input
from enlarge.batch.jobs import PictureJob
from enlarge.batch.locations import File
from enlarge.batch.outcome import Outcome, failed
from enlarge.batch.outputs import check_unique
from enlarge.batch.plan import BatchPlan, PlannedPicture, Request
from enlarge.batch.planning import plan_batch
from enlarge.batch.watching import INTERVAL, Watch
from enlarge.cli.console import one_line, say
from enlarge.cli.invocation import Invocation
from enlarge.cli.running import run_and_print
from enlarge.cli.summary import Summary
from enlarge.errors import EnlargeError
from enlarge.picture.model import OpenModel


def watch(request: Request, model: OpenModel, options: Invocation) -> int:
    """Enlarge new and changed pictures in the folders as they are completed.

    Only an interrupt ends it. A failure (an output that exists, a bad file) is printed once, and
    the other pictures are enlarged.
    """
    seen, proven = Watch(), False
    if not options.quiet:
        watched = " and ".join(map(str, request.sources))
        line = f"enlarge: watching {watched}; interrupt (Ctrl-C) to end"
        say(one_line(line), sys.stderr)
    while True:
        batch = _completed(request, model, seen)
        if batch.todo or batch.failed:
            summary = Summary(request, options, proven=proven)
            run_and_print(batch, model, options, summary)
            proven = summary.is_proven
            summary.end()
        time.sleep(INTERVAL)


def _completed(request: Request, model: OpenModel, seen: Watch) -> BatchPlan:
    """The pictures that were completed since the last look, planned."""
    ready: list[Path] = []

    def accept(found: Found) -> bool:
        if not isinstance(found, Input) or not isinstance(found.source, File):
            return False  # a folder without pictures gets some later
        path = found.source.path
        if seen.is_complete(path):
            ready.append(path)
            return True
        return False

    try:
        batch = plan_batch(request, model, accept=accept)
    except EnlargeError:  # one picture makes all impossible: planned alone, it tells which
        return _planned_one_by_one(request, model, ready)
    return replace(batch, skipped=(), kept=(), failed=_without_hint(batch))


def _planned_one_by_one(request: Request, model: OpenModel, paths: list[Path]) -> BatchPlan:
    """The pictures at the paths, each planned by itself."""
    todo: list[PlannedPicture] = []
    refused: list[Outcome] = []
    taken: dict[Path | str, PictureJob] = {}
    for path in paths:
        try:
            part = plan_batch(request, model, accept=partial(_is_at, path))
            for item in part.todo:
                check_unique(item.job, taken)
        except EnlargeError as error:
            refused.append(failed(str(path), str(error)))
        else:
            todo.extend(part.todo)
            refused.extend(_without_hint(part))
    return BatchPlan(request, tuple(todo), failed=tuple(refused))


def _is_at(path: Path, found: Found) -> bool:
    return isinstance(found, Input) and found.source == File(path)


def _without_hint(batch: BatchPlan) -> tuple[Outcome, ...]:
    """The failures, without the one that says that there are only results of enlarge."""
    is_hint = batch.skipped and not batch.todo and len(batch.failed) == 1
    return () if is_hint else batch.failed
