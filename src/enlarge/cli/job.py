"""What the default command does: inputs to outputs, and what is said of it."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from enlarge.batch.addresses import as_path
from enlarge.batch.jobs import STREAM, Job
from enlarge.batch.lanes import Room, side_by_side
from enlarge.batch.record import LEDGER
from enlarge.batch.worker import Busy, Kept, Recipe, enlarge_job
from enlarge.cli.console import FAILED, SOME_FAILED, describe_bug, say
from enlarge.cli.outputs import (
    is_archive,
    missing_folders,
    output_folder,
    remote_folder,
)
from enlarge.cli.planning import Failure, Plan, Planned, make_plan
from enlarge.cli.progress import bar, counting
from enlarge.cli.request import Request, checked_format, ledger_folder
from enlarge.cli.summary import Summary, source_name
from enlarge.digests import stream_digest
from enlarge.engines import find_placement
from enlarge.errors import (
    EngineError,
    EngineMemoryError,
    EnlargeError,
    OptionError,
    OutputError,
    WeightsError,
)
from enlarge.media.parts import count_parts, parts_folder, sweep_parts
from enlarge.media.temporary import sweep, temporary_name
from enlarge.memory import default_budget, resident, return_freed_memory
from enlarge.picture.budget import USABLE
from enlarge.picture.hooks import ProgressCallback
from enlarge.picture.run import Done
from enlarge.upscaler import Upscaler
from enlarge.weights.catalog import DEFAULT, find_weights
from enlarge.weights.files import Weights

if TYPE_CHECKING:
    from enlarge.batch.ledger import Ledger

__all__ = ["Request", "enlarge_all"]

_LARGE = 1 << 62
"""What standard input may take: nobody knows before it is read."""


def enlarge_all(request: Request) -> int:
    """Enlarge every input. Returns the exit status; one bad file does not stop the rest.

    Whatever can be refused is refused before any work, with an `EnlargeError`.
    """
    return_freed_memory()
    if request.options.output is not None:
        options = replace(request.options, output=as_path(request.options.output))
        request = replace(request, options=options)
    kind = checked_format(request)
    weights = _weights(request)
    find_placement(
        weights.path, weights.card, engine=request.settings.engine, device=request.settings.device
    )
    upscaler = Upscaler(
        weights,
        engine=request.settings.engine,
        device=request.settings.device,
        precision=request.settings.precision,
        threads=request.settings.threads,
    )
    recipe = recipe_of(request, kind)
    if request.options.watch:
        from enlarge.cli.watch import watch

        return watch(request, kind, upscaler, recipe)
    plan = make_plan(request, kind, upscaler, recipe)
    if request.options.dry_run:
        from enlarge.cli.dry_run import foretell

        return foretell(request, plan, upscaler, recipe)
    for place in {path.parent for job in plan.jobs() if (path := job.path) is not None}:
        sweep_parts(place)
    summary = Summary(request)
    summary.begin(plan)
    with contextlib.ExitStack() as stack:
        make_folder = stack.enter_context(folders_made())
        ledger = open_for(plan, request, make_folder, stack)
        do_all = run
        if request.options.cluster is not None:
            from enlarge.cli.clustered import run_on_cluster as do_all
        do_all(plan, upscaler, recipe, request, summary, ledger, make_folder)
        if (
            ledger is not None
            and request.options.output is not None
            and is_archive(request.options.output)
        ):
            _make_archive(Path(request.options.output), plan, summary, ledger, make_folder)
    return summary.end(FAILED, SOME_FAILED)


def recipe_of(request: Request, kind: str) -> Recipe:
    """How every picture of an invocation is made."""
    return Recipe(
        {
            "scale": request.settings.scale,
            "width": request.settings.width,
            "height": request.settings.height,
            "crop": request.settings.crop,
            "format": kind,
            "quality": request.settings.quality,
            "pyramid": request.settings.pyramid,
            "metadata": request.settings.metadata,
            "tile": request.settings.tile_text,
            "memory": request.settings.memory,
            "exact": request.settings.exact,
            "ensemble": request.settings.ensemble,
            "provenance": request.settings.provenance,
            "resume": request.settings.resume,
        },
        overwrite=request.options.overwrite,
    )


def _weights(request: Request) -> Weights:
    try:
        return find_weights(
            request.settings.model or DEFAULT,
            request.settings.scale,
            strength=request.settings.strength,
            quiet=request.options.quiet,
        )
    except WeightsError as error:
        if request.settings.model is None or Path(request.settings.model).exists():
            raise
        raise OptionError(f"--model: {error}") from error


def open_for(
    plan: Plan,
    request: Request,
    make_folder: Callable[[Path], None],
    stack: contextlib.ExitStack,
) -> Ledger | None:
    """The ledger of an output folder; None without one, or where there is nothing to write down."""
    folder = ledger_folder(request)
    with_files = any(item.job.source != STREAM for item in plan.todo) or bool(plan.kept)
    if folder is None or not with_files:
        return None
    from enlarge.batch.ledger import Ledger

    is_new = not (folder / LEDGER).exists()
    make_folder(folder)
    make_folder((folder / LEDGER).parent)
    results = remote_folder(request.options.output) or output_folder(request.options.output)
    ledger = stack.enter_context(Ledger(folder, results))
    if is_new:
        stack.callback(ledger.discard_if_empty)
    return ledger


def run(
    plan: Plan,
    upscaler: Upscaler,
    recipe: Recipe,
    request: Request,
    summary: Summary,
    ledger: Ledger | None,
    make_folder: Callable[[Path], None],
) -> None:
    """Do what is to be done, several pictures side by side, and tell the summary of each.

    Raises what would be the same for every picture, before the first one is done.
    """
    sweep_targets(plan)
    cancel = threading.Event()
    is_shown = not request.options.quiet and not request.options.json
    if len(plan.todo) == 1:
        label = Path(source_name(plan.todo[0].job)).name
        with bar(label, shown=is_shown) as progress:
            do = _worker(plan, upscaler, recipe, progress, ledger, make_folder, cancel)
            consume(plan.todo, do, cancel, summary, request)
        return
    with counting(f"{len(plan.todo)} pictures", shown=is_shown) as count:
        do = _worker(plan, upscaler, recipe, None, ledger, make_folder, cancel)
        consume(plan.todo, do, cancel, summary, request, count)


def sweep_targets(plan: Plan) -> None:
    """Remove what dead processes of this host left where results are to lie."""
    for folder in {path.parent for item in plan.todo if (path := item.job.path) is not None}:
        sweep(folder)


def settings_of(planned: Planned, upscaler: Upscaler, recipe: Recipe) -> str:
    """What the ledger holds of how a picture is made; nothing of standard input."""
    if planned.job.source == STREAM:
        return ""
    return recipe.settings(upscaler, None if planned.facts is None else planned.facts.dtype)


class Do(Protocol):
    """Does one picture; `wait`: also where another process is at it."""

    def __call__(self, planned: Planned, *, wait: bool) -> Done | Kept | Busy:
        """See `enlarge_job`."""


def _worker(
    plan: Plan,
    upscaler: Upscaler,
    recipe: Recipe,
    progress: ProgressCallback | None,
    ledger: Ledger | None,
    make_folder: Callable[[Path], None],
    cancel: threading.Event,
) -> Do:
    """What does one picture within the room that all of them share."""
    budget = recipe.options["memory"]
    size = default_budget() if budget is None else budget
    rooms: list[Room] = []
    lock = threading.Lock()

    def room() -> Room:
        with lock:  # made when the engine is there, which is a part of what is held
            if not rooms:
                rooms.append(Room(int(size * USABLE) - resident()))
            return rooms[0]

    def do(planned: Planned, *, wait: bool) -> Done | Kept | Busy:
        job = planned.job
        settings = settings_of(planned, upscaler, recipe) if ledger is not None else ""
        need = _LARGE
        if planned.outlook is not None and len(plan.todo) > 1:
            need = planned.outlook.best_bytes
        with room().taken(need):
            if (path := job.path) is not None:
                make_folder(path.parent)
            return enlarge_job(
                job,
                upscaler,
                recipe,
                ledger=ledger,
                settings=settings,
                progress=progress,
                cancel=cancel,
                wait=wait,
            )

    return do


def consume(
    todo: Sequence[Planned],
    do: Do,
    cancel: threading.Event,
    summary: Summary,
    request: Request,
    count: Callable[[int, int], None] | None = None,
    lanes: int | None = None,
) -> None:
    """Each outcome to the summary. What other processes are doing is looked at again at the end."""
    total = sum(weight(planned) for planned in todo)
    passed = 0
    left = list(todo)
    for wait in (False, True):
        busy: list[Planned] = []
        results = side_by_side(left, partial(do, wait=wait), cancel, lanes)
        with contextlib.closing(results):
            try:
                for planned, result in results:
                    if isinstance(result, Busy):
                        busy.append(planned)
                        continue
                    _tell(planned, result, summary, request)
                    passed += weight(planned)
                    if count is not None:
                        count(passed, total)
            except KeyboardInterrupt:
                results.close()  # waits for what is at work
                for planned in todo:
                    _remove_temporary(planned.job)
                    _tell_parts(planned.job)
                raise
        left = busy


def weight(planned: Planned) -> int:
    """A picture's share of the work: the pixels that it gives."""
    return planned.outlook.width * planned.outlook.height if planned.outlook else 1


def _tell(
    planned: Planned, result: Done | Kept | Exception, summary: Summary, request: Request
) -> None:
    if isinstance(result, Done):
        summary.done(planned.job, result)
    elif isinstance(result, Kept):
        summary.kept(planned, result)
    else:
        common = isinstance(result, OptionError | WeightsError | EngineError)
        if common and not summary.works and not isinstance(result, EngineMemoryError):
            raise result  # it would be the same for every picture
        line = _line(result, planned.job, verbose=request.options.verbose)
        summary.failed(Failure(planned.job.source, line))


def _make_archive(
    target: Path,
    plan: Plan,
    summary: Summary,
    ledger: Ledger,
    make_folder: Callable[[Path], None],
) -> None:
    """Put what was made into the zip, and remove its parts where nothing is missing and nobody else
    works with them.
    """
    from enlarge.batch.archive import remove_staging, write_archive

    jobs = [job for job in plan.jobs() if (path := job.path) is not None and path.is_file()]
    made = set(summary.targets)
    jobs = [job for job in jobs if job.target in made]
    if not jobs:
        return
    make_folder(target.parent)
    sweep(target.parent)

    def seal(file: BinaryIO) -> None:
        ledger.seal_archive(target.name, stream_digest(file))

    write_archive(target, [(job.name, Path(job.target)) for job in jobs], seal=seal)
    summary.archived(target, len(jobs), parts=ledger.folder)
    if not summary.failures and not ledger.others():
        ledger.close()
        remove_staging(ledger.folder, [Path(job.target) for job in jobs])


@contextlib.contextmanager
def folders_made() -> Iterator[Callable[[Path], None]]:
    """A function that makes a folder with its parents; those that stay empty are removed again."""
    made: list[Path] = []

    def make(folder: Path) -> None:
        missing = missing_folders(folder)
        try:
            for part in missing:
                part.mkdir(exist_ok=True)
                made.append(part)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error

    try:
        yield make
    finally:
        for folder in sorted(made, key=lambda folder: -len(folder.parts)):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _remove_temporary(job: Job) -> None:
    """Remove what an interrupt left that came before the file had an owner to clean up."""
    if (path := job.path) is not None:
        path = path.resolve() if path.is_symlink() else path
        path.with_name(temporary_name(path.name)).unlink(missing_ok=True)


def _tell_parts(job: Job) -> None:
    """Say what an interrupt leaves of a large picture."""
    path = job.path
    if path is not None and (count := count_parts(path)):
        say(
            f"enlarge: {parts_folder(path)} keeps {count} finished band{'s' * (count != 1)}; the "
            "same command goes on there",
            sys.stderr,
        )


def _line(error: Exception, job: Job, *, verbose: bool) -> str:
    """One line about a failed input, which names it."""
    name = source_name(job)
    if isinstance(error, EnlargeError):
        text = str(error)
        return text if name in text or job.target in text else f"{name}: {text}"
    if isinstance(error, MemoryError):
        return f"{name}: the machine's memory is used up; try --memory, or a smaller --tile"
    return f"{name}: {describe_bug(error, verbose=verbose)}"
