"""`enlarge export CHECKPOINT -o model.onnx`: any model as a file that describes itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from enlarge.cli.options import Quiet, Switch, Verbose, refuse_both, whole
from enlarge.errors import OptionError

if TYPE_CHECKING:
    from enlarge.weights.export import CropsFor


def export(
    checkpoint: str,
    /,
    *,
    output: Annotated[str, Parameter(name=["--output", "-o"], metavar="OUT")],
    precision: Literal["f32", "f16", "int8"] = "f32",
    calibrate: Annotated[Path | None, Parameter(metavar="FOLDER")] = None,
    tile: Annotated[int | None, Parameter(metavar="PIXELS", converter=whole(1))] = None,
    overwrite: Switch = False,
    json: Switch = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Write a model as .onnx, for engines, or as .safetensors, for torch, with its card.

    Parameters
    ----------
    checkpoint
        A .pth, .pt, .ckpt, .bin or .safetensors file, or the name of a model.
    output
        model.onnx or model.safetensors. The ONNX file is compared with torch before it appears.
    precision
        How weights are stored: f32; f16 for half the size (the network still computes in f32); or
        int8, for convolutional networks, whose convolutions are then computed in 8 bits.
    calibrate
        For int8: photographs of the kind that will be enlarged, fifty or more. They are reduced
        first, as pictures that need enlarging were.
    tile
        Fix the side of the input, for engines that cannot take any size.
    overwrite
        Replace the output if it exists.
    json
        Print the card as JSON.
    verbose
        Also say what the card holds.
    quiet
        Say nothing but errors.

    """
    from dataclasses import asdict
    from json import dumps

    from enlarge.cli.console import say
    from enlarge.weights.export import check_target, export_model

    refuse_both(quiet, verbose)
    target = Path(output)
    check_target(checkpoint, target, tile=tile or 0, overwrite=overwrite)
    card = export_model(
        checkpoint,
        target,
        half=precision == "f16",
        int8=_crops(precision, calibrate),
        tile=tile or 0,
        overwrite=overwrite,
        quiet=quiet or json,
    )
    if json:
        say(dumps(asdict(card) | {"file": str(target)}, ensure_ascii=False, indent=2))
    elif not quiet:
        size = target.stat().st_size / 1e6
        about = f"{card.network} ×{card.scale}, {card.parameters:,} parameters"
        close = card.scores["int8 to f32"]["psnr"] if precision == "int8" else 0.0
        how = f", int8, {close:.1f} dB to f32" if close else ""
        say(f"{target}  {about}, {size:.2f} MB{how}")
        if verbose:
            for key, value in asdict(card).items():
                say(f"  {key.ljust(10)}  {value}")


def _crops(precision: str, folder: Path | None) -> CropsFor | None:
    """Where int8 is wanted: what crops to calibrate on, once the network's scale is known."""
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
