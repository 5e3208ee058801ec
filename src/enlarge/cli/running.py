"""Running a batch from the command line: a progress bar, and a line for each outcome."""

from __future__ import annotations

import contextlib
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from enlarge.batch.plan import BatchPlan
from enlarge.batch.run import run_batch
from enlarge.batch.worker import LocalWorker, Worker
from enlarge.cli.console import one_line, say
from enlarge.cli.invocation import Invocation
from enlarge.cli.progress import bar, counting
from enlarge.cli.summary import Summary
from enlarge.media.parts_folder import part_sizes, parts_folder
from enlarge.picture.hooks import ProgressCallback
from enlarge.picture.model import OpenModel
from enlarge.settings import Settings


def run_and_print(
    batch: BatchPlan, model: OpenModel, options: Invocation, summary: Summary
) -> None:
    """Run a batch, and print each outcome when it is known."""
    summary.begin(batch)
    is_shown = not options.quiet and not options.json
    todo = batch.todo
    with contextlib.ExitStack() as stack:
        count = None
        progress = None
        if len(todo) == 1:
            name = one_line(Path(todo[0].job.source_name).name)
            progress = stack.enter_context(bar(name, shown=is_shown, at_once=model.is_provisional))
        else:
            count = stack.enter_context(counting(f"{len(todo)} pictures", shown=is_shown))
        worker = _worker(batch.request.settings, model, options, progress)
        total, passed = sum(item.pixels for item in todo), 0
        outcomes = stack.enter_context(closing(run_batch(batch, worker, proven=summary.is_proven)))
        try:
            for outcome in outcomes:
                summary.add(outcome)
                if count is not None and outcome.status != "archived":
                    passed += outcome.pixels
                    count(passed, total)
        except KeyboardInterrupt:
            outcomes.close()  # waits for running work
            _print_kept_bands(batch)
            raise


def _worker(
    settings: Settings, model: OpenModel, options: Invocation, progress: ProgressCallback | None
) -> Worker:
    """The machines of the cluster, if one is named; else this process."""
    if options.cluster is None:
        return LocalWorker(model, settings, progress=progress)
    from enlarge.batch.cluster import ClusterWorker, Notices

    def warn(line: str) -> None:
        say(f"enlarge: {one_line(line)}", sys.stderr)

    notices = Notices(warn=warn)
    if not options.quiet and not options.json:
        notices = replace(notices, inform=warn)
        if options.verbose:
            notices = replace(notices, detail=warn)
    return ClusterWorker(options.cluster, model, settings, progress=progress, notices=notices)


def _print_kept_bands(batch: BatchPlan) -> None:
    """Print what an interrupt leaves of large pictures and of videos."""
    for item in batch.todo:
        path, kind = item.job.path, "segment" if item.job.video else "band"
        if path is not None and (count := len(part_sizes(path, kind))):
            say(
                f"enlarge: {one_line(str(parts_folder(path)))} keeps {count} finished "
                f"{kind}{'s' * (count != 1)}; rerun the command to resume",
                sys.stderr,
            )
