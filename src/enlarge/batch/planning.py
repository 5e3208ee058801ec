"""What a batch is going to do: its pictures, planned, and every refusal before any work."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enlarge.batch.archive import Member
from enlarge.batch.fingerprints import fingerprint
from enlarge.batch.inputs import Found, Input, Listed, Scan, Unreadable, find_inputs, is_video_file
from enlarge.batch.jobs import PictureJob, open_source
from enlarge.batch.locations import File, Folder, Stream, Zip
from enlarge.batch.names import decoded_name, encodable_name
from enlarge.batch.outcome import MADE, MadeByEnlargeError, Outcome, failed, skipped
from enlarge.batch.outputs import check_outputs, check_result_names
from enlarge.batch.plan import BatchPlan, PlannedPicture, Request
from enlarge.batch.record import (
    LEDGER,
    Row,
    State,
    check_replaceable,
    output_state,
)
from enlarge.batch.remote import Remote, is_url
from enlarge.batch.twins import Wish, name_outputs
from enlarge.digests import file_digest
from enlarge.errors import InputError, OptionError, OutputError
from enlarge.media.formats import CONTAINERS, FORMATS
from enlarge.media.metadata.provenance import provenance_of
from enlarge.media.naming import page_mark
from enlarge.media.reading import open_picture
from enlarge.picture.model import OpenModel
from enlarge.picture.outlook import Outlook, check_disk, plan_picture
from enlarge.settings import Settings

if TYPE_CHECKING:
    from enlarge.batch.ledger import Ledger
    from enlarge.video.outlook import VideoOutlook


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
    scan = Scan(request.results)
    every = find_inputs(request.sources, scan)
    accepted = {_name(item) for item in every if accept(item)}
    count, is_all = len(accepted), request.settings.all_pages
    check_result_names(request.target, suffix=request.suffix, count=count, all_pages=is_all)
    with contextlib.ExitStack() as stack:
        ledger = _open_existing(request, stack)
        recorded = _recorded(request, ledger)
        every = [_with_record(item, recorded) for item in every]
        found = [item for item in every if _name(item) in accepted]
        if is_all:
            salvage = request.settings.salvage
            found = [page for item in found for page in _pages(item, salvage=salvage)]
        batch = _read_headers(found, request, model, {} if ledger is None else ledger.rows())
        # Before the ledger is read: what another process makes after this does not count.
        existing = frozenset(_existing(batch))
        ledger = ledger or _open_existing(request, stack)
        if ledger is not None:
            batch = _compare_with_ledger(batch, ledger, model)
        # Results of earlier rounds and batches too: no result may replace an input.
        ours = {outcome.source for outcome in batch.skipped}
        ours |= {_name(item) for item in every if _is_listed(item)} - accepted
        inputs = frozenset(_places(item for item in every if _name(item) not in ours))
        jobs = [item.job for item in batch.todo]
        jobs += [outcome.job for outcome in batch.kept if outcome.job is not None]
        check_outputs(jobs, inputs, overwrite=request.overwrite, existing=existing)
        if isinstance(request.target, Zip):
            _check_archive(request, request.target, jobs, inputs, ledger)
    check_disk(batch.file_needs(), batch.band_needs())
    return replace(batch, notes=(*batch.notes, *scan.notes()))


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


def _recorded(request: Request, ledger: Ledger | None) -> dict[Path | Remote, Listed]:
    """The results that the ledger of this request's target lists."""
    results = request.results
    if results is None or ledger is None:
        return {}
    listed: dict[Path | Remote, Listed] = {}
    for row in ledger.rows().values():
        if row.is_made:
            place = _absolute(results / decoded_name(row.output))
            listed[place] = Listed(ledger.path, row.width, row.height)
    return listed


def _absolute(place: Path | Remote) -> Path | Remote:
    """The same for every name of a place; links stay as they are."""
    return place if isinstance(place, Remote) else Path(os.path.abspath(place))  # noqa: PTH100


def _with_record(item: Found, recorded: Mapping[Path | Remote, Listed]) -> Found:
    """An input that a scan found, with the record of a result at its place."""
    if not isinstance(item, Input) or not item.scanned or item.listed is not None or not recorded:
        return item
    (place,) = _places([item])
    return replace(item, listed=recorded.get(_absolute(place)))


def _is_listed(item: Found) -> bool:
    return isinstance(item, Input) and item.listed is not None


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


def _pages(item: Found, *, salvage: bool) -> Iterator[Found]:
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
        with _opened(item.source) as source, open_picture(source, salvage=salvage) as picture:
            count = picture.facts.pages
    except InputError:  # reported when its header is read
        count = 1
    if count == 1:
        yield item
        return
    for page in range(1, count + 1):
        yield replace(item, page=page)


def _read_headers(
    found: Sequence[Found], request: Request, model: OpenModel, rows: Mapping[str, Row]
) -> BatchPlan:
    """The batch as far as it is known from each input's header. `rows`: the ledger's."""
    wishes: list[tuple[Wish, Outlook | VideoOutlook | None]] = []
    refused: list[Outcome] = []
    left_out: list[Outcome] = []
    unsuited: list[OptionError] = []
    for item in found:
        name = _name(item)
        if isinstance(item, Unreadable):
            refused.append(failed(name, item.problem))
            continue
        outlook: Outlook | VideoOutlook | None = None
        try:
            if isinstance(item.source, File) and is_video_file(item.source.path):
                item, outlook = _video(item, item.source, request, model)
            elif isinstance(item.source, File | Member):  # others are read when their turn comes
                outlook = _forecast(item, item.source, request, model)
            elif item.listed is not None:
                raise MadeByEnlargeError(_listed_in(item.listed))
        except MadeByEnlargeError as reason:
            left_out.append(skipped(name, str(reason)))
        except (InputError, OptionError) as error:
            if isinstance(error, InputError) and item.listed is not None:
                left_out.append(skipped(name, _listed_in(item.listed)))
                continue
            refused.append(failed(name, str(error)))
            if isinstance(error, OptionError):
                unsuited.append(error)
        else:
            wishes.append((Wish(item, _ending(item, outlook, request, model)), outlook))
    if unsuited and not wishes:
        raise unsuited[0]  # an option that suits no picture is a wrong one
    if left_out and not wishes and not refused:
        where = ", ".join(map(str, request.sources))
        line = f"{where}: no pictures in this folder except {len(left_out)} made by enlarge"
        refused.append(failed(where, f"{line}; to enlarge those too, use a glob"))
    named = name_outputs([wish for wish, _ in wishes], request.target, rows)
    outlooks = [outlook for _, outlook in wishes]
    todo = tuple(map(PlannedPicture, named.jobs, outlooks))
    return BatchPlan(request, todo, (), tuple(refused), tuple(left_out), named.notes)


def _check_not_for_videos(source: File | Member, settings: Settings) -> None:
    """Raise `OptionError` for what only a video has."""
    if settings.format in CONTAINERS.values():
        raise OptionError(f"{source} is a picture, and {settings.format} is for videos")
    for name in ("start", "end", "at"):
        if getattr(settings, name) is not None:
            raise OptionError(f"--{name} is for videos, and {source} is a picture")


def _video(
    item: Input, source: File, request: Request, model: OpenModel
) -> tuple[Input, Outlook | VideoOutlook]:
    """A video, and its forecast; of one frame of it, if that is all that is wanted.

    Raises `InputError`, `OptionError` or `OutputError`, each of which names the video, or
    `MadeByEnlargeError` if a scan found it and enlarge made it.
    """
    from enlarge.video.outlook import forecast_video
    from enlarge.video.still import still_picture

    settings, target = request.settings, request.target
    try:
        if settings.at is not None:
            if settings.format in CONTAINERS.values():
                raise OptionError(f"--at gives a picture, and {settings.format} is for videos")
            with open_picture(still_picture(source.path, settings)) as picture:
                return item, plan_picture(picture.facts, settings, model)
        if not isinstance(target, File | Folder | None):
            where = "standard output" if isinstance(target, Stream) else str(target)
            raise OptionError(f"a video is written to a file or a folder, not to {where}")
        named = target.path if isinstance(target, File) else None
        outlook = forecast_video(source.path, settings, model, target=named)
    except (OptionError, OutputError) as error:
        raise type(error)(f"{source}: {error}") from error
    if item.scanned and outlook.facts.made is not None:
        raise MadeByEnlargeError(MADE)
    if item.listed is not None and item.listed.is_of(outlook.facts.width, outlook.facts.height):
        raise MadeByEnlargeError(_listed_in(item.listed))
    return replace(item, video=True), outlook


def _listed_in(listed: Listed) -> str:
    return f"{listed.ledger} lists it as a result"


def _ending(
    item: Input, outlook: Outlook | VideoOutlook | None, request: Request, model: OpenModel
) -> str:
    """What follows the name of an input in that of its result."""
    ending = request.suffix or ""
    if request.target is None and not isinstance(item.source, Remote | Stream):
        ending = request.ending(outlook, model.card.scale)
    if outlook is not None and item.video:
        return f"{ending}.{outlook.format}"
    if request.settings.at is not None:
        ending = f"_at{float(request.settings.at):.15g}{ending}"
    page = request.settings.page if item.page is None else item.page
    if isinstance(page, int):
        facts = None if outlook is None else outlook.facts
        ending = page_mark(page, 0 if facts is None else facts.pages) + ending
    return ending + FORMATS[request.settings.format or "png"].suffixes[0]


def _forecast(item: Input, source: File | Member, request: Request, model: OpenModel) -> Outlook:
    """The forecast from a picture's header.

    Raises `InputError`, or `OptionError` where a size or a crop does not suit the picture, or
    `OutputError`, which refuses the whole batch; each names the picture. Raises
    `MadeByEnlargeError` if a scan found it and enlarge made it.
    """
    settings = request.settings
    _check_not_for_videos(source, settings)
    if isinstance(request.target, Stream):
        settings = replace(settings, resume=False)
    if settings.all_pages:
        settings = replace(settings, page=item.page)
    page, salvage = settings.single_page, settings.salvage
    with _opened(source) as stream, open_picture(stream, page=page, salvage=salvage) as picture:
        facts = picture.facts
        if item.scanned and provenance_of(picture.metadata) is not None:
            raise MadeByEnlargeError(MADE)
        if item.listed is not None and item.listed.is_of(facts.width, facts.height):
            raise MadeByEnlargeError(_listed_in(item.listed))
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
            check_replaceable(state, row, wanted, str(job.source), place)
        may_replace = state in (State.STALE, State.CURRENT) or is_busy
        todo.append(replace(item, job=replace(job, replace=may_replace)))
    return replace(batch, todo=tuple(todo), kept=tuple(kept), failed=tuple(refused))


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
