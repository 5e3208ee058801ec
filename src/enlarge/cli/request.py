"""What one invocation of the default command asks for, and whether that makes sense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from enlarge.batch.addresses import is_url
from enlarge.cli.console import STREAM
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
from enlarge.memory import parse_size
from enlarge.upscaler import output_format

MOST_SCALE = 16


@dataclass(frozen=True)
class Request:
    """The options of one invocation, by their names on the command line."""

    inputs: Sequence[str]
    output: str | None
    model: str | None
    strength: float | None
    scale: float | None
    width: int | None
    height: int | None
    crop: tuple[int, int, int, int] | None
    engine: str
    device: str
    precision: str
    exact: bool
    ensemble: bool
    memory: str | None
    tile: str
    threads: int
    cluster: str | None
    ledger: Path | None
    format: str | None
    quality: int | None
    pyramid: bool
    resume: bool
    metadata: str
    provenance: bool
    suffix: str | None
    overwrite: bool
    dry_run: bool
    watch: bool
    report: Path | None
    json: bool
    verbose: bool
    quiet: bool


def checked_format(request: Request) -> str:
    """The format of the outputs, once the options make sense alone and together.

    Raises `OptionError`.
    """
    if request.scale is not None and not 1 <= request.scale <= MOST_SCALE:
        raise OptionError(f"--scale must lie between 1 and {MOST_SCALE}, got {request.scale:g}")
    if request.strength is not None and not 0 <= request.strength <= 1:
        raise OptionError(
            f"--strength must lie between 0 (photo) and 1 (photo-sharp), got {request.strength:g}"
        )
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
    check_report(request.report)
    if request.watch:
        _check_watch(request)
    if request.cluster is not None:
        _check_cluster(request)
    if request.ledger is not None and (
        ledger_folder(request) is None or is_archive(str(request.output))
    ):
        raise OptionError("--ledger is about a folder of results; name it with -o FOLDER/")
    kind = _format(request)
    if request.pyramid and (kind != "tiff" or request.output == STREAM):
        other = kind if kind != "tiff" else "-o -"
        raise OptionError(
            f"--pyramid and {other} contradict each other: only a .tif file holds one"
        )
    output = request.output
    if kind == "dzi" and output is not None and (is_archive(output) or is_url(output)):
        raise OptionError(
            f"--format dzi and -o {output} contradict each other: its tiles lie beside it; take "
            "szi, which holds them"
        )
    if kind in ZOOMS and request.output == STREAM:
        raise OptionError(f"{kind} is not written to standard output; use -o FILE.{kind}")
    if request.quality is not None:
        if request.quality > 100:
            raise OptionError(f"--quality must lie between 1 and 100, got {request.quality}")
        if WRITABLE[kind].quality is None:
            raise OptionError(
                f"--quality and {kind} contradict each other: {kind} loses nothing; leave out "
                "--quality, or choose jpg, webp or avif with --format or -o"
            )
    return kind


def _check_watch(request: Request) -> None:
    for name in ("dry_run", "json", "report"):
        if getattr(request, name):
            raise OptionError(
                f"--watch and --{name.replace('_', '-')} contradict each other: a watch has no end"
            )
    folders = [Path(name) for name in request.inputs]
    if not folders or not all(folder.is_dir() for folder in folders):
        raise OptionError("--watch watches folders; got " + (", ".join(request.inputs) or "none"))
    if output_folder(request.output) is None or is_archive(str(request.output)):
        raise OptionError("--watch needs a folder for the results: -o FOLDER/")


def _check_cluster(request: Request) -> None:
    if not request.cluster:
        raise OptionError("--cluster is empty; expected auto or HOST:PORT")
    for name in ("watch", "dry_run"):
        if getattr(request, name):
            raise OptionError(f"--cluster and --{name.replace('_', '-')} contradict each other")
    if STREAM in (*request.inputs, request.output):
        raise OptionError(
            "--cluster and - contradict each other: other machines do not have this one's streams"
        )


def ledger_folder(request: Request) -> Path | None:
    """The folder that holds the ledger of an invocation; None where there is none."""
    folder, remote = output_folder(request.output), remote_folder(request.output)
    if remote is None and (folder is None or request.ledger is None):
        return folder
    from enlarge.batch.ledger import ledger_home

    return ledger_home(str(remote or folder), request.ledger)


def _format(request: Request) -> str:
    output = request.output
    named = output is not None and output != STREAM and not is_folder(output)
    named = named and not is_archive(str(output))
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


def default_suffix(request: Request, size: tuple[int, int] | None, factor: int) -> str:
    """What follows the stem of an output beside its input. `size`: the result's, where known."""
    if request.suffix is not None:
        return request.suffix
    crop = "_crop" if request.crop else ""
    if request.width or request.height:
        assert size is not None
        return f"{crop}_{size[0]}x{size[1]}"
    return f"{crop}_x{request.scale if request.scale is not None else factor:.15g}"


__all__ = [
    "MOST_SCALE",
    "Request",
    "checked_format",
    "default_suffix",
    "is_folder",
    "ledger_folder",
]
