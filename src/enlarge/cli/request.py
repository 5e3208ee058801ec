"""What one invocation of the default command asks for, and whether that makes sense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from enlarge.batch.addresses import is_url
from enlarge.cli.console import STREAM
from enlarge.cli.invocation import Invocation
from enlarge.cli.options import check_report
from enlarge.cli.outputs import (
    check_wishes,
    is_archive,
    is_folder,
    output_folder,
    remote_folder,
)
from enlarge.errors import OptionError
from enlarge.media.formats import WRITABLE, ZOOMS, format_of
from enlarge.picture.run import output_format
from enlarge.settings import Settings


@dataclass(frozen=True)
class Request:
    """One invocation: its inputs, how pictures are made, and its other options."""

    inputs: Sequence[str]
    settings: Settings
    options: Invocation


def checked_format(request: Request) -> str:
    """The format of the outputs, once the options make sense alone and together.

    Raises `OptionError`.
    """
    check_wishes(
        request.options.output,
        suffix=request.options.suffix,
        count=len(request.inputs),
        json=request.options.json,
    )
    check_report(request.options.report)
    if request.options.watch:
        _check_watch(request)
    if request.options.cluster is not None:
        _check_cluster(request)
    if request.options.ledger is not None and (
        ledger_folder(request) is None or is_archive(str(request.options.output))
    ):
        raise OptionError("--ledger is about a folder of results; name it with -o FOLDER/")
    kind = _format(request)
    if request.settings.pyramid and (kind != "tiff" or request.options.output == STREAM):
        other = kind if kind != "tiff" else "-o -"
        raise OptionError(
            f"--pyramid and {other} contradict each other: only a .tif file holds one"
        )
    output = request.options.output
    if kind == "dzi" and output is not None and (is_archive(output) or is_url(output)):
        raise OptionError(
            f"--format dzi and -o {output} contradict each other: its tiles lie beside it; take "
            "szi, which holds them"
        )
    if kind in ZOOMS and request.options.output == STREAM:
        raise OptionError(f"{kind} is not written to standard output; use -o FILE.{kind}")
    if request.settings.quality is not None and WRITABLE[kind].quality is None:
        raise OptionError(
            f"--quality and {kind} contradict each other: {kind} loses nothing; leave out "
            "--quality, or choose jpg, webp or avif with --format or -o"
        )
    return kind


def _check_watch(request: Request) -> None:
    for name in ("dry_run", "json", "report"):
        if getattr(request.options, name):
            raise OptionError(
                f"--watch and --{name.replace('_', '-')} contradict each other: a watch has no end"
            )
    folders = [Path(name) for name in request.inputs]
    if not folders or not all(folder.is_dir() for folder in folders):
        raise OptionError("--watch watches folders; got " + (", ".join(request.inputs) or "none"))
    if output_folder(request.options.output) is None or is_archive(str(request.options.output)):
        raise OptionError("--watch needs a folder for the results: -o FOLDER/")


def _check_cluster(request: Request) -> None:
    if not request.options.cluster:
        raise OptionError("--cluster is empty; expected auto or HOST:PORT")
    for name in ("watch", "dry_run"):
        if getattr(request.options, name):
            raise OptionError(f"--cluster and --{name.replace('_', '-')} contradict each other")
    if STREAM in (*request.inputs, request.options.output):
        raise OptionError(
            "--cluster and - contradict each other: other machines do not have this one's streams"
        )


def ledger_folder(request: Request) -> Path | None:
    """The folder that holds the ledger of an invocation; None where there is none."""
    folder, remote = output_folder(request.options.output), remote_folder(request.options.output)
    if remote is None and (folder is None or request.options.ledger is None):
        return folder
    from enlarge.batch.ledger import ledger_home

    return ledger_home(str(remote or folder), request.options.ledger)


def _format(request: Request) -> str:
    output = request.options.output
    named = output is not None and output != STREAM and not is_folder(output)
    named = named and not is_archive(str(output))
    target = Path(str(output)) if named else None
    kind = output_format(target, request.settings.format)
    if target is not None and request.settings.format:
        try:
            other = format_of(target.suffix)
        except OptionError:
            return kind  # an extension that says nothing of pictures
        if other != kind:
            raise OptionError(
                f"--format {WRITABLE[kind].suffixes[0][1:]} and -o {target} contradict each other: "
                f"{target.suffix} means {other}; leave out --format, or change the name"
            )
    return kind


def default_suffix(request: Request, size: tuple[int, int] | None, factor: int) -> str:
    """What follows the stem of an output beside its input. `size`: the result's, where known."""
    if request.options.suffix is not None:
        return request.options.suffix
    crop = "_crop" if request.settings.crop else ""
    if request.settings.width or request.settings.height:
        assert size is not None
        return f"{crop}_{size[0]}x{size[1]}"
    return (
        f"{crop}_x{request.settings.scale if request.settings.scale is not None else factor:.15g}"
    )


__all__ = [
    "Request",
    "checked_format",
    "default_suffix",
    "is_folder",
    "ledger_folder",
]
