"""The command line of the default command, parsed and checked as far as it goes without files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from enlarge.batch.jobs import PictureJob
from enlarge.batch.locations import (
    File,
    Folder,
    RemoteFolder,
    Stream,
    Target,
    Zip,
    parse_source,
    parse_target,
)
from enlarge.batch.outputs import check_result_names
from enlarge.batch.plan import Request
from enlarge.batch.remote import Remote
from enlarge.cli.invocation import Invocation
from enlarge.cli.options import check_report
from enlarge.errors import InputError, OptionError
from enlarge.media.formats import CONTAINERS, FORMATS, WRITERS
from enlarge.picture.run import output_format
from enlarge.settings import Settings


def make_request(inputs: Sequence[str], settings: Settings, options: Invocation) -> Request:
    """The request of a command line. Raises `OptionError` for options that contradict each other or
    the inputs, and `OutputError` for a place that takes no results.
    """
    target = None if options.output is None else parse_target(options.output)
    request = Request(
        tuple(map(parse_source, inputs)),
        settings,
        target,
        suffix=options.suffix,
        overwrite=options.overwrite,
        ledger=options.ledger,
    )
    check_result_names(target, suffix=options.suffix, count=len(inputs))
    if options.json and isinstance(target, Stream):
        raise OptionError("--json and -o - both go to standard output; use -o FILE")
    check_report(options.report)
    if options.watch:
        _check_watch(request, options)
    if options.cluster is not None:
        _check_cluster(request, options)
    if options.ledger is not None and not isinstance(target, Folder | RemoteFolder):
        raise OptionError("--ledger needs a folder of results: -o FOLDER/")
    request = replace(request, settings=replace(settings, format=_format(settings, target)))
    _check_format(request.settings, target)
    return request


def check_streams(jobs: Sequence[PictureJob], options: Invocation) -> None:
    """Raise `InputError` or `OptionError` for standard streams that cannot be used."""
    has_input = any(isinstance(job.source, Stream) for job in jobs)
    if has_input and (sys.stdin is None or sys.stdin.isatty()):
        raise InputError("-: expected a picture on standard input, for example: < photo.jpg")
    if not any(isinstance(job.target, Stream) for job in jobs):
        return
    if len(jobs) > 1:
        raise OptionError("standard output takes one picture; choose a folder with -o")
    if options.json:
        raise OptionError("--json and a picture both go to standard output; use -o FILE")
    if sys.stdout is None:
        raise OptionError("standard output is closed; use -o FILE")
    if sys.stdout.isatty():
        raise OptionError("a picture would go to the terminal; redirect it, or use -o FILE")


def _check_watch(request: Request, options: Invocation) -> None:
    for name in ("dry_run", "json", "report"):
        if getattr(options, name):
            raise OptionError(
                f"--watch and --{name.replace('_', '-')} contradict each other: "
                "--watch does not end"
            )
    sources = request.sources
    if not sources or not all(isinstance(source, Folder) for source in sources):
        names = ", ".join(map(str, sources)) or "none"
        raise OptionError(f"--watch takes folders; got {names}")
    if not isinstance(request.target, Folder):
        raise OptionError("--watch needs a folder for the results: -o FOLDER/")


def _check_cluster(request: Request, options: Invocation) -> None:
    if not options.cluster:
        raise OptionError("--cluster is empty; expected auto or HOST:PORT")
    for name in ("watch", "dry_run"):
        if getattr(options, name):
            raise OptionError(f"--cluster and --{name.replace('_', '-')} contradict each other")
    if any(isinstance(place, Stream) for place in (*request.sources, request.target)):
        raise OptionError(
            "--cluster and - contradict each other: other machines cannot use this machine's "
            "standard streams"
        )


def _format(settings: Settings, target: Target | None) -> str:
    """The format of the results: as named, else by the target's extension, else PNG."""
    named = None
    if isinstance(target, File):
        named = target.path
    elif isinstance(target, Remote):
        named = Path(target.url)
    kind = output_format(named, settings.format)
    if named is not None and settings.format:
        try:
            other = output_format(named, None)
        except OptionError:
            return kind  # an extension that is not a format's
        if other != kind:
            raise OptionError(
                f"--format {_suffix(kind)} and -o {target} contradict each other: "
                f"{named.suffix} means {other}; omit --format, or change the name"
            )
    return kind


def _suffix(kind: str) -> str:
    return kind if kind in CONTAINERS else FORMATS[kind].suffixes[0][1:]


def _check_format(settings: Settings, target: Target | None) -> None:
    """Raise `OptionError` for a format that contradicts the target or other options."""
    kind = settings.format or "png"
    if kind in CONTAINERS:
        return
    writer = WRITERS[kind]
    if settings.pyramid and (writer.pyramid_memory is None or isinstance(target, Stream)):
        other = kind if writer.pyramid_memory is None else "-o -"
        raise OptionError(
            f"--pyramid and {other} contradict each other: only a .tif file can hold a pyramid"
        )
    if not writer.single_file and isinstance(target, Zip | Remote | RemoteFolder):
        raise OptionError(
            f"--format {kind} and -o {target} contradict each other: its tiles are separate files; "
            "use szi, which is one file"
        )
    if not writer.to_stream and isinstance(target, Stream):
        raise OptionError(f"{kind} cannot be written to standard output; use -o FILE.{kind}")
    if settings.quality is not None and writer.quality is None:
        raise OptionError(
            f"--quality and {kind} contradict each other: {kind} is lossless; omit "
            "--quality, or choose jpg, webp or avif with --format or -o"
        )
