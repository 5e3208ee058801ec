"""`enlarge degrade SRC -o OUT --chain NAME`: what a chain of degradations does to pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from enlarge.cli.options import VERBOSE, option, refuse_both, whole
from enlarge.cli.parameters import FLAT
from enlarge.errors import DataError, InputError, OptionError, OutputError

if TYPE_CHECKING:
    from enlarge.data.degradations import Chain

ChainName = Literal["bicubic", "compressed", "mild", "phone", "old", "cctv", "real"]
# As in data.degradations, which --help must not load: a test holds them equal.


@dataclass(frozen=True, kw_only=True)
class DegradeOptions:
    """The options of `enlarge degrade`."""

    output: Annotated[
        Path,
        option(
            "Write HR/NAME.png and LR/NAME.png to this folder.",
            name=["--output", "-o"],
            metavar="FOLDER",
        ),
    ]
    chain: Annotated[
        ChainName,
        option(
            "The degradation. bicubic (default): MATLAB's. compressed: JPEG or WebP after it. "
            "mild: slight noise, a high-quality JPEG, or both. phone: a phone's camera. old: a "
            "faded, scratched print. cctv: a surveillance camera. real: Real-ESRGAN's "
            "second-order chain."
        ),
    ] = "bicubic"
    scale: Annotated[
        int,
        option("Factor between LR and HR (default: 4).", metavar="1-16", converter=whole(1)),
    ] = 4
    seed: Annotated[
        int,
        option(
            "Seed of the randomness (default: 0). Each picture's result depends on the seed and "
            "the picture's name alone.",
            metavar="N",
            converter=whole(0),
        ),
    ] = 0
    overwrite: Annotated[bool, option("Replace existing outputs.")] = False
    verbose: Annotated[bool, option("Print every output.", name=VERBOSE)] = False
    quiet: Annotated[bool, option("Print errors only.")] = False


def degrade(
    source: Annotated[
        Path,
        Parameter(
            help="A picture, or a folder of pictures. If it has a MANIFEST.tsv: those whose part "
            "is `free` there."
        ),
    ],
    /,
    *,
    options: Annotated[DegradeOptions, FLAT],
) -> int:
    """Degrade pictures to low resolution, to look at or to train on."""
    from enlarge.cli.console import FAILED, SOME_FAILED, say
    from enlarge.data.photos import find_pictures

    refuse_both(options.quiet, options.verbose)
    pictures = find_pictures(source, without=options.output)
    _check_targets(source, pictures, options)
    for folder in ("HR", "LR"):
        (options.output / folder).mkdir(parents=True, exist_ok=True)
    failed = _degrade_all(pictures, options)
    if not options.quiet:
        say(
            f"{options.output}: {len(pictures) - failed} pairs by {options.chain}, "
            f"×{options.scale}, seed {options.seed}"
        )
    return 0 if not failed else FAILED if failed == len(pictures) else SOME_FAILED


def _check_targets(source: Path, pictures: Sequence[Path], options: DegradeOptions) -> None:
    """Raise an error if outputs share a name, exist, or would replace inputs."""
    names = [path.stem for path in pictures]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OptionError(f"two pictures of {source} are called {twice[0]}; rename one of them")
    targets = [options.output / folder / f"{n}.png" for folder in ("HR", "LR") for n in names]
    there = [path for path in targets if path.exists()]
    if there and not options.overwrite:
        raise OutputError(
            f"{len(there)} outputs exist, first {there[0]}; --overwrite replaces them"
        )
    replaced = {path.resolve() for path in there}
    if any(path.resolve() in replaced for path in pictures):
        raise OutputError(f"{options.output} would overwrite its own inputs; choose another folder")


def _degrade_all(pictures: Sequence[Path], options: DegradeOptions) -> int:
    """Write all pairs, in parallel. Returns the number of pictures that failed."""
    from concurrent.futures import ThreadPoolExecutor

    from enlarge.cli.console import say
    from enlarge.cli.progress import counting
    from enlarge.data.degradations import chain_of
    from enlarge.data.pairs import threads_for

    chain, failed = chain_of(options.chain), 0
    with (
        counting("degrade", shown=not options.quiet) as watch,
        ThreadPoolExecutor(threads_for(len(pictures))) as pool,
    ):
        made = [pool.submit(_degrade_one, path, chain, options) for path in pictures]
        try:
            for done, (path, future) in enumerate(zip(pictures, made, strict=True), 1):
                try:
                    future.result()
                    if options.verbose:
                        say(str(options.output / "LR" / f"{path.stem}.png"))
                except (DataError, InputError) as error:
                    failed += 1
                    say(f"enlarge: {error}", sys.stderr)
                if watch is not None:
                    watch(done, len(pictures))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C, a full disk: begin no other picture
            raise
    return failed


def _degrade_one(path: Path, chain: Chain, options: DegradeOptions) -> None:
    """Write the pair of one picture. Its generator depends on the seed and its name alone."""
    import zlib

    import numpy as np

    from enlarge.data.photos import crop_to_multiple, read_rgb
    from enlarge.metrics.pictures import write_pixels

    scale = options.scale
    high = np.ascontiguousarray(crop_to_multiple(read_rgb(path), scale))
    if min(high.shape[:2]) < 8 * scale:
        raise DataError(
            f"{path}: {high.shape[1]}×{high.shape[0]} is less than 8 pixels at 1/{scale}"
        )
    random = np.random.default_rng((options.seed, zlib.crc32(path.stem.encode())))
    low, high = chain(high, scale, random)
    for folder, pixels in (("HR", high), ("LR", low)):
        write_pixels(pixels, options.output / folder / f"{path.stem}.png")
