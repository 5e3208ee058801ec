"""`enlarge fuse FRAMES…`: several frames of one scene fused into one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from enlarge.cli.options import (
    VERBOSE,
    build_settings,
    check_report,
    option,
    refuse_both,
    settings_options,
    whole,
)
from enlarge.cli.parameters import FLAT
from enlarge.errors import InputError, OptionError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from enlarge.fusing import FusedPicture
    from enlarge.media.writing import WriteOptions
    from enlarge.settings import Settings

_FRAMES, _RESULT = "Frames", "Result"
_MOST, _OF_A_VIDEO = 64, 25
"""How many frames are fused: of pictures at most, and of a video."""


@settings_options(
    "format", "quality", "engine", "precision", "device", "memory", "threads", "provenance"
)
class FuseArguments:
    """The options of `Settings` that a fusion takes."""


@dataclass(frozen=True, kw_only=True)
class FuseCommandOptions:
    """The other options of `enlarge fuse`."""

    region: Annotated[
        str | None,
        option(
            "Register and fuse only this rectangle, in pixels of the reference: what moves by "
            "itself, such as a car before a street, needs it (default: the whole frame).",
            group=_FRAMES,
            metavar="X,Y,W,H",
            allow_leading_hyphen=True,
        ),
    ] = None
    reference: Annotated[
        int | None,
        option(
            "The frame whose view the result has, counted from 1 (default: 1; of a video, the one "
            "at --at).",
            group=_FRAMES,
            metavar="N",
            converter=whole(1),
        ),
    ] = None
    at: Annotated[
        str | None,
        option(
            "Take the frames around this time of a video, and its view (needs enlarge[video]).",
            group=_FRAMES,
            metavar="TIME",
        ),
    ] = None
    frames: Annotated[
        int | None,
        option(
            "Of pictures: fuse this many at most, the sharpest (default: 64). Of a video: fuse "
            "this many (default: 25).",
            group=_FRAMES,
            metavar="N",
            converter=whole(2),
        ),
    ] = None
    fields: Annotated[
        bool,
        option(
            "The frames are interlaced: take each as two, of its even and its odd rows.",
            group=_FRAMES,
        ),
    ] = False
    scale: Annotated[
        float,
        option("Factor by which width and height grow (default: 4).", group=_RESULT, metavar="1-8"),
    ] = 4.0
    then: Annotated[
        str | None,
        option(
            "The model that enlarges what was fused, or none: then nothing in the result was "
            "learned from other pictures (default: photo).",
            group=_RESULT,
            metavar="MODEL|none",
        ),
    ] = None
    output: Annotated[
        Path | None,
        option(
            "The file for the result (default: FIRST_fused.png beside the first frame).",
            name=["--output", "-o"],
            group="Output",
            metavar="FILE",
        ),
    ] = None
    overwrite: Annotated[
        bool, option("Replace existing outputs, even if enlarge did not make them.", group="Output")
    ] = False
    report: Annotated[
        Path | None,
        option(
            "Write a report on every frame and on what was gained, as .json or .html.",
            group="Output",
            metavar="FILE",
        ),
    ] = None
    json: Annotated[bool, option("Print the report as one JSON document.")] = False
    verbose: Annotated[bool, option("Print a line for each frame.", name=VERBOSE)] = False
    quiet: Annotated[bool, option("Print errors only.")] = False


_OPTIONS, _SETTINGS = FuseCommandOptions(), FuseArguments()


def fuse(
    *frames: Annotated[
        str, Parameter(help="Pictures of one scene, folders or globs of them, or one video.")
    ],
    options: Annotated[FuseCommandOptions, FLAT] = _OPTIONS,
    settings: Annotated[FuseArguments, FLAT] = _SETTINGS,
) -> None:
    """Fuse several frames of one scene into one picture, with details that no single one has."""
    from enlarge.cli.progress import counting
    from enlarge.fusing import FuseSettings, fuse_with
    from enlarge.fusing.writing import write_fused
    from enlarge.picture.model import engine_options

    refuse_both(options.quiet, options.verbose)
    check_report(options.report)
    chosen = build_settings(settings)
    paths = _paths(frames)
    target = _target(paths, options)
    form = _form(target, chosen)
    given, reference = _frames(paths, options)
    wanted = FuseSettings(
        region=options.region,
        reference=reference,
        limit=options.frames or _MOST,
        fields=options.fields,
        scale=options.scale,
        then=options.then,
        memory=chosen.memory,
        engine=engine_options(chosen),
    )
    is_shown = not options.quiet and not options.json
    with counting(f"{len(given)} frames", shown=is_shown) as progress:
        made = fuse_with(wanted, given, progress=progress)
    write_fused(made, target, form, provenance=chosen.provenance, overwrite=options.overwrite)
    _write_report(made, options.report)
    _print(made, target, options)


def _frames(paths: Sequence[Path], options: FuseCommandOptions) -> tuple[Sequence[Any], int]:
    """The pictures, or the frames of a video; and the place of the reference among them, from 0.

    Raises `InputError` and `OptionError`.
    """
    from enlarge.checks import time_of_day
    from enlarge.media.naming import VIDEOS

    videos = [path for path in paths if path.suffix.lower() in VIDEOS]
    given: Sequence[Any] = paths
    reference = 0
    if videos:
        if len(paths) > 1:
            raise InputError(f"{videos[0]} is a video, and not the only input; expected it alone")
        if options.at is None:
            raise OptionError(f"{videos[0]} is a video; --at names the time, such as --at 00:01:12")
        from enlarge.fusing.video import frames_around

        at = time_of_day("--at", options.at)
        count = options.frames or _OF_A_VIDEO
        given, reference = frames_around(videos[0], at, count, fields=options.fields)
    elif options.at is not None:
        raise OptionError("--at takes a video, and the inputs are pictures")
    if options.reference is None:
        return given, reference
    if options.reference > len(given):
        raise OptionError(f"--reference {options.reference}: there are {len(given)} frames")
    return given, options.reference - 1


def _paths(frames: Sequence[str]) -> list[Path]:
    """The pictures that the arguments name, in their order. Raises `InputError`."""
    from enlarge.batch.inputs import Scan, Unreadable, find_inputs
    from enlarge.batch.locations import parse_source
    from enlarge.cli.console import STREAM, restore_hyphens

    if not frames:
        raise OptionError(
            "no frames are given; expected several pictures: enlarge fuse a.jpg b.jpg"
        )
    names = restore_hyphens(list(frames))
    if STREAM in names:
        raise OptionError("fuse reads picture files, and not standard input (-)")
    paths = []
    for found in find_inputs([parse_source(name) for name in names], Scan(None)):
        if isinstance(found, Unreadable):
            raise InputError(found.problem)
        path = getattr(found.source, "path", None)
        if not isinstance(path, Path) or hasattr(found.source, "member"):
            raise InputError(f"{found.source}: fuse reads picture files on this machine")
        paths.append(path)
    return paths


def _target(paths: Sequence[Path], options: FuseCommandOptions) -> Path:
    """Where the result goes. Raises `OutputError` before any work."""
    from enlarge.media.temporary import existing_output, shortened

    target = options.output
    if target is None:
        target = paths[0].with_name(shortened(paths[0].stem, "_fused.png"))
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; -o names a file, such as {target}/fused.png")
    if any(target.exists() and path.exists() and target.samefile(path) for path in paths):
        raise OutputError(f"the output {target} is one of the frames; choose another one")
    if target.exists() and not options.overwrite:
        raise existing_output(target)
    return target


def _form(target: Path, chosen: Settings) -> WriteOptions:
    """How the result is written. Raises `OptionError` before any work."""
    from enlarge.media.formats import FORMATS
    from enlarge.media.writing import WriteOptions
    from enlarge.picture.run import output_format

    name = output_format(target, chosen.format)
    if name not in FORMATS:
        raise OptionError(f"fuse writes a picture, and {name} is a format of videos")
    return WriteOptions(name, chosen.quality)


def _write_report(made: FusedPicture, target: Path | None) -> None:
    """Write the report. Raises `OutputError`."""
    from enlarge.cli.reports import write_report
    from enlarge.fusing.page import fusion_page

    if target is not None:
        write_report(target, made.report.document(), lambda: fusion_page(made))


def _print(made: FusedPicture, target: Path, options: FuseCommandOptions) -> None:
    """What was made of what."""
    from enlarge.cli.console import json_text, one_line, say

    report = made.report
    if options.json:
        say(json_text({"output": str(target), **report.document()}))
        return
    if options.quiet:
        return
    if options.verbose:
        for frame in report.frames:
            across, down = frame.shift
            about = f"moved {across:+.2f},{down:+.2f}  weight {frame.weight:.2f}"
            say(one_line(f"{frame.name}  {about if frame.used else 'not used: ' + frame.reason}"))
    else:
        for frame in report.rejected:
            say(one_line(f"{frame.name}  not used: {frame.reason}"))
    if options.verbose or report.flow or not report.gains:
        say(report.verdict)
    height, width = made.picture.shape[:2]
    say(one_line(f"{target}  {width}×{height}  {report.provenance}"))
