"""What is printed about a batch: a line for each picture, a table at the end, JSON, a report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from enlarge.batch.locations import Stream, Zip
from enlarge.batch.outcome import Outcome
from enlarge.batch.plan import BatchPlan, Request
from enlarge.cli.console import FAILED, SOME_FAILED, describe_bug, json_text, one_line, say
from enlarge.cli.invocation import Invocation
from enlarge.errors import EnlargeError, OutputError
from enlarge.memory import format_size
from enlarge.picture.run import Done

SCREEN = 20
"""Inputs whose lines are still visible at the end. With more, failures are listed again."""
_NAMED = 3
"""Pictures that are left out and named; of more, the number is printed."""


class Summary:
    """Collects the outcomes of a batch, and prints each at once and a summary at the end.

    `proven`: this process has made a result before, so that an error is not the same for every
    picture.
    """

    def __init__(self, request: Request, options: Invocation, *, proven: bool = False) -> None:
        self._request, self._options, self._proven = request, options, proven
        self._is_shown = not options.quiet and not options.json
        self._failed: list[tuple[str, str]] = []  # inputs, with the lines that say why
        self._done: list[tuple[Outcome, Done]] = []
        self._kept: list[Outcome] = []
        self._skipped: list[Outcome] = []
        self._notes: tuple[str, ...] = ()
        self._archive: dict[str, Any] | None = None
        self._begun = time.perf_counter()

    @property
    def _made(self) -> int:
        """The number of results, made now or earlier."""
        return len(self._done) + len(self._kept)

    @property
    def is_proven(self) -> bool:
        """Whether a result was made, here or before."""
        return self._proven or self._made > 0

    def begin(self, batch: BatchPlan) -> None:
        """Print what is known before the work."""
        for outcome in (*batch.failed, *batch.kept):
            self.add(outcome)
        self._skipped += batch.skipped
        self._notes = batch.notes
        if not self._is_shown:
            return
        print_before(batch, verbose=self._options.verbose)

    def add(self, outcome: Outcome) -> None:
        """Print an outcome, and remember it."""
        match outcome.status:
            case "failed":
                self._add_failed(outcome)
            case "kept":
                self._kept.append(outcome)
                if self._options.verbose and not self._options.json:
                    size = f"{outcome.width}×{outcome.height}"
                    say(f"{one_line(outcome.output)}  {size}, already done")
            case "done":
                assert outcome.done is not None
                self._done.append((outcome, outcome.done))
                if self._is_shown:
                    self._print_done(outcome, outcome.done)
            case "skipped":  # found out when it was read
                self._skipped.append(outcome)
                if self._is_shown:
                    line = f"enlarge: {outcome.source}: skipped, because {outcome.message}"
                    say(one_line(line), sys.stderr)
            case "archived":
                self._add_archive(outcome)

    def _add_failed(self, outcome: Outcome) -> None:
        line, error = outcome.message, outcome.error
        if error is not None and not isinstance(error, EnlargeError | MemoryError):
            name = outcome.job.source_name if outcome.job is not None else outcome.source
            bug = describe_bug(error, verbose=self._options.verbose)
            say(f"enlarge: {one_line(name)}: {bug}", sys.stderr)
            line = f"{name}: {bug}"
        else:
            say(f"enlarge: {one_line(line)}", sys.stderr)
        self._failed.append((outcome.source, line))

    def _print_done(self, outcome: Outcome, done: Done) -> None:
        job = outcome.job
        assert job is not None
        for note in done.notes:
            say(one_line(f"enlarge: {job.source_name}: {note}"), sys.stderr)
        if done.broken is not None:
            say(one_line(f"enlarge: {job.source_name}: is damaged: {done.broken}"), sys.stderr)
        is_stream = isinstance(job.target, Stream)
        stream = sys.stderr if is_stream else sys.stdout
        memory = f", {format_size(done.peak_memory)} peak memory" if done.peak_memory else ""
        name = "standard output" if is_stream else one_line(outcome.output)
        size = f"{done.width}×{done.height}"
        if done.frames is not None:
            size += f", {done.frames:,} frame{'s' * (done.frames != 1)}"
        chosen = f"; {done.model}: {done.reason}" if done.reason else ""
        say(f"{name}  {size}, {done.seconds:.1f} s{memory}{chosen}", stream)
        if self._options.verbose:
            stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in done.stages.items())
            engine = done.engine if done.device == "cpu" else f"{done.engine} ({done.device})"
            say(
                f"  {done.model} on {engine} in {done.precision}, {done.tiles} tiles of "
                f"{done.tile[0]}×{done.tile[1]}; {stages}",
                stream,
            )

    def _add_archive(self, outcome: Outcome) -> None:
        self._archive = {"output": outcome.output, "pictures": outcome.count}
        if not self._is_shown:
            return
        plural = "s" * (outcome.count != 1)
        say(f"{one_line(outcome.output)}  {outcome.count} picture{plural}")
        target = self._request.target
        if self._failed and isinstance(target, Zip):
            say(
                f"enlarge: {one_line(str(target.staging))} is kept; rerun the command to make "
                "only what is missing",
                sys.stderr,
            )

    def end(self) -> int:
        """Print a summary, and write the report. Returns the exit status.

        Raises `OutputError` if a document cannot be written.
        """
        total = self._made + len(self._failed)
        status = 0 if not self._failed else SOME_FAILED if self._made else FAILED
        if any(done.broken is not None for _, done in self._done):
            status = SOME_FAILED  # frames are missing, though there is a result
        if self._options.report is not None:
            self._write_report(self._options.report)
        if self._options.json:
            document = {key: value for key, value in self._document().items() if key != "seconds"}
            print_json(document)
            return status
        if self._kept and not self._options.quiet:
            say(f"enlarge: {len(self._kept):,} of {total:,} were already done", sys.stderr)
        if self._failed and total > 1:
            if total > SCREEN and len(self._failed) < total:
                self._print_failed()
            say(f"enlarge: {len(self._failed):,} of {total:,} inputs failed", sys.stderr)
        return status

    def _print_failed(self) -> None:
        listed = [
            (one_line(source), one_line(line.removeprefix(f"{source}: ").splitlines()[0]))
            for source, line in self._failed
        ]
        width = min(max(len(source) for source, _ in listed), 60)
        say("", sys.stderr)
        for source, reason in listed:
            say(f"  {source.ljust(width)}  {reason}", sys.stderr)

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "results": [self._input(outcome) | asdict(done) for outcome, done in self._done],
            "failed": [{"input": source, "error": line} for source, line in self._failed],
        }
        if self._kept:
            names = ("output", "width", "height")
            document["kept"] = [
                self._input(outcome) | {name: getattr(outcome, name) for name in names}
                for outcome in self._kept
            ]
        document |= _left_out(self._skipped, self._notes)
        if self._archive is not None:
            document["archive"] = self._archive
        document["seconds"] = round(time.perf_counter() - self._begun, 3)
        return document

    def _input(self, outcome: Outcome) -> dict[str, Any]:
        """The input as JSON names it, with the page where one was asked for, or all."""
        job, asked = outcome.job, self._request.settings.page
        page = asked if isinstance(asked, int) or job is None else job.page
        return {"input": outcome.source} | ({} if page is None else {"page": page})

    def _write_report(self, report: Path) -> None:
        from enlarge.cli.reports import write_report
        from enlarge.report import batch_page

        document = self._document()
        write_report(report, document, lambda: batch_page(document))


def print_before(batch: BatchPlan, *, verbose: bool) -> None:
    """Print which pictures are skipped, and notes about the names of results."""
    names = [outcome.source for outcome in batch.skipped]
    if names:
        count, more = len(names), len(names) - _NAMED
        listed = ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
        line = (
            f"enlarge: skipped {count:,} picture{'s' * (count != 1)} made by enlarge: {listed}; "
            "to enlarge those too, name them or use a glob"
        )
        say(one_line(line), sys.stderr)
    if verbose:
        for outcome in batch.skipped:
            say(one_line(f"  {outcome.source}: {outcome.message}"), sys.stderr)
    for note in batch.notes if batch.todo else ():
        say(one_line(f"enlarge: {note}"), sys.stderr)


def document_before(batch: BatchPlan) -> dict[str, Any]:
    """What `print_before` prints, for a JSON document."""
    return _left_out(batch.skipped, batch.notes)


def _left_out(skipped: Sequence[Outcome], notes: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if skipped:
        found["skipped"] = [{"input": entry.source, "reason": entry.message} for entry in skipped]
    if notes:
        found["notes"] = list(notes)
    return found


def print_json(document: Any) -> None:
    """Print a document as JSON. Raises `OutputError` if that is not possible."""
    error = say(json_text(document))
    if error is not None:
        raise OutputError(f"standard output: cannot be written: {error.strerror}")
