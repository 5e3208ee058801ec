"""`--watch`: enlarge what appears in folders, until interrupted."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from enlarge.batch.jobs import Job
from enlarge.batch.watching import INTERVAL, Watch
from enlarge.batch.worker import Recipe
from enlarge.cli.console import FAILED, SOME_FAILED, say
from enlarge.cli.inputs import Found
from enlarge.cli.outputs import check_alone
from enlarge.cli.planning import Failure, Plan, make_plan
from enlarge.cli.request import Request
from enlarge.cli.summary import Summary
from enlarge.errors import EnlargeError
from enlarge.upscaler import Upscaler


def watch(request: Request, kind: str, upscaler: Upscaler, recipe: Recipe) -> int:
    """Enlarge new and changed pictures of the folders as they are completed.

    Ends by an interrupt. What is refused (one that exists, a bad file) is said once, and the rest
    goes on.
    """
    from enlarge.cli.job import folders_made, open_for, run

    seen, works = Watch(), False
    watched = " and ".join(request.inputs)
    if not request.options.quiet:
        say(f"enlarge: watching {watched}; interrupt (Ctrl-C) to end", sys.stderr)
    while True:
        plan = _next(request, kind, upscaler, recipe, seen)
        if plan.todo or plan.failed:
            summary = Summary(request, works=works)
            summary.begin(plan)
            with contextlib.ExitStack() as stack:
                make_folder = stack.enter_context(folders_made())
                ledger = open_for(plan, request, make_folder, stack)
                if plan.todo:
                    run(plan, upscaler, recipe, request, summary, ledger, make_folder)
            works = summary.works
            summary.end(FAILED, SOME_FAILED)
        time.sleep(INTERVAL)


def _next(request: Request, kind: str, upscaler: Upscaler, recipe: Recipe, seen: Watch) -> Plan:
    """The pictures that were completed since the last look."""
    ready: list[str] = []

    def accept(found: Found) -> bool:
        if found.problem:
            return False  # a folder without pictures gets some later
        if seen.is_complete(Path(found.path)):
            ready.append(found.path)
            return True
        return False

    plan = Plan()
    try:
        plan = make_plan(request, kind, upscaler, recipe, accept=accept)
    except EnlargeError:  # one of them refuses all: each for itself tells which
        taken: dict[Path | str, Job] = {}
        for path in ready:
            try:
                accept_one = partial(_is_at, path)
                part = make_plan(request, kind, upscaler, recipe, accept=accept_one)
                for planned in part.todo:
                    check_alone(planned.job, taken)
            except EnlargeError as error:
                plan.failed.append(Failure(path, str(error)))
            else:
                plan.todo.extend(part.todo)
                plan.failed.extend(_told(part))
        return plan
    return replace(plan, ours=0, kept=[], failed=_told(plan))


def _is_at(path: str, found: Found) -> bool:
    return found.path == path


def _told(plan: Plan) -> list[Failure]:
    """The failures, without the one that says that there is nothing but what enlarge made."""
    return [] if plan.ours and not plan.todo and len(plan.failed) == 1 else plan.failed
