"""`enlarge export CHECKPOINT -o model.onnx`: any model as a file for other programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from enlarge.cli.options import VERBOSE, option, refuse_both, whole
from enlarge.cli.parameters import FLAT
from enlarge.errors import OptionError

if TYPE_CHECKING:
    from enlarge.card import Card
    from enlarge.weights.export import CropsFor


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The options of `enlarge export`."""

    output: Annotated[
        str,
        option(
            "Write model.onnx, model.safetensors, or model.param with model.bin beside it, for "
            "ncnn and upscayl. The file is compared with torch before it is saved.",
            name=["--output", "-o"],
            metavar="OUT",
        ),
    ]
    precision: Annotated[
        Literal["f32", "f16", "int8"],
        option(
            "Precision of the weights in the file (default: f32). f16 halves its size; the "
            "precision of the computation is chosen when the model is used. int8 is for "
            "convolutional networks and computes the convolutions in 8 bits."
        ),
    ] = "f32"
    calibrate: Annotated[
        Path | None,
        option(
            "For int8: measure value ranges on the photographs in this folder, fifty or more of "
            "the kind that will be enlarged. They are downscaled by the model's factor first.",
            metavar="FOLDER",
        ),
    ] = None
    tile: Annotated[
        int | None,
        option(
            "Fix the side of the input, for engines that do not accept any size.",
            metavar="PIXELS",
            converter=whole(1),
        ),
    ] = None
    overwrite: Annotated[bool, option("Replace an existing output.")] = False
    json: Annotated[bool, option("Print the card as JSON.")] = False
    verbose: Annotated[bool, option("Print the card too.", name=VERBOSE)] = False
    quiet: Annotated[bool, option("Print errors only.")] = False


def export(
    checkpoint: Annotated[
        str,
        Parameter(help="A .pth, .pt, .ckpt, .bin or .safetensors file, or the name of a model."),
    ],
    /,
    *,
    options: Annotated[ExportOptions, FLAT],
) -> None:
    """Write a model as .onnx, for any engine, .safetensors, for torch, or .param, for ncnn."""
    from enlarge.cli.progress import waiting
    from enlarge.weights.export import check_target, export_model

    refuse_both(options.quiet, options.verbose)
    target, tile = Path(options.output), options.tile or 0
    check_target(checkpoint, target, tile=tile, overwrite=options.overwrite)
    is_quiet = options.quiet or options.json
    int8 = _crops(options.precision, options.calibrate)
    with waiting(f"exporting {Path(checkpoint).name}", shown=not is_quiet):
        card = export_model(
            checkpoint,
            target,
            half=options.precision == "f16",
            int8=int8,
            tile=tile,
            overwrite=options.overwrite,
            quiet=is_quiet,
        )
    _print(card, target, options)


def _print(card: Card, target: Path, options: ExportOptions) -> None:
    """Print what was written."""
    from enlarge.cli.console import json_text, say

    if options.json:
        say(json_text(asdict(card) | {"file": str(target)}))
    elif not options.quiet:
        files = (
            [target, target.with_suffix(".bin")] if target.suffix.lower() == ".param" else [target]
        )
        size = sum(file.stat().st_size for file in files) / 1e6
        about = f"{card.network} ×{card.scale}, {card.parameters:,} parameters"
        close = card.scores["int8 to f32"]["psnr"] if options.precision == "int8" else 0.0
        how = f", int8, {close:.1f} dB to f32" if close else ""
        say(f"{target}  {about}, {size:.2f} MB{how}")
        if note := _for_others(card, target):
            say(f"  {note}")
        if options.verbose:
            for key, value in asdict(card).items():
                say(f"  {key.ljust(10)}  {value}")


def _for_others(card: Card, target: Path) -> str:
    """Which other programs open the file, where that is not plain."""
    match target.suffix.lower():
        case ".safetensors":
            from enlarge.weights.sharing import known_as

            if name := known_as(card):
                return f"spandrel and chaiNNer open it as {name}"
            return (
                f"for enlarge alone: spandrel and chaiNNer do not know the network {card.network}"
            )
        case ".param":
            from enlarge.weights.ncnn_writing import upscayl_factor

            if card.scale != upscayl_factor(target.stem):
                return (
                    f"upscayl takes it for ×{upscayl_factor(target.stem)} by its name; name it "
                    f"{target.stem}-x{card.scale}.param"
                )
            if card.multiple > 1:
                return f"takes sides that are multiples of {card.multiple} only"
    return ""


def _crops(precision: str, folder: Path | None) -> CropsFor | None:
    """For int8: what returns the crops to calibrate on, given the network's scale."""
    if precision != "int8":
        if folder is not None:
            raise OptionError(
                f"--calibrate and --precision {precision} contradict each other; "
                "--calibrate is for int8"
            )
        return None
    if folder is None:
        raise OptionError(
            "--precision int8 needs --calibrate FOLDER: photographs of the kind that will be "
            "enlarged, fifty or more"
        )
    from functools import partial

    from enlarge.data.calibration import calibration_crops, calibration_photos

    return partial(calibration_crops, calibration_photos(folder))
