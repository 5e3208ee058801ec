"""What an invocation is going to do: jobs from inputs, and every refusal before any work."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from enlarge.batch.addresses import Remote, is_url
from enlarge.batch.jobs import Job
from enlarge.batch.lanes import LANES
from enlarge.batch.record import LEDGER, Row, State, Wish, as_text, compare
from enlarge.batch.worker import Kept, Recipe, wish_of
from enlarge.cli.console import STREAM
from enlarge.cli.inputs import Found, find_inputs
from enlarge.cli.outputs import (
    check_outputs,
    check_wishes,
    is_archive,
    name_output,
    output_folder,
    remote_folder,
)
from enlarge.cli.request import Request, default_suffix, ledger_folder
from enlarge.digests import file_digest
from enlarge.errors import InputError, OptionError, OutputError
from enlarge.media.formats import WRITABLE
from enlarge.media.provenance import provenance_of
from enlarge.media.reading import Facts, open_picture
from enlarge.picture.outlook import Outlook, check_disk, plan_picture
from enlarge.upscaler import Upscaler

if TYPE_CHECKING:
    from enlarge.batch.ledger import Ledger

TYPICAL = 0.3
"""A file's usual share of the most that it can take (photographs as PNG: 0.1 to 0.3, measured in
media.writing). Of a batch only the largest result is reckoned in full: a disk that fills up later
costs one picture, a wrong refusal the batch."""


@dataclass(frozen=True)
class Failure:
    """An input that gave nothing, and the line that says why."""

    source: str
    line: str


@dataclass(frozen=True)
class Planned:
    """A job, with what the header tells (nothing, of standard input), and the settings that the
    ledger compares.
    """

    job: Job
    facts: Facts | None = None
    outlook: Outlook | None = None
    settings: str = ""


@dataclass(frozen=True)
class Plan:
    """What is to be done, what is done already, what cannot be, and how many pictures a scan left
    out because enlarge made them.
    """

    todo: list[Planned] = field(default_factory=list)
    kept: list[tuple[Planned, Kept]] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    ours: int = 0

    def jobs(self) -> list[Job]:
        """Every job, done or to be done, in the order of their names in the ledger."""
        every = [planned.job for planned in self.todo] + [kept.job for kept, _ in self.kept]
        return sorted(every, key=lambda job: job.name)


def make_plan(
    request: Request,
    kind: str,
    upscaler: Upscaler,
    recipe: Recipe,
    *,
    accept: Callable[[Found], bool] = lambda found: True,
) -> Plan:
    """The jobs, checked as far as names, headers, disks and the ledger tell.

    `accept` chooses among the inputs that are found. Raises `EnlargeError` for what refuses all.
    """
    output, factor = request.options.output, upscaler.card.scale
    folder, remote, home = output_folder(output), remote_folder(output), ledger_folder(request)
    results = remote or folder
    mark = (
        ""
        if request.settings.width or request.settings.height
        else default_suffix(request, None, factor)
    )
    every = find_inputs(request.inputs, folder=folder, suffix=mark, remote=remote)
    found = list(filter(accept, every))
    check_wishes(output, suffix=request.options.suffix, count=len(found), json=request.options.json)
    with contextlib.ExitStack() as stack:
        ledger = _opened(home, results, stack)
        made = _made(results, ledger)
        plan, ours = _looked_at(found, request, kind, upscaler, made)
        # Before the ledger is read: what another process makes after this does not count as there.
        there = frozenset(_there(plan))
        ledger = ledger or _opened(home, results, stack)
        if ledger is not None:
            plan = _compared(plan, ledger, upscaler, recipe)
        everything = [*plan.todo, *(planned for planned, _ in plan.kept)]
        # Those of other rounds and other plans too: no result may replace an input.
        ours |= {item.path for item in every if item.scanned and _known_as(item.path) in made}
        inputs = [
            str(item.member.archive) if item.member else item.path
            for item in every
            if item.path not in ours
        ]
        jobs = [item.job for item in everything]
        check_outputs(jobs, inputs, overwrite=request.options.overwrite, there=there)
        if output is not None and is_archive(output):
            _check_archive(Path(output), jobs, inputs, ledger, overwrite=request.options.overwrite)
    _check_streams([item.job for item in everything], request)
    _check_disks(plan, output)
    return plan


def _there(plan: Plan) -> Iterator[Path | str]:
    """The targets that exist: paths, and URLs as text."""
    for planned in plan.todo:
        place = planned.job.place
        if isinstance(place, Remote):
            if place.exists():
                yield place.url
        elif place is not None and os.path.exists(place):  # noqa: PTH110 - any name will do
            yield place


def _opened(
    home: Path | None, results: Path | Remote | None, stack: contextlib.ExitStack
) -> Ledger | None:
    """The ledger, where there is one by now."""
    if home is None or not (home / LEDGER).is_file():
        return None  # and SQLite stays out of the way
    from enlarge.batch.ledger import Ledger

    return stack.enter_context(Ledger(home, results))


def _made(results: Path | Remote | None, ledger: Ledger | None) -> frozenset[str]:
    """The paths, or URLs, of what the ledger says that enlarge put there."""
    if results is None or ledger is None:
        return frozenset()
    rows = ledger.rows().values()
    return frozenset(
        _known_as(str(results / row.output)) for row in rows if row.digest or row.sealed
    )


def _known_as(name: str) -> str:
    """What tells two names of one place: the absolute path, links as they are; or the URL."""
    return name if is_url(name) else os.path.abspath(name)  # noqa: PTH100 - links stay


def _looked_at(
    found: Sequence[Found], request: Request, kind: str, upscaler: Upscaler, made: frozenset[str]
) -> tuple[Plan, set[str]]:
    """The plan so far as each input's header tells, and the inputs that a scan found and enlarge
    made.
    """
    plan, ours = Plan(), set[str]()
    unsuited: list[OptionError] = []
    extension = WRITABLE[kind].suffixes[0]
    for item in found:
        if item.problem:
            plan.failed.append(Failure(item.path, item.problem))
            continue
        if item.scanned and _known_as(item.path) in made:
            ours.add(item.path)
            continue
        try:
            looked = _look(item, request, kind, upscaler)
        except InputError as error:
            plan.failed.append(Failure(item.path, str(error)))
            continue
        except OptionError as error:
            unsuited.append(error)
            plan.failed.append(Failure(item.path, str(error)))
            continue
        if looked is None and not _is_read_later(item):
            ours.add(item.path)
            continue
        facts, outlook = looked or (None, None)
        suffix = request.options.suffix or ""
        if request.options.output is None and not _is_read_later(item):
            size = (outlook.width, outlook.height) if outlook else None
            suffix = default_suffix(request, size, upscaler.card.scale)
        job = name_output(item, request.options.output, suffix=suffix, extension=extension)
        plan.todo.append(Planned(job, facts, outlook))
    if unsuited and not plan.todo:
        raise unsuited[0]  # an option that suits no picture is a wrong one
    if ours and not plan.todo and not plan.failed:
        where = ", ".join(request.inputs)
        line = f"{where}: no pictures in this folder but {len(ours)} that enlarge made"
        plan.failed.append(Failure(where, f"{line}; a glob takes those too"))
    return replace(plan, ours=len(ours)), ours


def _is_read_later(found: Found) -> bool:
    """Whether an input is only read when its turn comes: standard input, and what is far away."""
    return found.path == STREAM or (found.member is None and is_url(found.path))


def _look(
    item: Found, request: Request, kind: str, upscaler: Upscaler
) -> tuple[Facts, Outlook] | None:
    """What the header tells; None for what is read when its turn comes, and for what a scan found
    and enlarge made.

    Raises `InputError`, `OptionError` where a size or a crop does not suit the picture, or
    `OutputError`, which refuses the whole invocation; each names the picture.
    """
    if _is_read_later(item):
        return None
    stream: BinaryIO | Path = Path(item.path)
    if item.member is not None:
        stream = item.member.open()  # type: ignore[assignment]
    with open_picture(stream) as picture:
        facts = picture.facts
        if item.scanned and provenance_of(picture.metadata) is not None:
            return None
    is_stream = STREAM in (item.path, request.options.output)
    settings = replace(
        request.settings, format=kind, resume=request.settings.resume and not is_stream
    )
    try:
        return facts, plan_picture(facts, settings, upscaler)
    except (OptionError, OutputError) as error:
        raise type(error)(f"{item.path}: {error}") from error


def _compared(plan: Plan, ledger: Ledger, upscaler: Upscaler, recipe: Recipe) -> Plan:
    """The plan with what the ledger knows: what is done, and what may be replaced."""
    after = replace(plan, todo=[], kept=[])
    rows = ledger.rows()
    for planned in plan.todo:
        job, row = planned.job, rows.get(as_text(planned.job.name))
        target = job.place
        if row is None or target is None or job.source == STREAM:
            after.todo.append(planned)
            continue
        dtype = None if planned.facts is None else planned.facts.dtype
        settings = recipe.settings(upscaler, dtype)
        try:
            wish = wish_of(job, row, upscaler, settings) if target.exists() else None
        except InputError as error:
            after.failed.append(Failure(job.source, str(error)))
            continue
        state = compare(row, wish, target)
        if state is State.CURRENT and not ledger.is_busy(row):
            done = replace(planned, job=replace(job, replace=True))
            size = (row.width or 0, row.height or 0)
            if planned.outlook is not None:  # a row of before a kill may not know it
                size = (planned.outlook.width, planned.outlook.height)
            after.kept.append((done, Kept(job.target, *size)))
            continue
        if state is State.ALTERED and not (recipe.overwrite or ledger.is_busy(row)):
            raise OutputError(
                f"{target} was changed since enlarge made it; --overwrite replaces it, "
                "-o names another place"
            )
        if state is State.STALE and not (recipe.overwrite or ledger.is_busy(row)):
            _refuse_other(row, wish, job)
        may = state in (State.STALE, State.CURRENT) or ledger.is_busy(row)
        after.todo.append(replace(planned, job=replace(job, replace=may)))
    return after


def _refuse_other(row: Row, wish: Wish | None, job: Job) -> None:
    """Raise `OutputError` where an output of ours was made of another picture than this one."""
    moved = wish is not None and wish.input == row.input
    if not moved and _known_as(row.source) != _known_as(as_text(job.source)):
        raise OutputError(
            f"{job.target} was made of {row.source}, not of {job.source}; --overwrite replaces it, "
            "-o names another place"
        )


def _check_archive(
    target: Path,
    jobs: Sequence[Job],
    inputs: Sequence[str],
    ledger: Ledger | None,
    *,
    overwrite: bool,
) -> None:
    """Refuse a zip that cannot be, with `OutputError`. One of ours may be replaced by one that
    holds as much.
    """
    ours = None if ledger is None else ledger.archive_digest(target.name)
    is_ours = ours is not None and target.is_file() and file_digest(target) == ours
    if is_ours and ledger is not None:
        names = {as_text(job.name) for job in jobs}
        rows = ledger.rows().items()
        is_ours = all(name in names for name, row in rows if row.digest or row.sealed)
    check_outputs([Job(target.name, str(target), replace=is_ours)], inputs, overwrite=overwrite)


def _check_streams(jobs: Sequence[Job], request: Request) -> None:
    if any(job.source == STREAM for job in jobs) and (sys.stdin is None or sys.stdin.isatty()):
        raise InputError("-: expected a picture on standard input, for example: < photo.jpg")
    if not any(job.target == STREAM for job in jobs):
        return
    if len(jobs) > 1:
        raise OptionError("standard output takes one picture; name a folder with -o")
    if request.options.json:
        raise OptionError("--json and a picture both go to standard output; use -o FILE")
    if sys.stdout is None:
        raise OptionError("standard output is closed; use -o FILE")
    if sys.stdout.isatty():
        raise OptionError("a picture would go to the terminal; redirect it, or use -o FILE")


def _check_disks(plan: Plan, output: str | None) -> None:
    """Raise `OutputError` where a disk is too small, the archive that takes everything once more
    included.
    """
    needs = file_needs(plan)
    if output is not None and is_archive(output):
        place = Path(output).parent
        kept = sum(Path(kept.output).stat().st_size for _, kept in plan.kept)
        needs = [*needs, (place, sum(size for _, size in needs) + kept)]
    check_disk(needs, band_needs(plan))


def file_needs(plan: Plan) -> list[tuple[Path, int]]:
    """Folders, each with the bytes that a result will take there: the largest one in full."""
    sizes = [
        (planned.job.path.parent, planned.outlook)
        for planned in plan.todo
        if planned.outlook is not None and planned.job.path is not None
    ]
    ordered = sorted(sizes, key=lambda pair: -pair[1].file_bytes)
    shares = [1.0] + [TYPICAL] * len(ordered)
    return [
        (folder, int(outlook.file_bytes * share))
        for (folder, outlook), share in zip(ordered, shares, strict=False)
    ]


def band_needs(plan: Plan) -> list[tuple[Path, int]]:
    """Folders, each with the bytes of bands that one of the largest results keeps there while it is
    made, beside those that lie there already; for as many as are made at a time.
    """
    needs = [
        (path.parent, planned.outlook.missing_bands(path))
        for planned in plan.todo
        if planned.outlook is not None
        and planned.outlook.bands_bytes
        and (path := planned.job.path) is not None
    ]
    return sorted(needs, key=lambda need: -need[1])[:LANES]
