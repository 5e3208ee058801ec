"""`enlarge prepare SRC -o STORE`: pairs checked, decoded once, and laid out for training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enlarge.cli.options import VERBOSE, option, refuse_both, whole
from enlarge.cli.parameters import FLAT


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """The options of `enlarge prepare`."""

    output: Annotated[
        Path,
        option(
            "The store: a new folder, or one that an interrupted run began, which then resumes.",
            name=["--output", "-o"],
            metavar="STORE",
        ),
    ]
    lr: Annotated[
        Path | None,
        option(
            "Folder of the LR pictures, if SOURCE holds their HR under the same names.",
            metavar="FOLDER",
        ),
    ] = None
    scale: Annotated[
        int,
        option("Factor between LR and HR (default: 4).", metavar="1-16", converter=whole(1)),
    ] = 4
    patch: Annotated[
        int,
        option(
            "Side of the training patches in LR pixels (default: 64): LR pictures smaller than "
            "that are refused. The store itself holds whole pictures.",
            metavar="PIXELS",
            converter=whole(1),
        ),
    ] = 64
    dry_run: Annotated[bool, option("Check and estimate, and write nothing.")] = False
    verbose: Annotated[bool, option("Print every pair.", name=VERBOSE)] = False
    quiet: Annotated[bool, option("Print errors only.")] = False


def prepare(
    source: Annotated[
        Path,
        Parameter(
            help="A CSV file with the columns LR,HR, a folder with LR and HR in it, or a folder of "
            "high-resolution pictures (their LR is then made by MATLAB's bicubic)."
        ),
    ],
    /,
    *,
    options: Annotated[PrepareOptions, FLAT],
) -> None:
    """Check pairs of pictures and decode them into a store for `enlarge train`."""
    from enlarge.cli.console import say
    from enlarge.cli.progress import counting
    from enlarge.data.pairs import check_pairs, find_pairs, refuse
    from enlarge.data.store import estimate, write_store
    from enlarge.memory import format_size

    output, scale, patch, lr = options.output, options.scale, options.patch, options.lr
    refuse_both(options.quiet, options.verbose)
    found = find_pairs({"lr": str(lr), "hr": str(source)} if lr else source)
    with counting("check", shown=not options.quiet) as watch:
        offenders = check_pairs(found.pairs, scale, least=patch, watch=watch)
    refuse([*found.orphans, *offenders], len(found.pairs) + len(found.orphans))
    store = estimate(found.pairs, scale, patch)
    if options.verbose:
        for pair in found.pairs:
            say(f"{pair.low or 'bicubic'} → {pair.high}")
    if not options.quiet:
        say(
            f"{store.pairs} pairs, {store.patches:,} patches of {patch}×{patch}, "
            f"{format_size(store.bytes)} in {output}"
        )
    if options.dry_run:
        return
    with counting("prepare", shown=not options.quiet) as watch:
        decoded = write_store(found.pairs, output, scale, watch=watch)
    if not options.quiet:
        there = store.pairs - decoded
        say(
            f"{output}: {decoded} pairs decoded"
            + (f", {there} were there already" if there else "")
        )
