"""What the default command does: inputs to outputs, one after the other, and what is said of it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from enlarge.cli import FAILED, SOME_FAILED, STREAM, bug, say
from enlarge.cli.inputs import Found, find_inputs
from enlarge.cli.outputs import (
    Job,
    check_outputs,
    check_wishes,
    is_folder,
    missing_folders,
    name_output,
)
from enlarge.cli.progress import bar
from enlarge.errors import (
    EngineError,
    EnlargeError,
    InputError,
    OptionError,
    OutputError,
    WeightsError,
)
from enlarge.media.formats import FORMATS, format_of
from enlarge.media.reading import open_picture
from enlarge.media.temporary import sweep, temporary_name
from enlarge.memory import format_size, parse_size
from enlarge.upscaler import Done, Forecast, Upscaler, check_disk, forecast, output_format
from enlarge.weights.catalog import DEFAULT, Weights, find_weights

TYPICAL = 0.3
"""A file's usual share of the most that it can take (photographs as PNG: 0.1 to 0.3, measured in
media.writing). Of a batch only the largest result is reckoned in full: a disk that fills up later
costs one picture, a wrong refusal the batch."""
MOST_SCALE = 16


@dataclass(frozen=True)
class Request:
    """The options of one invocation, by their names on the command line."""

    inputs: Sequence[str]
    output: str | None
    model: str | None
    scale: float | None
    width: int | None
    height: int | None
    crop: tuple[int, int, int, int] | None
    engine: str
    precision: str
    exact: bool
    memory: str | None
    tile: str
    threads: int
    format: str | None
    quality: int | None
    metadata: str
    suffix: str | None
    overwrite: bool
    json: bool
    verbose: bool
    quiet: bool


@dataclass(frozen=True)
class Failure:
    """An input that gave nothing, and the line that says why."""

    source: str
    line: str


def enlarge_all(request: Request) -> int:
    """Enlarge every input. Returns the exit status; one bad file does not stop the rest.

    Whatever can be refused is refused before any work, with an `EnlargeError`.
    """
    kind = _checked(request)
    weights = _weights(request)
    jobs, failed = _plan(request, kind, weights.card.scale)
    for failure in failed:
        say(f"enlarge: {failure.line}", sys.stderr)
    for folder in {path.parent for job in jobs if (path := job.path) is not None}:
        sweep(folder)
    upscaler = Upscaler(
        weights, engine=request.engine, precision=request.precision, threads=request.threads
    )
    done: list[tuple[Job, Done]] = []
    with _folders_made() as make_folder:
        for number, job in enumerate(jobs, start=1):
            label = f"{number}/{len(jobs)} " if len(jobs) > 1 else ""
            try:
                if (path := job.path) is not None:
                    make_folder(path.parent)
                result = _enlarge(upscaler, job, request, kind, label)
            except Exception as error:
                if not done and isinstance(error, OptionError | WeightsError | EngineError):
                    raise  # it would be the same for every picture
                failed.append(Failure(job.source, _line(error, job, verbose=request.verbose)))
                say(f"enlarge: {failed[-1].line}", sys.stderr)
                continue
            except KeyboardInterrupt:
                _remove_temporary(job)
                raise
            done.append((job, result))
            _report(job, result, request)
    if request.json:
        _report_json(done, failed)
    elif failed and len(failed) + len(done) > 1:
        say(f"enlarge: {len(failed)} of {len(failed) + len(done)} inputs failed", sys.stderr)
    return 0 if not failed else SOME_FAILED if done else FAILED


def default_suffix(request: Request, size: tuple[int, int] | None, factor: int) -> str:
    """What follows the stem of an output beside its input. `size`: the result's, where known."""
    if request.suffix is not None:
        return request.suffix
    crop = "_crop" if request.crop else ""
    if request.width or request.height:
        assert size is not None
        return f"{crop}_{size[0]}x{size[1]}"
    return f"{crop}_x{request.scale if request.scale is not None else factor:.15g}"


def _checked(request: Request) -> str:
    """The format of the outputs, once the options make sense alone and together."""
    if request.scale is not None and not 1 <= request.scale <= MOST_SCALE:
        raise OptionError(f"--scale must lie between 1 and {MOST_SCALE}, got {request.scale:g}")
    for name in ("width", "height"):
        if request.scale is not None and getattr(request, name) is not None:
            raise OptionError(f"--scale and --{name} contradict each other; give one of them")
    if request.memory is not None:
        parse_size(request.memory)
    if request.tile != "auto" and not (request.tile.isdecimal() and int(request.tile)):
        raise OptionError(f"--tile must be auto or a side in input pixels, got {request.tile!r}")
    check_wishes(
        request.output,
        suffix=request.suffix,
        count=len(request.inputs),
        json=request.json,
    )
    kind = _format(request)
    if request.quality is not None:
        if request.quality > 100:
            raise OptionError(f"--quality must lie between 1 and 100, got {request.quality}")
        if FORMATS[kind].quality is None:
            raise OptionError(
                f"--quality and {kind} contradict each other: {kind} loses nothing; leave out "
                "--quality, or choose jpg, webp or avif with --format or -o"
            )
    return kind


def _format(request: Request) -> str:
    output = request.output
    named = output is not None and output != STREAM and not is_folder(output)
    target = Path(str(output)) if named else None
    kind = output_format(target, request.format)
    if target is not None and request.format:
        try:
            other = format_of(target.suffix)
        except OptionError:
            return kind  # an extension that says nothing of pictures
        if other != kind:
            raise OptionError(
                f"--format {request.format} and -o {target} contradict each other: "
                f"{target.suffix} means {other}; leave out --format, or change the name"
            )
    return kind


def _weights(request: Request) -> Weights:
    try:
        return find_weights(request.model or DEFAULT, request.scale)
    except WeightsError as error:
        if request.model is None or Path(request.model).exists():
            raise
        raise OptionError(f"--model: {error}") from error


def _plan(request: Request, kind: str, factor: int) -> tuple[list[Job], list[Failure]]:
    """The jobs, checked as far as names, headers and disks tell, and the inputs that give none."""
    output = request.output
    folder = Path(output) if output is not None and is_folder(output) else None
    mark = "" if request.width or request.height else default_suffix(request, None, factor)
    found = find_inputs(request.inputs, folder=folder, suffix=mark)
    check_wishes(output, suffix=request.suffix, count=len(found), json=request.json)
    jobs: list[Job] = []
    failed: list[Failure] = []
    sizes: list[tuple[Path, Forecast]] = []
    for item in found:
        if item.problem:
            failed.append(Failure(item.path, item.problem))
            continue
        try:
            outlook = _look(item, request, kind, factor)
        except InputError as error:
            failed.append(Failure(item.path, str(error)))
            continue
        suffix = request.suffix or ""
        if output is None and item.path != STREAM:
            size = (outlook.width, outlook.height) if outlook else None
            suffix = default_suffix(request, size, factor)
        extension = FORMATS[kind].suffixes[0]
        jobs.append(name_output(item, output, suffix=suffix, extension=extension))
        path = jobs[-1].path
        if outlook is not None and path is not None:
            sizes.append((path.parent, outlook))
    check_outputs(jobs, [item.path for item in found], overwrite=request.overwrite)
    _check_streams(jobs, request)
    _check_disks(sizes)
    return jobs, failed


def _look(item: Found, request: Request, kind: str, factor: int) -> Forecast | None:
    """What the header tells; None for standard input, which is read once, when its turn comes.

    Raises `InputError`; or what refuses the whole invocation, naming the picture.
    """
    if item.path == STREAM:
        return None
    with open_picture(Path(item.path)) as picture:
        facts = picture.facts
    try:
        return forecast(
            facts,
            kind,
            factor=factor,
            scale=request.scale,
            width=request.width,
            height=request.height,
            crop=request.crop,
        )
    except (OptionError, OutputError) as error:
        raise type(error)(f"{item.path}: {error}") from error


def _check_streams(jobs: Sequence[Job], request: Request) -> None:
    if any(job.source == STREAM for job in jobs) and (sys.stdin is None or sys.stdin.isatty()):
        raise InputError("-: expected a picture on standard input, for example: < photo.jpg")
    if not any(job.target == STREAM for job in jobs):
        return
    if len(jobs) > 1:
        raise OptionError("standard output takes one picture; name a folder with -o")
    if request.json:
        raise OptionError("--json and a picture both go to standard output; use -o FILE")
    if sys.stdout is None:
        raise OptionError("standard output is closed; use -o FILE")
    if sys.stdout.isatty():
        raise OptionError("a picture would go to the terminal; redirect it, or use -o FILE")


def _check_disks(sizes: Sequence[tuple[Path, Forecast]]) -> None:
    ordered = sorted(sizes, key=lambda pair: -pair[1].file_bytes)
    shares = [1.0] + [TYPICAL] * len(ordered)
    needs = [
        (folder, int(outlook.file_bytes * share))
        for (folder, outlook), share in zip(ordered, shares, strict=False)
    ]
    check_disk(needs)


@contextlib.contextmanager
def _folders_made() -> Iterator[Any]:
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
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _enlarge(upscaler: Upscaler, job: Job, request: Request, kind: str, label: str) -> Done:
    source: Path | BinaryIO = sys.stdin.buffer if job.source == STREAM else Path(job.source)
    target: Path | BinaryIO = sys.stdout.buffer if job.path is None else job.path
    with bar(
        label + Path(_source_name(job)).name, shown=not request.quiet and not request.json
    ) as progress:
        return upscaler.upscale_file(
            source,
            target,
            scale=request.scale,
            width=request.width,
            height=request.height,
            crop=request.crop,
            format=kind,
            quality=request.quality,
            metadata=request.metadata,  # type: ignore[arg-type]
            tile=request.tile,
            memory=request.memory,
            exact=request.exact,
            overwrite=request.overwrite,
            progress=progress,
        )


def _source_name(job: Job) -> str:
    return "standard input" if job.source == STREAM else job.source


def _remove_temporary(job: Job) -> None:
    """Remove what an interrupt left that came before the file had an owner to clean up."""
    if (path := job.path) is not None:
        path = path.resolve() if path.is_symlink() else path
        path.with_name(temporary_name(path.name)).unlink(missing_ok=True)


def _line(error: Exception, job: Job, *, verbose: bool) -> str:
    """One line about a failed input, which names it."""
    name = _source_name(job)
    if isinstance(error, EnlargeError):
        text = str(error)
        return text if name in text or job.target in text else f"{name}: {text}"
    if isinstance(error, MemoryError):
        return f"{name}: the machine's memory is used up; try --memory, or a smaller --tile"
    return f"{name}: {bug(error, verbose=verbose)}"


def _report(job: Job, done: Done, request: Request) -> None:
    if request.quiet or request.json:
        return
    for note in done.notes:
        say(f"enlarge: {_source_name(job)}: {note}", sys.stderr)
    stream = sys.stderr if job.path is None else sys.stdout
    memory = f", {format_size(done.peak_memory)} peak memory" if done.peak_memory else ""
    name = "standard output" if job.path is None else done.output
    say(f"{name}  {done.width}×{done.height}, {done.seconds:.1f} s{memory}", stream)
    if request.verbose:
        stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in done.stages.items())
        say(
            f"  {done.model} on {done.engine} in {done.precision}, {done.tiles} tiles of "
            f"{done.tile[0]}×{done.tile[1]}; {stages}",
            stream,
        )


def _report_json(done: Sequence[tuple[Job, Done]], failed: Sequence[Failure]) -> None:
    document = {
        "results": [{"input": job.source} | asdict(result) for job, result in done],
        "failed": [{"input": failure.source, "error": failure.line} for failure in failed],
    }
    error = say(json.dumps(document, ensure_ascii=False, indent=2))
    if error is not None:
        raise OutputError(f"standard output: cannot be written: {error.strerror}")
