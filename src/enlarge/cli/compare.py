"""`enlarge compare A B [--against HR]`: how far two pictures differ, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from enlarge.cli.options import Quiet, Switch, Verbose, refuse_both, whole
from enlarge.errors import OptionError, OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PROTOCOL = Group("Protocol")
_OUTPUT = Group("Output")


def compare(
    first: Path,
    second: Path,
    /,
    *,
    against: Annotated[Path | None, Parameter(metavar="HR")] = None,
    colour: Annotated[Literal["y", "full-y", "rgb"], Parameter(group=_PROTOCOL)] = "y",
    border: Annotated[int, Parameter(group=_PROTOCOL, metavar="PIXELS", converter=whole(0))] = 0,
    perceptual: Annotated[Path | None, Parameter(group=_PROTOCOL, metavar="FOLDER|FILE")] = None,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], group=_OUTPUT, metavar="FOLDER")
    ] = None,
    overwrite: Annotated[bool, Parameter(group=_OUTPUT, negative="")] = False,
    json: Switch = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Compare two pictures of one size: metrics, a difference map, and what differs most, zoomed.

    Parameters
    ----------
    first
        A picture.
    second
        Another one, of the same size.
    against
        The original, if it is known: both are then measured against it.
    colour
        y: Y of BT.601, 16 to 235. full-y: the same, 0 to 255. rgb.
    border
        Pixels left out on each side when measuring.
    perceptual
        LPIPS and DISTS as well, with torchvision's weights of AlexNet or VGG16 that lie there (such
        as ~/.cache/torch/hub/checkpoints); needs enlarge[metrics].
    output
        The folder for A_vs_B.png and A_vs_B_difference.png (default: that of A).
    overwrite
        Replace outputs that exist.
    json
        Print one JSON document.
    verbose
        Say how far the pictures differ on average, and at most.
    quiet
        Say nothing but errors.

    """
    import json as js
    from dataclasses import asdict

    from enlarge.cli.console import say
    from enlarge.media.temporary import shortened
    from enlarge.metrics import open_perceptual
    from enlarge.metrics.comparison import (
        comparison_sheet,
        difference,
        heat_map,
        likeness,
        worst_squares,
    )
    from enlarge.metrics.evaluation import protocol_document
    from enlarge.metrics.fidelity import format_psnr, json_safe
    from enlarge.metrics.pictures import read_pixels, write_pixels
    from enlarge.metrics.protocol import Protocol
    from enlarge.report import PERCEPTUAL

    refuse_both(quiet, verbose)
    folder = first.parent if output is None else output
    stem = f"{first.stem}_vs_{second.stem}"
    targets = [folder / shortened(stem, tail) for tail in (".png", "_difference.png")]
    _check_targets(targets, [first, second, against], overwrite)
    names = ["A", "B", *(["HR"] if against else [])]
    paths = [first, second, *([against] if against else [])]
    pictures = [read_pixels(path) for path in paths]
    _check_sizes(paths, pictures)
    protocol = Protocol(colour, border)
    judge = None if perceptual is None else open_perceptual(perceptual)
    pairs = [(0, 1), (0, 2), (1, 2)] if against else [(0, 1)]
    found = {
        f"{names[i]} and {names[j]}": likeness(pictures[i], pictures[j], protocol) for i, j in pairs
    }
    looks = {
        f"{names[i]} and {names[j]}": judge.measure(pictures[i], pictures[j]) if judge else {}
        for i, j in pairs
    }
    natural = {name: _niqe(picture) for name, picture in zip(names, pictures, strict=True)}
    apart = difference(pictures[0], pictures[1])
    places = worst_squares(apart)
    heat, white = heat_map(apart)
    write_pixels(comparison_sheet(pictures, places), targets[0])
    write_pixels(heat, targets[1])
    if json:
        document = {
            "protocol": protocol_document(protocol, judge),
            "pictures": dict(zip(names, map(str, paths), strict=True)),
            "metrics": {
                k: asdict(v) | {"psnr": json_safe(v.psnr)} | looks[k] for k, v in found.items()
            },
            "niqe": natural,
            "places": [place._asdict() for place in places],
            "white": white,
            "output": [str(target) for target in targets],
        }
        say(js.dumps(document, ensure_ascii=False, indent=2))
    elif not quiet:
        say(protocol_document(protocol, judge)["text"])
        for name, path in zip(names, paths, strict=True):
            value = natural[name]
            say(f"{name.ljust(2)}  NIQE {'–' if value is None else f'{value:.2f}'}  {path}")
        others = [PERCEPTUAL[name] for name in judge.names] if judge else []
        say("  ".join([f"{''.ljust(8)}     PSNR    SSIM  MS-SSIM", *others]))
        for name, alike in found.items():
            multiscale = "–" if alike.ms_ssim is None else f"{alike.ms_ssim:.4f}"
            values = [f"{looks[name][k]:.4f}".rjust(len(PERCEPTUAL[k])) for k in looks[name]]
            line = (
                f"{name.ljust(8)}  {format_psnr(alike.psnr):>7}  {alike.ssim:.4f}  {multiscale:>7}"
            )
            say("  ".join([line, *values]))
        if verbose:
            say(
                f"A and B differ by {apart.mean():.2f} levels on average, {apart.max():.0f} at most"
            )
        where = ", ".join(f"{place.x},{place.y}" for place in places)
        text = f"{names[0]} | {' | '.join(names[1:])} at {where}" if places else "no difference"
        say(f"{targets[0]}  {text}")
        say(f"{targets[1]}  white is a difference of {white:.0f} levels")


def _niqe(picture: NDArray[Any]) -> float | None:
    """None where a picture is too small or too flat for it."""
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
        raise DataError(f"pictures of one size are compared; {found}")


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
