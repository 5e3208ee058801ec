"""`enlarge prepare SRC -o STORE`: pairs checked, decoded once, and laid out for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enlarge.cli.options import Quiet, Switch, Verbose, refuse_both, whole


def prepare(
    source: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="STORE")],
    lr: Annotated[Path | None, Parameter(metavar="FOLDER")] = None,
    scale: Annotated[int, Parameter(metavar="1-16", converter=whole(1))] = 4,
    patch: Annotated[int, Parameter(metavar="PIXELS", converter=whole(1))] = 64,
    dry_run: Switch = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Check pairs of pictures and decode them into a store that `train` reads.

    Parameters
    ----------
    source
        A csv with the columns LR,HR, a folder with LR and HR in it, or a folder of
        high-resolution pictures (their LR is then MATLAB's bicubic).
    output
        The store, a new folder, or one that an earlier run began: then it goes on.
    lr
        The folder of LR pictures, where SOURCE holds their HR under the same names.
    scale
        How many times larger HR is.
    patch
        The side of training patches in LR pixels: smaller pictures are refused, and the
        patches are counted.
    dry_run
        Check and estimate only; write nothing.
    verbose
        Name every pair.
    quiet
        Say nothing but errors.

    """
    from enlarge.cli.console import say
    from enlarge.cli.progress import counting
    from enlarge.data.pairs import check_pairs, find_pairs, refuse
    from enlarge.data.store import estimate, write_store
    from enlarge.memory import format_size

    refuse_both(quiet, verbose)
    found = find_pairs({"lr": str(lr), "hr": str(source)} if lr else source)
    with counting("check", shown=not quiet) as watch:
        offenders = check_pairs(found.pairs, scale, least=patch, watch=watch)
    refuse([*found.orphans, *offenders], len(found.pairs) + len(found.orphans))
    plan = estimate(found.pairs, scale, patch)
    if verbose:
        for pair in found.pairs:
            say(f"{pair.low or 'bicubic'} → {pair.high}")
    if not quiet:
        say(
            f"{plan.pairs} pairs, {plan.patches:,} patches of {patch}×{patch}, "
            f"{format_size(plan.bytes)} in {output}"
        )
    if dry_run:
        return
    with counting("prepare", shown=not quiet) as watch:
        decoded = write_store(found.pairs, output, scale, watch=watch)
    if not quiet:
        there = plan.pairs - decoded
        say(f"{output}: {decoded} pairs decoded" + (f", {there} were there" if there else ""))
