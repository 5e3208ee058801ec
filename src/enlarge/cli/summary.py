"""What is said of an invocation: a line for each picture, a table at the end, JSON, a report."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from enlarge.batch.jobs import Job
from enlarge.batch.worker import Kept
from enlarge.cli.console import STREAM, say
from enlarge.cli.outputs import is_archive
from enlarge.cli.planning import Failure, Plan, Planned
from enlarge.cli.request import Request
from enlarge.errors import OutputError
from enlarge.media.jpeg import COARSE, quality_of
from enlarge.memory import format_size
from enlarge.picture.run import Done

SCREEN = 20
"""Inputs of which the lines are still to be seen at the end: beyond, failures are listed again."""


class Summary:
    """Collects what became of each input, and says it at once and at the end. `works`: this process
    has made something before, so an error now is not one of all pictures.
    """

    def __init__(self, request: Request, *, works: bool = False) -> None:
        self._works = works
        self.failures: list[Failure] = []
        self._request = request
        self._done: list[tuple[Job, Done]] = []
        self._kept: list[tuple[Job, Kept]] = []
        self._archive: dict[str, Any] | None = None
        self._begun = time.perf_counter()

    @property
    def made(self) -> int:
        """Outputs that are there, made now or before."""
        return len(self._done) + len(self._kept)

    @property
    def works(self) -> bool:
        """Whether anything was made, here or before."""
        return self._works or self.made > 0

    @property
    def targets(self) -> list[str]:
        """Their paths."""
        return [job.target for job, _ in (*self._done, *self._kept)]

    def begin(self, plan: Plan) -> None:
        """Say what the plan knows already."""
        for failure in plan.failed:
            self.failed(failure)
        for planned, kept in plan.kept:
            self.kept(planned, kept)
        if (
            plan.ours
            and not self._request.options.quiet
            and not self._request.options.json
            and plan.todo
        ):
            one = plan.ours == 1
            say(
                f"enlarge: {plan.ours} picture{'s' * (not one)} that enlarge made "
                f"{'is' if one else 'are'} left out",
                sys.stderr,
            )

        if (
            self._request.settings.model is None
            and not self._request.options.quiet
            and not self._request.options.json
        ):
            self._advise(plan.todo)

    def _advise(self, todo: Sequence[Planned]) -> None:
        """Say, once, where another model suits better than the default."""
        coarse = [
            (planned.job.source, quality)
            for planned in todo
            if planned.job.member is None
            and planned.facts is not None
            and planned.facts.format == "jpeg"
            and (quality := quality_of(Path(planned.job.source))) is not None
            and quality <= COARSE
        ]
        if coarse:
            name, quality = coarse[0]
            more = f" and {len(coarse) - 1:,} more" if len(coarse) > 1 else ""
            say(
                f"enlarge: {name}{more}: a JPEG of quality {quality}; --model photo is made for "
                "compressed pictures",
                sys.stderr,
            )

    def failed(self, failure: Failure) -> None:
        """An input gave nothing."""
        self.failures.append(failure)
        say(f"enlarge: {failure.line}", sys.stderr)

    def kept(self, planned: Planned, kept: Kept) -> None:
        """An output was there already, and current."""
        kept = replace(kept, output=self._place(planned.job))
        self._kept.append((planned.job, kept))
        if self._request.options.verbose and not self._request.options.json:
            say(f"{kept.output}  {kept.width}×{kept.height}, was done already")

    def done(self, job: Job, done: Done) -> None:
        """An output was made."""
        done = replace(done, output=self._place(job))
        self._done.append((job, done))
        if self._request.options.quiet or self._request.options.json:
            return
        for note in done.notes:
            say(f"enlarge: {source_name(job)}: {note}", sys.stderr)
        stream = sys.stderr if job.place is None else sys.stdout
        memory = f", {format_size(done.peak_memory)} peak memory" if done.peak_memory else ""
        name = "standard output" if job.place is None else done.output
        say(f"{name}  {done.width}×{done.height}, {done.seconds:.1f} s{memory}", stream)
        if self._request.options.verbose:
            stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in done.stages.items())
            engine = done.engine if done.device == "cpu" else f"{done.engine} ({done.device})"
            say(
                f"  {done.model} on {engine} in {done.precision}, {done.tiles} tiles of "
                f"{done.tile[0]}×{done.tile[1]}; {stages}",
                stream,
            )

    def _place(self, job: Job) -> str:
        """Where an output is to be found in the end: in the archive, if it goes into one."""
        output = self._request.options.output
        is_part = output is not None and is_archive(output)
        return f"{output}/{job.name}" if is_part else job.target

    def archived(self, target: Path, count: int, *, parts: Path) -> None:
        """The outputs were put into an archive."""
        self._archive = {"output": str(target), "pictures": count}
        if self._request.options.quiet or self._request.options.json:
            return
        say(f"{target}  {count} picture{'s' * (count != 1)}")
        if self.failures:
            say(
                f"enlarge: {parts} stays, so that the same command does only what is missing",
                sys.stderr,
            )

    def end(self, failed: int, some_failed: int) -> int:
        """Say how it went, write the report. Returns the exit status: 0 or one of those given.

        Raises `OutputError` where a document cannot be written.
        """
        total = self.made + len(self.failures)
        status = 0 if not self.failures else some_failed if self.made else failed
        if self._request.options.report is not None:
            self._write_report(self._request.options.report)
        if self._request.options.json:
            document = {key: value for key, value in self._document().items() if key != "seconds"}
            error = say(json.dumps(document, ensure_ascii=False, indent=2))
            if error is not None:
                raise OutputError(f"standard output: cannot be written: {error.strerror}")
            return status
        if self._kept and not self._request.options.quiet:
            say(f"enlarge: {len(self._kept):,} of {total:,} were done already", sys.stderr)
        if self.failures and total > 1:
            if total > SCREEN and len(self.failures) < total:
                self._say_table()
            say(f"enlarge: {len(self.failures):,} of {total:,} inputs failed", sys.stderr)
        return status

    def _say_table(self) -> None:
        width = min(max(len(failure.source) for failure in self.failures), 60)
        say("", sys.stderr)
        for failure in self.failures:
            reason = failure.line.removeprefix(f"{failure.source}: ")
            say(f"  {failure.source.ljust(width)}  {reason.splitlines()[0]}", sys.stderr)

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "results": [{"input": job.source} | asdict(done) for job, done in self._done],
            "failed": [
                {"input": failure.source, "error": failure.line} for failure in self.failures
            ],
        }
        if self._kept:
            document["kept"] = [{"input": job.source} | asdict(kept) for job, kept in self._kept]
        if self._archive is not None:
            document["archive"] = self._archive
        document["seconds"] = round(time.perf_counter() - self._begun, 3)
        return document

    def _write_report(self, report: Path) -> None:
        document = self._document()
        if report.suffix.lower() == ".json":
            text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        else:
            from enlarge.report import batch_page

            text = batch_page(document)
        try:
            report.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise OutputError(f"{report}: cannot be written: {error.strerror}") from error


def source_name(job: Job) -> str:
    """What a job's source is called."""
    return "standard input" if job.source == STREAM else job.source
