"""`enlarge compare A B [--against HR]`: how far two pictures differ, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from enlarge.cli.options import PROTOCOL, VERBOSE, option, refuse_both, whole
from enlarge.cli.parameters import FLAT, PerceptualWeights
from enlarge.errors import OptionError, OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from enlarge.metrics.comparison import AlphaLikeness, Likeness, Pixels, Square
    from enlarge.metrics.perceptual import Perceptual
    from enlarge.metrics.protocol import Protocol

_OUTPUT = "Output"


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """The options of `enlarge compare`."""

    against: Annotated[
        Path | None,
        option("The original, if you have it: measure both pictures against it.", metavar="HR"),
    ] = None
    colour: Annotated[
        Literal["y", "full-y", "rgb"],
        option(
            "Measure in Y of BT.601, 16 to 235 (y, the default) or 0 to 255 (full-y), or in RGB.",
            group=PROTOCOL,
        ),
    ] = "y"
    border: Annotated[
        int,
        option(
            "Leave out this many pixels on each side when measuring (default: 0).",
            group=PROTOCOL,
            metavar="PIXELS",
            converter=whole(0),
        ),
    ] = 0
    perceptual: PerceptualWeights = None
    output: Annotated[
        Path | None,
        option(
            "Folder for FIRST_vs_SECOND.png and FIRST_vs_SECOND_difference.png (default: the "
            "folder of FIRST).",
            name=["--output", "-o"],
            group=_OUTPUT,
            metavar="FOLDER",
        ),
    ] = None
    overwrite: Annotated[bool, option("Replace existing outputs.", group=_OUTPUT)] = False
    json: Annotated[bool, option("Print one JSON document.")] = False
    verbose: Annotated[
        bool,
        option("Print the mean and the largest difference too.", name=VERBOSE),
    ] = False
    quiet: Annotated[bool, option("Print errors only.")] = False


_DEFAULTS = CompareOptions()


@dataclass(frozen=True)
class _Comparison:
    """The pictures by name (A, B, HR), and what was measured of each and of each pair. `alphas`: of
    the pairs with transparency.
    """

    paths: dict[str, Path]
    protocol: Protocol
    judge: Perceptual | None
    likenesses: dict[str, Likeness]
    alphas: dict[str, AlphaLikeness]
    perceptual: dict[str, dict[str, float]]
    niqe: dict[str, float | None]
    difference: NDArray[Any]
    squares: list[Square]
    heat: Pixels
    white: float


def compare(
    first: Annotated[Path, Parameter(help="A picture.")],
    second: Annotated[Path, Parameter(help="Another picture of the same size.")],
    /,
    *,
    options: Annotated[CompareOptions, FLAT] = _DEFAULTS,
) -> None:
    """Compare two pictures: metrics, a difference map, and what differs most, magnified."""
    import sys

    from enlarge.cli.console import json_text, say
    from enlarge.media.temporary import shortened
    from enlarge.metrics.comparison import comparison_sheet
    from enlarge.metrics.pictures import read_channels, write_pixels

    refuse_both(options.quiet, options.verbose)
    folder = first.parent if options.output is None else options.output
    stem = f"{first.stem}_vs_{second.stem}"
    targets = [folder / shortened(stem, tail) for tail in (".png", "_difference.png")]
    _check_targets(targets, [first, second, options.against], options.overwrite)
    paths = {"A": first, "B": second}
    if options.against is not None:
        paths["HR"] = options.against
    read = {name: read_channels(path) for name, path in paths.items()}
    pictures = {name: found.pixels for name, found in read.items()}
    _check_sizes(list(paths.values()), list(pictures.values()))
    found = _measure(paths, pictures, options)
    write_pixels(comparison_sheet(list(pictures.values()), found.squares), targets[0])
    write_pixels(found.heat, targets[1])
    notes = [f"{paths[name]}: {note}" for name, one in read.items() for note in one.notes]
    if options.json:
        say(json_text(_document(found, targets) | {"notes": notes}))
    elif not options.quiet:
        for line in notes:
            say(f"enlarge: {line}", sys.stderr)
        _print(found, targets, verbose=options.verbose)


def _measure(
    paths: dict[str, Path], pictures: dict[str, NDArray[Any]], options: CompareOptions
) -> _Comparison:
    """Measure the pictures, and every pair of them."""
    from enlarge.metrics import open_perceptual
    from enlarge.metrics.comparison import (
        alpha_likeness,
        difference,
        heat_map,
        likeness,
        worst_squares,
    )
    from enlarge.metrics.protocol import Protocol

    protocol = Protocol(options.colour, options.border)
    judge = None if options.perceptual is None else open_perceptual(options.perceptual)
    pairs = [("A", "B"), ("A", "HR"), ("B", "HR")] if "HR" in pictures else [("A", "B")]
    names = {f"{one} and {two}": (pictures[one], pictures[two]) for one, two in pairs}
    border = options.border
    alphas = {name: alpha_likeness(*pair, border=border) for name, pair in names.items()}
    apart = difference(pictures["A"], pictures["B"])
    heat, white = heat_map(apart)
    return _Comparison(
        paths=paths,
        protocol=protocol,
        judge=judge,
        likenesses={name: likeness(*pair, protocol) for name, pair in names.items()},
        alphas={name: found for name, found in alphas.items() if found is not None},
        perceptual={n: judge.measure(*pair) if judge else {} for n, pair in names.items()},
        niqe={name: _niqe(picture) for name, picture in pictures.items()},
        difference=apart,
        squares=worst_squares(apart),
        heat=heat,
        white=white,
    )


def _document(found: _Comparison, targets: Sequence[Path]) -> dict[str, Any]:
    """The document of `--json`."""
    from enlarge.metrics.evaluation import protocol_document
    from enlarge.metrics.fidelity import json_safe

    return {
        "protocol": protocol_document(found.protocol, found.judge),
        "pictures": {name: str(path) for name, path in found.paths.items()},
        "metrics": {
            name: asdict(alike) | {"psnr": json_safe(alike.psnr)} | found.perceptual[name]
            for name, alike in found.likenesses.items()
        },
        "alpha": {
            name: asdict(alike) | {"psnr": json_safe(alike.psnr)}
            for name, alike in found.alphas.items()
        },
        "niqe": found.niqe,
        "places": [square._asdict() for square in found.squares],
        "white": found.white,
        "output": [str(target) for target in targets],
    }


def _print(found: _Comparison, targets: Sequence[Path], *, verbose: bool) -> None:
    """Print the metrics as tables, and what the written pictures show."""
    from enlarge.cli.console import say
    from enlarge.metrics.evaluation import protocol_document
    from enlarge.metrics.fidelity import format_psnr
    from enlarge.report import PERCEPTUAL

    say(protocol_document(found.protocol, found.judge)["text"])
    for name, path in found.paths.items():
        value = found.niqe[name]
        say(f"{name.ljust(2)}  NIQE {'–' if value is None else f'{value:.2f}'}  {path}")
    others = [PERCEPTUAL[name] for name in found.judge.names] if found.judge else []
    say("  ".join([f"{''.ljust(8)}     PSNR    SSIM  MS-SSIM", *others]))
    for name, alike in found.likenesses.items():
        multiscale = "–" if alike.ms_ssim is None else f"{alike.ms_ssim:.4f}"
        looks = found.perceptual[name]
        values = [f"{looks[key]:.4f}".rjust(len(PERCEPTUAL[key])) for key in looks]
        psnr = format_psnr(alike.psnr)
        line = f"{name.ljust(8)}  {psnr:>7}  {alike.ssim:.4f}  {multiscale:>7}"
        say("  ".join([line, *values]))
    if found.alphas:
        say("transparent parts are compared over white; alpha itself, from 0 to 255:")
    for name, alpha in found.alphas.items():
        levels = f"{alpha.mean:.2f} levels on average, {alpha.largest:.0f} at most"
        say(f"{name.ljust(8)}  {format_psnr(alpha.psnr):>7}  differs by {levels}")
    apart, names = found.difference, list(found.paths)
    if verbose:
        say(f"A and B differ by {apart.mean():.2f} levels on average, {apart.max():.0f} at most")
    where = ", ".join(f"{square.x},{square.y}" for square in found.squares)
    text = f"{names[0]} | {' | '.join(names[1:])} at {where}" if where else "no difference"
    say(f"{targets[0]}  {text}")
    say(f"{targets[1]}  white is a difference of {found.white:.0f} levels")


def _niqe(picture: NDArray[Any]) -> float | None:
    """NIQE; None if the picture is too small or too flat for it."""
    from enlarge.errors import DataError
    from enlarge.metrics import niqe

    try:
        return niqe(picture)
    except DataError:
        return None


def _check_sizes(paths: list[Path], pictures: list[NDArray[Any]]) -> None:
    from enlarge.errors import DataError

    sizes = [f"{picture.shape[1]}×{picture.shape[0]}" for picture in pictures]
    if len(set(sizes)) > 1:
        found = ", ".join(f"{path} is {size}" for path, size in zip(paths, sizes, strict=True))
        raise DataError(f"expected two pictures of the same size; {found}")


def _check_targets(targets: list[Path], inputs: list[Path | None], overwrite: bool) -> None:
    from enlarge.cli.console import STREAM, restore_hyphens

    if STREAM in restore_hyphens([str(path) for path in inputs]):
        raise OptionError("compare reads picture files, and not standard input (-)")
    taken = {path.resolve() for path in inputs if path is not None}
    for target in targets:
        if target.resolve() in taken:
            raise OutputError(f"the output {target} is one of the inputs; -o names another folder")
        if target.exists() and not overwrite:
            raise OutputError(f"{target} exists; --overwrite replaces it, -o names another folder")
