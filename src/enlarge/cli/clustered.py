"""`--cluster`: the plan of an invocation done on the machines of a Ray cluster."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from enlarge.batch.bench import setup_of
from enlarge.batch.cluster import ClusterRows, Pool
from enlarge.batch.jobs import Job
from enlarge.batch.lanes import LANES
from enlarge.batch.worker import Busy, Kept, Recipe, Seal, enlarge_job, make_here
from enlarge.cli.console import say
from enlarge.cli.job import consume, settings_of, sweep_targets, weight
from enlarge.cli.planning import Plan, Planned
from enlarge.cli.progress import bar, counting
from enlarge.cli.request import Request
from enlarge.cli.summary import Summary, source_name
from enlarge.errors import OutputError
from enlarge.memory import default_budget
from enlarge.picture.hooks import Hooks, ProgressCallback
from enlarge.picture.run import Done
from enlarge.upscaler import Upscaler

if TYPE_CHECKING:
    from enlarge.batch.ledger import Ledger

_APPEARS, _LOOK = 60.0, 0.2
"""Seconds for a result to be seen here, and between two looks."""
_SHARE_OF_ROWS = 4
"""Of the memory budget a quarter is for rows of tiles that are on their way."""


def run_on_cluster(
    plan: Plan,
    upscaler: Upscaler,
    recipe: Recipe,
    request: Request,
    summary: Summary,
    ledger: Ledger | None,
    make_folder: Callable[[Path], None],
) -> None:
    """Do what is to be done on the cluster that `request.options.cluster` names; see `cli.job.run`.

    Raises `EngineError` where there is no cluster, or none of its machines can help.
    """
    assert request.options.cluster is not None
    if not plan.todo:
        return
    sweep_targets(plan)
    marks: tuple[Path, ...] = ()
    if ledger is not None and isinstance(ledger.results, Path):
        is_inside = ledger.results == ledger.folder
        marks = ((ledger.path if is_inside else ledger.results).absolute(),)
        make_folder(ledger.results)
    setup = setup_of(upscaler, recipe, request.settings.precision, marks)
    cancel = threading.Event()
    is_shown = not request.options.quiet and not request.options.json

    def tell(line: str) -> None:
        if is_shown:
            say(f"enlarge: {line}", sys.stderr)

    with Pool(request.options.cluster, setup, threads=request.settings.threads, tell=tell) as pool:
        pool.wait()
        for problem in pool.problems():
            say(f"enlarge: a machine of the cluster is not used: {problem}", sys.stderr)
        if request.options.verbose and is_shown:
            count = pool.size
            say(f"enlarge: {count} machine{'s' * (count != 1)} of the cluster", sys.stderr)
        share = sum(map(weight, plan.todo)) / pool.size
        one_by_one = threading.Lock()  # a picture that is spread has every machine

        def do(
            planned: Planned, *, wait: bool, progress: ProgressCallback | None
        ) -> Done | Kept | Busy:
            job = planned.job
            if job.path is not None:
                make_folder(job.path.parent)

            def make(job: Job, seal: Seal | None) -> Done:
                if not _is_spread(planned, share):
                    done = pool.make(_absolute(job), seal, cancel.is_set)
                    _see(job)
                    return replace(done, output=job.target)
                room = _budget(recipe) // _SHARE_OF_ROWS
                with one_by_one, ClusterRows(pool, room, cancel.is_set) as rows:
                    hooks = Hooks(progress, cancel, executor=rows)
                    return make_here(job, seal, upscaler=upscaler, recipe=recipe, hooks=hooks)

            settings = settings_of(planned, upscaler, recipe) if ledger is not None else ""
            return enlarge_job(
                job,
                upscaler,
                recipe,
                ledger=ledger,
                settings=settings,
                cancel=cancel,
                wait=wait,
                make=make,
            )

        lanes = LANES * pool.size
        if len(plan.todo) == 1:
            name = Path(source_name(plan.todo[0].job)).name
            with bar(name, shown=is_shown) as watcher:
                consume(plan.todo, partial(do, progress=watcher), cancel, summary, request)
            return
        with counting(f"{len(plan.todo)} pictures", shown=is_shown) as counted:
            do_one = partial(do, progress=None)
            consume(plan.todo, do_one, cancel, summary, request, counted, lanes)


def _is_spread(planned: Planned, share: float) -> bool:
    """Whether a picture is more than a machine's share of the work, so that its rows of tiles are
    computed on several; the result is the same either way.
    """
    return planned.facts is not None and weight(planned) > share


def _see(job: Job) -> None:
    """Wait until a result that another machine named is seen here: network file systems remember
    for a while what was not there. Raises `OutputError` where it does not appear.
    """
    path, end = job.path, time.monotonic() + _APPEARS
    while path is not None and not path.exists():
        if time.monotonic() > end:
            raise OutputError(
                f"{path}: another machine wrote it, but here it is not to be seen; -o must name a "
                "folder that all machines share under one path, or s3://BUCKET/PREFIX"
            )
        time.sleep(_LOOK)
        with contextlib.suppress(OSError):
            os.listdir(path.parent)  # noqa: PTH208 - for its effect: the folder is read anew


def _absolute(job: Job) -> Job:
    """The job as it is called on other machines, which work in other folders."""
    source = job.source if job.origin or job.member else str(Path(job.source).absolute())
    target = job.target if job.path is None else str(job.path.absolute())
    member = job.member
    if member is not None:
        member = replace(member, archive=member.archive.absolute())
    return replace(job, source=source, target=target, member=member)


def _budget(recipe: Recipe) -> int:
    memory = recipe.options["memory"]
    return default_budget() if memory is None else int(memory)
