"""`enlarge INPUT… [-o OUT]`: the default command."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Group, Parameter

from enlarge.cli import words
from enlarge.cli.options import Quiet, Switch, Verbose, rectangle, refuse_both, whole
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
    metadata: Annotated[Literal["keep", "no-gps", "none"], Parameter(group=_OUTPUT)] = "keep",
    suffix: Annotated[str | None, Parameter(group=_OUTPUT, allow_leading_hyphen=True)] = None,
    overwrite: Annotated[bool, Parameter(group=_OUTPUT, negative="")] = False,
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
    engine: Annotated[Literal["auto", "openvino"], Parameter(group=_MODEL)] = "auto",
    precision: Annotated[Literal["auto", "f32", "bf16"], Parameter(group=_MODEL)] = "auto",
    exact: Annotated[bool, Parameter(group=_MODEL, negative="")] = False,
    memory: Annotated[str | None, Parameter(group=_MACHINE, metavar="SIZE")] = None,
    tile: Annotated[str, Parameter(group=_MACHINE, metavar="auto|PIXELS")] = "auto",
    threads: Annotated[int, Parameter(group=_MACHINE, metavar="NUMBER", converter=whole(0))] = 0,
    json: Switch = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Enlarge pictures.

    Parameters
    ----------
    inputs
        Files, folders, globs, a csv with a column LR, or - for standard input.
    output
        A folder, a file (its extension sets the format), or - for standard output. Without it
        the result lies beside its input as NAME_x4.png.
    format
        png, jpg, webp, tif or avif (default: the output's extension, else png).
    quality
        Of jpg, webp and avif (default for jpg: 95, with 4:4:4 colour).
    metadata
        Keep EXIF and XMP, drop only the position, or drop all (default: keep). The colour
        profile always stays.
    suffix
        What follows the input's name in the output's, instead of _x4.
    overwrite
        Replace outputs that exist.
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
    engine
        What runs the network (default: auto).
    precision
        auto, the default: bf16 where the processor and the model allow it, else f32.
    exact
        Let tiles see the network's whole margin, also where the card names a smaller one.
    memory
        The most that this process may take, for example 1.5GB (default: half of the machine's).
    tile
        The side of a tile in input pixels (default: auto).
    threads
        Threads that compute (default: one for each core).
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
        inputs=words(inputs),
        output=None if output is None else words([output])[0],
        model=model,
        scale=scale,
        width=width,
        height=height,
        crop=crop,
        engine=engine,
        precision=precision,
        exact=exact,
        memory=memory,
        tile=tile,
        threads=threads,
        format=format,
        quality=quality,
        metadata=metadata,
        suffix=suffix,
        overwrite=overwrite,
        json=json,
        verbose=verbose,
        quiet=quiet,
    )
    return enlarge_all(request)
