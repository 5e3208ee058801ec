"""`enlarge degrade SRC -o OUT --chain NAME`: what a chain of degradations does to pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from enlarge.cli.options import Quiet, Switch, Verbose, refuse_both, whole
from enlarge.errors import DataError, InputError, OptionError, OutputError

if TYPE_CHECKING:
    from enlarge.data.degradations import Chain


def degrade(
    source: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="FOLDER")],
    chain: Literal["bicubic", "compressed", "old", "cctv", "real"] = "bicubic",
    scale: Annotated[int, Parameter(metavar="1-16", converter=whole(1))] = 4,
    seed: Annotated[int, Parameter(metavar="N", converter=whole(0))] = 0,
    overwrite: Switch = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Make low-resolution pictures as a chain of degradations does, to look at or to train on.

    Parameters
    ----------
    source
        A picture, or a folder of pictures; of one with a MANIFEST.tsv, what is free to train on.
    output
        A folder: HR/NAME.png and LR/NAME.png are written there.
    chain
        bicubic: MATLAB's. compressed: JPEG or WebP after it. old: a faded, scratched print.
        cctv: a surveillance camera. real: Real-ESRGAN's second-order chain.
    scale
        How many times smaller LR is.
    seed
        The same seed gives the same pictures, one by one, whatever else the folder holds.
    overwrite
        Replace what is there.
    verbose
        Name every picture.
    quiet
        Say nothing but errors.

    """
    import sys
    from concurrent.futures import ThreadPoolExecutor

    from enlarge.cli.console import FAILED, SOME_FAILED, say
    from enlarge.cli.progress import counting
    from enlarge.data.degradations import chain_of
    from enlarge.data.pairs import threads_for
    from enlarge.data.photos import find_pictures

    refuse_both(quiet, verbose)
    pictures = find_pictures(source, without=output)
    names = [path.stem for path in pictures]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OptionError(f"two pictures of {source} are called {twice[0]}; rename one of them")
    there = [path for path in _targets(output, names) if path.exists()]
    if there and not overwrite:
        raise OutputError(
            f"{len(there)} outputs exist, first {there[0]}; --overwrite replaces them"
        )
    replaced = {path.resolve() for path in there}
    if any(path.resolve() in replaced for path in pictures):
        raise OutputError(f"{output} would overwrite its own inputs; choose another folder")
    for folder in ("HR", "LR"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    failed = 0
    with (
        counting("degrade", shown=not quiet) as watch,
        ThreadPoolExecutor(threads_for(len(pictures))) as pool,
    ):
        made = [pool.submit(_make, path, output, chain_of(chain), scale, seed) for path in pictures]
        try:
            for done, (path, future) in enumerate(zip(pictures, made, strict=True), 1):
                try:
                    future.result()
                    if verbose:
                        say(str(output / "LR" / f"{path.stem}.png"))
                except (DataError, InputError) as error:
                    failed += 1
                    say(f"enlarge: {error}", sys.stderr)
                if watch is not None:
                    watch(done, len(pictures))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C, a full disk: what was not begun is not
            raise
    if not quiet:
        say(f"{output}: {len(pictures) - failed} pairs by {chain}, ×{scale}, seed {seed}")
    return 0 if not failed else FAILED if failed == len(pictures) else SOME_FAILED


def _targets(output: Path, names: list[str]) -> list[Path]:
    return [output / folder / f"{name}.png" for folder in ("HR", "LR") for name in names]


def _make(path: Path, output: Path, chain: Chain, scale: int, seed: int) -> None:
    """Write the pair of one picture; its generator depends on the seed and on its name alone."""
    import zlib

    import numpy as np

    from enlarge.data.photos import crop_to_multiple, read_rgb
    from enlarge.metrics.pictures import write_pixels

    high = np.ascontiguousarray(crop_to_multiple(read_rgb(path), scale))
    if min(high.shape[:2]) < 8 * scale:
        raise DataError(
            f"{path}: {high.shape[1]}×{high.shape[0]} is less than 8 pixels at 1/{scale}"
        )
    random = np.random.default_rng((seed, zlib.crc32(path.stem.encode())))
    low, high = chain(high, scale, random)
    for folder, pixels in (("HR", high), ("LR", low)):
        write_pixels(pixels, output / folder / f"{path.stem}.png")
