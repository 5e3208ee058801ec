"""`enlarge INPUT… [-o OUT]`: the default command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from enlarge.cli.console import restore_hyphens
from enlarge.cli.options import (
    EngineWish,
    PrecisionWish,
    Quiet,
    Switch,
    Verbose,
    rectangle,
    refuse_both,
    whole,
)
from enlarge.errors import OptionError

_INPUT = Group("Inputs")
_SIZE = Group("Size")
_OUTPUT = Group("Output")
_MODEL = Group("Model")
_MACHINE = Group("Machine")


def upscale(
    *inputs: Annotated[str, Parameter(group=_INPUT)],
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], group=_OUTPUT, metavar="OUT")
    ] = None,
    format: Annotated[str | None, Parameter(group=_OUTPUT, metavar="NAME")] = None,  # noqa: A002
    quality: Annotated[
        int | None, Parameter(group=_OUTPUT, metavar="1-100", converter=whole(1))
    ] = None,
    pyramid: Annotated[bool, Parameter(group=_OUTPUT, negative="")] = False,
    metadata: Annotated[Literal["keep", "no-gps", "none"], Parameter(group=_OUTPUT)] = "keep",
    suffix: Annotated[str | None, Parameter(group=_OUTPUT, allow_leading_hyphen=True)] = None,
    overwrite: Annotated[bool, Parameter(group=_OUTPUT, negative="")] = False,
    no_provenance: Annotated[bool, Parameter(group=_OUTPUT, negative="")] = False,
    no_resume: Annotated[bool, Parameter(group=_OUTPUT, negative="")] = False,
    report: Annotated[Path | None, Parameter(group=_OUTPUT, metavar="FILE")] = None,
    dry_run: Annotated[bool, Parameter(group=_OUTPUT, negative="")] = False,
    watch: Annotated[bool, Parameter(group=_INPUT, negative="")] = False,
    scale: Annotated[float | None, Parameter(group=_SIZE, metavar="1-16")] = None,
    width: Annotated[
        int | None, Parameter(group=_SIZE, metavar="PIXELS", converter=whole(1))
    ] = None,
    height: Annotated[
        int | None, Parameter(group=_SIZE, metavar="PIXELS", converter=whole(1))
    ] = None,
    crop: Annotated[
        tuple[int, int, int, int] | None,
        Parameter(
            group=_SIZE,
            metavar="X,Y,W,H",
            converter=rectangle,
            n_tokens=1,
            allow_leading_hyphen=True,
            negative="",
            accepts_keys=False,
        ),
    ] = None,
    model: Annotated[str | None, Parameter(group=_MODEL, metavar="MODEL")] = None,
    strength: Annotated[float | None, Parameter(group=_MODEL, metavar="0-1")] = None,
    engine: Annotated[EngineWish, Parameter(group=_MODEL)] = "auto",
    precision: Annotated[PrecisionWish, Parameter(group=_MODEL)] = "auto",
    exact: Annotated[bool, Parameter(group=_MODEL, negative="")] = False,
    ensemble: Annotated[bool, Parameter(group=_MODEL, negative="")] = False,
    device: Annotated[str, Parameter(group=_MACHINE, metavar="NAME")] = "auto",
    memory: Annotated[str | None, Parameter(group=_MACHINE, metavar="SIZE")] = None,
    tile: Annotated[str, Parameter(group=_MACHINE, metavar="auto|PIXELS")] = "auto",
    threads: Annotated[int, Parameter(group=_MACHINE, metavar="NUMBER", converter=whole(0))] = 0,
    cluster: Annotated[str | None, Parameter(group=_MACHINE, metavar="auto|ADDRESS")] = None,
    ledger: Annotated[Path | None, Parameter(group=_OUTPUT, metavar="FOLDER")] = None,
    json: Switch = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Enlarge pictures.

    Parameters
    ----------
    inputs
        Files, folders, globs, a csv with a column LR, a zip, URLs (s3://, https://), or - for
        standard input.
    output
        A folder (also s3://BUCKET/PREFIX/), a zip, a file (its extension sets the format), or - for
        standard output. Without
        it the result lies beside its input as NAME_x4.png. A folder or a zip that is not finished
        goes on where it stopped when the same command is given again.
    format
        png, jpg, webp, tif or avif, or dzi or szi: DeepZoom, tiles for viewers of very large
        pictures (default: the output's extension, else png).
    quality
        Of jpg, webp and avif (default for jpg: 95, with 4:4:4 colour), and below 100 of tiles that
        are JPEGs.
    pyramid
        Write tif as a tiled BigTIFF with smaller copies inside, for viewers of very large pictures.
    metadata
        Keep EXIF and XMP, drop only the position, or drop all (default: keep). The colour
        profile always stays.
    suffix
        What follows the input's name in the output's, instead of _x4.
    overwrite
        Replace outputs that exist and are not known to be current.
    no_provenance
        Do not write into the result how it was made: model, version, scale and settings.
    no_resume
        Do not keep the finished bands of a large result (from 100 megapixels on) beside it until
        it is complete. With them the same command goes on where an interrupt or a kill stopped it.
    report
        Write what became of every input: .json, or .html.
    dry_run
        Only say how many pictures and megapixels there are, how long they will take, and how much
        disk.
    watch
        Go on until interrupted: enlarge what appears in the folders, once it is complete.
    scale
        How many times wider and higher (default: the model's own factor). Beyond that factor
        the network runs twice.
    width
        Width of the result instead of --scale; alone it keeps the shape.
    height
        Height of the result instead of --scale; alone it keeps the shape.
    crop
        Enlarge only this part, in input pixels.
    model
        A name that `enlarge models` lists, or the path of a model file.
    strength
        Between photo (0) and photo-sharp (1), with --model photo or photo-sharp: a network whose
        weights are a mixture of theirs.
    engine
        What runs the network. auto, the default: OpenVINO on a CPU, on a GPU torch or ONNX
        Runtime, whichever is installed.
    precision
        auto, the default: bf16 or f16 where the device and the model allow it, else f32.
    exact
        Let tiles see the network's whole margin, also where the card names a smaller one.
    ensemble
        Give the mean over the eight flips and rotations of the picture: somewhat better, and eight
        times slower.
    device
        cpu, cuda:0, mps, … (default: a GPU where there is one that an engine is installed for,
        else the CPU).
    memory
        The most that this process may take, for example 1.5GB (default: half of the machine's).
    tile
        The side of a tile in input pixels (default: auto).
    threads
        Threads that compute (default: one for each core).
    cluster
        Compute on the machines of a Ray cluster: auto for the one that this machine belongs to, or
        its HOST:PORT.
    ledger
        Where to write down what is done, if not in the output folder; of results behind a URL it is
        the cache folder otherwise.
    json
        Print what was done as one JSON document.
    verbose
        Say model, tiles and the seconds of each stage.
    quiet
        Say nothing but errors.

    """
    if not inputs:
        raise OptionError("expected a picture, for example: enlarge photo.jpg (see enlarge --help)")
    refuse_both(quiet, verbose)
    from enlarge.cli.job import Request, enlarge_all

    request = Request(
        inputs=restore_hyphens(inputs),
        output=None if output is None else restore_hyphens([output])[0],
        model=model,
        strength=strength,
        scale=scale,
        width=width,
        height=height,
        crop=crop,
        engine=engine,
        device=device,
        precision=precision,
        exact=exact,
        ensemble=ensemble,
        memory=memory,
        tile=tile,
        threads=threads,
        cluster=cluster,
        ledger=ledger,
        format=format,
        quality=quality,
        pyramid=pyramid,
        resume=not no_resume,
        metadata=metadata,
        provenance=not no_provenance,
        suffix=suffix,
        overwrite=overwrite,
        dry_run=dry_run,
        watch=watch,
        report=report,
        json=json,
        verbose=verbose,
        quiet=quiet,
    )
    return enlarge_all(request)
