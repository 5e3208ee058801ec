"""`enlarge export CHECKPOINT -o model.onnx`: any model as a file that describes itself."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from enlarge.cli.options import Quiet, Switch, Verbose, refuse_both, whole


def export(
    checkpoint: str,
    /,
    *,
    output: Annotated[str, Parameter(name=["--output", "-o"], metavar="OUT")],
    precision: Literal["f32", "f16"] = "f32",
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
        How weights are stored: f32, or f16 for half the size (the network still computes in f32).
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
    from pathlib import Path

    from enlarge.cli import say
    from enlarge.weights.preparing import export_model

    refuse_both(quiet, verbose)
    target = Path(output)
    card = export_model(
        checkpoint,
        target,
        half=precision == "f16",
        tile=tile or 0,
        overwrite=overwrite,
        quiet=quiet or json,
    )
    if json:
        say(dumps(asdict(card) | {"file": str(target)}, ensure_ascii=False, indent=2))
    elif not quiet:
        size = target.stat().st_size / 1e6
        about = f"{card.network} ×{card.scale}, {card.parameters:,} parameters"
        say(f"{target}  {about}, {size:.2f} MB")
        if verbose:
            for key, value in asdict(card).items():
                say(f"  {key.ljust(10)}  {value}")
