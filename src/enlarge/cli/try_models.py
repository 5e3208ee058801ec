"""`enlarge try PICTURE`: one sheet of a part of a picture by every model at hand."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from enlarge.cli.options import (
    VERBOSE,
    build_settings,
    option,
    refuse_both,
    settings_options,
    whole,
)
from enlarge.cli.parameters import FLAT
from enlarge.errors import EnlargeError, OptionError, OutputError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from enlarge.model_file import Weights
    from enlarge.trying.part import Part
    from enlarge.trying.results import Tried


@settings_options("crop", "engine", "device", "precision", "threads")
class TryArguments:
    """The options of `Settings` that a trial takes."""


@dataclass(frozen=True, kw_only=True)
class TryOptions:
    """The other options of `enlarge try`."""

    model: Annotated[
        list[str] | None,
        option(
            "Try these models: names or paths (default: all that have a name).",
            metavar="MODEL...",
            consume_multiple=True,
        ),
    ] = None
    scale: Annotated[
        int,
        option(
            "Try the models that enlarge by this factor (default: 4).",
            metavar="N",
            converter=whole(1),
        ),
    ] = 4
    limit: Annotated[
        int,
        option(
            "Skip models that would take longer than this for the part (default: 0, none).",
            metavar="SECONDS",
            converter=whole(0),
        ),
    ] = 0
    page: Annotated[
        int | None,
        option(
            "Which page or frame of the file to take, counted from 1.",
            metavar="N",
            converter=whole(1),
        ),
    ] = None
    output: Annotated[
        Path | None,
        option(
            "Folder for NAME_try.png and NAME_try.html (default: that of the picture).",
            name=["--output", "-o"],
            metavar="FOLDER",
        ),
    ] = None
    overwrite: Annotated[bool, option("Replace existing outputs.")] = False
    json: Annotated[bool, option("Print one JSON document.")] = False
    verbose: Annotated[
        bool, option("Print what each model was trained on, and its licence.", name=VERBOSE)
    ] = False
    quiet: Annotated[bool, option("Print errors only.")] = False


_OPTIONS, _SETTINGS = TryOptions(), TryArguments()


def try_models(
    picture: Annotated[Path, Parameter(help="A picture.")],
    /,
    *,
    options: Annotated[TryOptions, FLAT] = _OPTIONS,
    settings: Annotated[TryArguments, FLAT] = _SETTINGS,
) -> None:
    """Enlarge a part of a picture by every model at hand, on one sheet (PNG and HTML).

    The part is given by --crop, or is the one with the most detail.
    """
    from enlarge.picture.model import engine_options
    from enlarge.trying.part import Region, cut_part
    from enlarge.trying.results import Trials, at_hand, without_model
    from enlarge.weights.catalog import find_weights

    refuse_both(options.quiet, options.verbose)
    targets = _targets(picture, options)
    chosen = build_settings(settings)
    quiet = options.quiet or options.json
    named = [find_weights(name, quiet=quiet) for name in options.model or ()]
    found = at_hand(named or _listed(), options.scale)
    calls = dict(zip((weights.path for weights in named), options.model or (), strict=True))
    region = Region(*chosen.crop) if chosen.crop else None
    part = cut_part(picture, region, page=options.page)
    trials = Trials(part, options.scale, engine_options(chosen), options.limit)
    for note in part.notes:
        _tell(f"{picture}: {note}", quiet)
    results, left_out = [without_model(part, options.scale)], []
    for weights in found:
        result = _tried(trials, weights, quiet)
        if isinstance(result, str):
            left_out.append(result)
        else:
            results.append(replace(result, call=calls.get(weights.path, result.call)))
            _print(result, options)
    if len(results) == 1:
        raise WeightsError(f"no model could be tried: {'; '.join(left_out)}")
    _write(picture, part, options.scale, results, targets)
    _report(part, results, left_out, targets, options)


def _listed() -> list[Weights]:
    """All models that have a name."""
    from enlarge.weights.catalog import list_weights
    from enlarge.weights.installed import list_pairs

    own = list_weights()
    names = {weights.path.stem for weights in own}
    return own + [weights for weights in list_pairs() if weights.path.stem not in names]


def _tried(trials: Any, weights: Weights, quiet: bool) -> Tried | str:
    """A model's result, or why there is none. Models that are slow are announced."""
    from enlarge.cli.progress import waiting
    from enlarge.trying.results import SLOW

    name, expected = weights.path.stem, trials.expected(weights)
    if trials.is_too_slow(weights):
        reason = f"{name}: would take about {expected:.0f} s; left out (--limit {trials.limit})"
        _tell(reason, quiet)
        return reason
    if expected > SLOW:
        _tell(f"{name}: about {expected:.0f} s (--limit SECONDS leaves slow models out)", quiet)
    try:
        with waiting(name, shown=not quiet):
            return trials.run(weights)
    except EnlargeError as error:
        _tell(f"{name}: left out: {error}", quiet)
        return f"{name}: {error}"


def _print(result: Tried, options: TryOptions) -> None:
    """A model's line."""
    from enlarge.cli.console import say

    if options.quiet or options.json:
        return
    from enlarge.trying.sheet import seconds_text

    whole = seconds_text(result.whole)
    say(f"{result.model}  {result.seconds:.2f} s, the whole picture about {whole}")
    if options.verbose:
        say(f"    for         {result.purpose or 'not stated'}")
        say(f"    trained on  {result.data or 'not stated'}")
        say(f"    licence     {result.licence or 'not stated'}")


def _report(
    part: Part,
    results: Sequence[Tried],
    left_out: Sequence[str],
    targets: Sequence[Path],
    options: TryOptions,
) -> None:
    """What was written where."""
    from enlarge.cli.console import json_text, say

    x, y, width, height = part.region
    if options.json:
        rows = [
            {
                "model": result.model, "seconds": result.seconds, "whole_seconds": result.whole,
                "purpose": result.purpose, "data": result.data, "licence": result.licence,
            }
            for result in results[1:]
        ]  # fmt: skip
        say(
            json_text(
                {
                    "part": [x, y, width, height],
                    "scale": options.scale,
                    "models": rows,
                    "left_out": list(left_out),
                    "notes": list(part.notes),
                    "output": [str(target) for target in targets],
                }
            )
        )
    elif not options.quiet:
        say(f"{targets[0]}  {width}×{height} pixels at {x},{y} by {len(results) - 1} models")
        say(f"{targets[1]}  the same under a divider")


def _write(
    picture: Path, part: Part, scale: int, results: Sequence[Tried], targets: Sequence[Path]
) -> None:
    """Write the sheet and the page. Raises `OutputError`."""
    from enlarge.cli.reports import write_text
    from enlarge.metrics.pictures import write_pixels
    from enlarge.trying.page import try_page
    from enlarge.trying.sheet import draw_sheet

    sheet, page = targets
    write_pixels(draw_sheet(results), sheet)
    write_text(page, try_page(picture, part, scale, results))


def _targets(picture: Path, options: TryOptions) -> list[Path]:
    """Where the sheet and the page go. Raises `OutputError` before any work."""
    from enlarge.cli.console import STREAM, restore_hyphens
    from enlarge.media.temporary import shortened

    if STREAM in restore_hyphens([str(picture)]):
        raise OptionError("try reads a picture file, and not standard input (-)")
    folder = picture.parent if options.output is None else options.output
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is not a folder; -o names the folder for the sheet")
    if folder.suffix.lower() in (".png", ".html") and not folder.exists():
        raise OutputError(f"{folder}: names a file; -o names the folder for the sheet and the page")
    targets = [folder / shortened(picture.stem, tail) for tail in ("_try.png", "_try.html")]
    for target in targets:
        if target.exists() and not options.overwrite:
            raise OutputError(f"{target} exists; --overwrite replaces it, -o names another folder")
    return targets


def _tell(text: str, quiet: bool) -> None:
    """A line on standard error, unless `quiet`."""
    from enlarge.cli.console import say

    if not quiet:
        say(f"enlarge: {text}", sys.stderr)
