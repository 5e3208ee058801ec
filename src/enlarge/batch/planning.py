"""What a batch is going to do: its pictures, planned, and every refusal before any work."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from enlarge.batch.archive import Member
from enlarge.batch.inputs import Found, Input, Scan, Unreadable, find_inputs
from enlarge.batch.jobs import (
    PictureJob,
    PictureSource,
    Stamp,
    open_source,
    source_digest,
    source_stamp,
)
from enlarge.batch.locations import File, Stream, Zip
from enlarge.batch.outcome import Outcome, failed
from enlarge.batch.outputs import check_outputs, check_result_names, name_output
from enlarge.batch.plan import BatchPlan, PlannedPicture, Request
from enlarge.batch.record import (
    LEDGER,
    Fingerprint,
    Row,
    State,
    encodable_name,
    input_digest,
    output_state,
    settings_text,
)
from enlarge.batch.remote import Remote, is_url
from enlarge.digests import file_digest
from enlarge.errors import InputError, OptionError, OutputError
from enlarge.media.formats import FORMATS
from enlarge.media.naming import page_mark
from enlarge.media.provenance import provenance_of
from enlarge.media.reading import open_picture
from enlarge.picture.model import OpenModel
from enlarge.picture.outlook import Outlook, check_disk, plan_picture
from enlarge.settings import Settings

if TYPE_CHECKING:
    from enlarge.batch.ledger import Ledger


def plan_batch(
    request: Request,
    model: OpenModel,
    *,
    accept: Callable[[Found], bool] = lambda found: True,
) -> BatchPlan:
    """Plan a batch, as far as names, headers, disks and the ledger tell.

    `accept` selects among the inputs that are found. Raises an `EnlargeError` for what makes the
    whole batch impossible.
    """
    settings = request.settings
    has_size = settings.width or settings.height
    scan = Scan(request.results, "" if has_size else request.ending(None, model.card.scale))
    every = find_inputs(request.sources, scan)
    found = [item for item in every if accept(item)]
    is_all = settings.all_pages
    check_result_names(request.target, suffix=request.suffix, count=len(found), all_pages=is_all)
    if is_all:
        found = [page for item in found for page in _pages(item)]
    with contextlib.ExitStack() as stack:
        ledger = _open_existing(request, stack)
        made = _made(request, ledger)
        batch, skipped = _read_headers(found, request, model, made)
        # Before the ledger is read: what another process makes after this does not count.
        existing = frozenset(_existing(batch))
        ledger = ledger or _open_existing(request, stack)
        if ledger is not None:
            batch = _compare_with_ledger(batch, ledger, model)
        # Results of earlier rounds and batches too: no result may replace an input.
        skipped |= {_name(item) for item in every if _is_made(item, made)}
        inputs = frozenset(_places(item for item in every if _name(item) not in skipped))
        jobs = [item.job for item in batch.todo]
        jobs += [outcome.job for outcome in batch.kept if outcome.job is not None]
        check_outputs(jobs, inputs, overwrite=request.overwrite, existing=existing)
        if isinstance(request.target, Zip):
            _check_archive(request, request.target, jobs, inputs, ledger)
    check_disk(batch.file_needs(), batch.band_needs())
    return batch


def recorded_settings(settings: Settings, model: OpenModel, dtype: np.dtype[Any] | None) -> str:
    """What determines a result's bytes, beside its input and the model, as the ledger records it:
    the options as given, and engine, device and precision as chosen for pictures of `dtype` (None,
    for a picture that is read later: for 8 bits, and for more).
    """
    engine = model.engine(np.dtype(np.uint8) if dtype is None else dtype)
    precision = engine.precision
    if dtype is None:
        precision += f", {model.engine(np.dtype(np.uint16)).precision}"
    recorded = settings.recorded()
    if settings.scale is None and not (settings.width or settings.height):
        recorded["scale"] = model.card.scale
    if model.card.strength is not None:
        recorded["strength"] = model.card.strength
    if settings.salvage:
        recorded["salvage"] = True
    chosen = {"engine": engine.name, "device": engine.device, "precision": precision}
    return settings_text(recorded | chosen)


def fingerprint(
    item: PlannedPicture, settings: Settings, model: OpenModel, row: Row | None
) -> Fingerprint:
    """What the ledger is to record of a picture. Reads the input unless its row has its digest.

    Raises `InputError`.
    """
    source = item.job.source
    assert not isinstance(source, Stream)
    settings = item.job.chosen(settings)
    dtype = None if item.outlook is None else item.outlook.dtype
    recorded = recorded_settings(settings, model, dtype)
    sound = recorded_settings(replace(settings, salvage=False), model, dtype)
    stamp = source_stamp(source)
    digest = input_digest(row, stamp, lambda: _digest(source, stamp))
    return Fingerprint(str(source), digest, stamp, model.digest, recorded, sound)


@lru_cache(maxsize=8)
def _digest(source: File | Member | Remote, stamp: Stamp) -> str:
    """The digest of a source that has this stamp: read once for all pages of a file."""
    return source_digest(source)


def _existing(batch: BatchPlan) -> Iterator[Path | Remote]:
    """The targets that exist."""
    for item in batch.todo:
        target = item.job.target
        if isinstance(target, Remote):
            if target.exists():
                yield target
        elif isinstance(target, File) and os.path.exists(target.path):  # noqa: PTH110 - any name
            yield target.path


def _open_existing(request: Request, stack: contextlib.ExitStack) -> Ledger | None:
    """The ledger, if there is one by now."""
    folder = request.ledger_folder
    if folder is None or not (folder / LEDGER).is_file():
        return None  # and SQLite stays out of the way
    from enlarge.batch.ledger import Ledger

    return stack.enter_context(Ledger(folder, request.results))


def _made(request: Request, ledger: Ledger | None) -> frozenset[Path | Remote]:
    """The results that the ledger knows."""
    results = request.results
    if results is None or ledger is None:
        return frozenset()
    rows = [row for row in ledger.rows().values() if row.digest or row.sealed]
    return frozenset(_absolute(results / row.output) for row in rows)


def _absolute(place: Path | Remote) -> Path | Remote:
    """The same for every name of a place; links stay as they are."""
    return place if isinstance(place, Remote) else Path(os.path.abspath(place))  # noqa: PTH100


def _is_made(item: Found, made: frozenset[Path | Remote]) -> bool:
    """Whether a scan found a result that the ledger knows."""
    if not isinstance(item, Input) or not item.scanned:
        return False
    return any(_absolute(place) in made for place in _places([item]))


def _name(item: Found) -> str:
    return str(item.source) if isinstance(item, Input) else item.name


def _places(items: Iterator[Found] | Sequence[Found]) -> Iterator[Path | Remote]:
    """The files that inputs are in."""
    for item in items:
        if isinstance(item, Unreadable):
            yield Remote(item.name) if is_url(item.name) else Path(item.name)
            continue
        match item.source:
            case File():
                yield item.source.path
            case Member():
                yield item.source.archive
            case Remote():
                yield item.source


def _pages(item: Found) -> Iterator[Found]:
    """An input of its own for each picture in a file; the input itself where there is only one, or
    it cannot be read. Raises `OptionError` for standard input, which is read only once.
    """
    if isinstance(item, Unreadable):
        yield item
        return
    match item.source:
        case Stream():
            raise OptionError(
                "--page all needs files, and standard input is read only once; save it to a file, "
                "or give the number of a page"
            )
        case Remote():
            problem = "--page all needs a file on this machine; download it first"
            yield Unreadable(item.source.url, f"{item.source}: {problem}")
            return
    try:
        with _opened(item.source) as source, open_picture(source) as picture:
            count = picture.facts.pages
    except InputError:  # told when its header is read
        count = 1
    if count == 1:
        yield item
        return
    for page in range(1, count + 1):
        yield replace(item, page=page)


def _read_headers(
    found: Sequence[Found], request: Request, model: OpenModel, made: frozenset[Path | Remote]
) -> tuple[BatchPlan, set[str]]:
    """The batch as far as each input's header tells, and the names of the inputs that a scan found
    and enlarge made.
    """
    todo: list[PlannedPicture] = []
    refused: list[Outcome] = []
    skipped, unsuited = set[str](), list[OptionError]()
    for item in found:
        name = _name(item)
        if isinstance(item, Unreadable):
            refused.append(failed(name, item.problem))
            continue
        if _is_made(item, made):
            skipped.add(name)
            continue
        outlook = None
        if isinstance(item.source, File | Member):  # others are read when their turn comes
            try:
                outlook = _forecast(item, item.source, request, model)
            except (InputError, OptionError) as error:
                refused.append(failed(name, str(error)))
                if isinstance(error, OptionError):
                    unsuited.append(error)
                continue
            if outlook is None:
                skipped.add(name)
                continue
        todo.append(_plan_input(item, outlook, request, model))
    if unsuited and not todo:
        raise unsuited[0]  # an option that suits no picture is a wrong one
    if skipped and not todo and not refused:
        where = ", ".join(map(str, request.sources))
        line = f"{where}: no pictures in this folder except {len(skipped)} made by enlarge"
        refused.append(failed(where, f"{line}; to enlarge those too, use a glob"))
    return BatchPlan(request, tuple(todo), (), tuple(refused), len(skipped)), skipped


def _plan_input(
    item: Input, outlook: Outlook | None, request: Request, model: OpenModel
) -> PlannedPicture:
    """One picture, planned. Raises `OptionError` if the target does not suit its source."""
    ending = request.suffix or ""
    if request.target is None and not isinstance(item.source, Remote | Stream):
        ending = request.ending(outlook, model.card.scale)
    page = request.settings.page if item.page is None else item.page
    if isinstance(page, int):
        facts = None if outlook is None else outlook.facts
        ending = page_mark(page, 0 if facts is None else facts.pages) + ending
    extension = FORMATS[request.settings.format or "png"].suffixes[0]
    return PlannedPicture(name_output(item, request.target, ending + extension), outlook)


def _forecast(
    item: Input, source: File | Member, request: Request, model: OpenModel
) -> Outlook | None:
    """The forecast from a picture's header; None if a scan found it and enlarge made it.

    Raises `InputError`, or `OptionError` where a size or a crop does not suit the picture, or
    `OutputError`, which refuses the whole batch; each names the picture.
    """
    settings = request.settings
    if isinstance(request.target, Stream):
        settings = replace(settings, resume=False)
    if settings.all_pages:
        settings = replace(settings, page=item.page)
    page, salvage = settings.single_page, settings.salvage
    with _opened(source) as stream, open_picture(stream, page=page, salvage=salvage) as picture:
        facts = picture.facts
        if item.scanned and provenance_of(picture.metadata) is not None:
            return None
    try:
        return plan_picture(facts, settings, model)
    except (OptionError, OutputError) as error:
        raise type(error)(f"{source}: {error}") from error


@contextlib.contextmanager
def _opened(source: File | Member) -> Iterator[Any]:
    """A source as `open_picture` reads it: a path, or a stream that is closed in the end."""
    opened = open_source(source)
    try:
        yield opened
    finally:
        if isinstance(source, Member):
            opened.close()


def _compare_with_ledger(batch: BatchPlan, ledger: Ledger, model: OpenModel) -> BatchPlan:
    """The batch with what the ledger knows: what is done, and what may be replaced.

    Raises `OutputError` for a result that may not.
    """
    todo: list[PlannedPicture] = []
    kept: list[Outcome] = []
    refused = list(batch.failed)
    rows = ledger.rows()
    overwrite = batch.request.overwrite
    for item in batch.todo:
        job, row = item.job, rows.get(encodable_name(item.job.name))
        place = job.target if isinstance(job.target, Remote) else job.path
        if row is None or place is None or isinstance(job.source, Stream):
            todo.append(item)
            continue
        try:
            wanted = None
            if place.exists():
                wanted = fingerprint(item, batch.request.settings, model, row)
        except InputError as error:
            refused.append(failed(str(job.source), str(error)))
            continue
        state, is_busy = output_state(row, wanted, place), ledger.is_busy(row)
        if state is State.CURRENT and not is_busy:
            size = (row.width or 0, row.height or 0)
            if item.outlook is not None:  # a row written before a kill may not have the size
                size = (item.outlook.width, item.outlook.height)
            kept.append(batch.kept_outcome(item, *size))
            continue
        if not (overwrite or is_busy):
            _check_replaceable(state, row, wanted, job)
        may_replace = state in (State.STALE, State.CURRENT) or is_busy
        todo.append(replace(item, job=replace(job, replace=may_replace)))
    return replace(batch, todo=tuple(todo), kept=tuple(kept), failed=tuple(refused))


def _check_replaceable(state: State, row: Row, wanted: Fingerprint | None, job: PictureJob) -> None:
    """Raise `OutputError` for a result that was changed by others, or made from another picture."""
    if state is State.ALTERED:
        raise OutputError(
            f"{job.target} was changed since enlarge made it; use --overwrite to replace it, or "
            "-o to choose another output"
        )
    if state is not State.STALE:
        return
    is_moved = wanted is not None and wanted.input == row.input
    if not is_moved and not _is_same_source(row.source, job.source):
        raise OutputError(
            f"{job.target} was made from {row.source}, not from {job.source}; use --overwrite to "
            "replace it, or -o to choose another output"
        )


def _is_same_source(recorded: str, source: PictureSource) -> bool:
    """Whether the ledger's name of a source names this one."""
    if isinstance(source, Remote):
        return recorded == source.url
    return os.path.abspath(recorded) == os.path.abspath(encodable_name(str(source)))  # noqa: PTH100


def _check_archive(
    request: Request,
    target: Zip,
    jobs: Sequence[PictureJob],
    inputs: frozenset[Path | Remote],
    ledger: Ledger | None,
) -> None:
    """Raise `OutputError` for a zip that is not possible. One of ours may be replaced by one that
    holds as much.
    """
    is_ours = ledger is not None and may_replace_archive(target, (job.name for job in jobs), ledger)
    archive = File(target.path, str(target))
    check_outputs(
        [PictureJob(archive, archive, replace=is_ours)], inputs, overwrite=request.overwrite
    )


def may_replace_archive(target: Zip, names: Iterable[str], ledger: Ledger) -> bool:
    """Whether a zip that exists was made from this ledger, and one of the files `names` holds all
    that the ledger knows.
    """
    recorded = ledger.archive_digest(target.path.name)
    if recorded is None or not target.path.is_file() or file_digest(target.path) != recorded:
        return False
    held = set(map(encodable_name, names))
    return all(name in held for name, row in ledger.rows().items() if row.digest or row.sealed)
