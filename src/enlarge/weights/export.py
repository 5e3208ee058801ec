"""`enlarge export`: a model as a file for engines (ONNX), for torch (safetensors), or for ncnn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from enlarge.card import Card
from enlarge.errors import OptionError, OutputError, WeightsError
from enlarge.model_file import Weights
from enlarge.weights.catalog import find_weights
from enlarge.weights.contents import model_kind
from enlarge.weights.files import needing_torch
from enlarge.weights.starting import is_foreign

SUFFIXES = (".onnx", ".safetensors", ".param")
CropsFor = Callable[[int, int], tuple[Sequence[Any], Sequence[Any]]]
"""From a network's scale and multiple to low-resolution crops, uint8 h×w×3: those to calibrate on,
and others to verify on.
"""


def export_model(
    model: str,
    target: Path,
    *,
    half: bool = False,
    int8: CropsFor | None = None,
    tile: int = 0,
    overwrite: bool = False,
    quiet: bool = False,
) -> Card:
    """Write a model, given by name or path, as `target`, .onnx, .safetensors or .param (and .bin).
    Returns its card.

    `half` stores weights as fp16, after rounding the network that is verified. `int8` provides the
    crops on which the convolutions of an ONNX file are quantised, and others on which it must stay
    close to f32 (see `quantizing`). `tile` fixes the side of an ONNX file's input (0: free).

    Raises `WeightsError`, `OptionError`, `OutputError` or what `int8` raises; nothing is written
    then.
    """
    check_target(model, target, tile=tile, overwrite=overwrite)
    if int8 is not None:
        check_int8(target, half=half)
    if target.suffix.lower() == ".param":
        _check_pnnx()
    network, card = _opened(model, target, quiet=quiet)
    from enlarge.weights.network_file import round_to_half

    if tile:
        _check_side(tile, card)
        card = replace(card, fixed=tile, tiles={})
    if int8 is not None:
        return _export_int8(network, card, target, int8)
    if half:
        round_to_half(network)
    match target.suffix.lower():
        case ".safetensors":
            from enlarge.weights.sharing import write_parameters

            write_parameters(network, card, target, half=half)
        case ".param":
            from enlarge.weights.ncnn_writing import write_pair

            write_pair(network, card, target, half=half)
        case _:
            return _export_onnx(network, card, target, half=half)
    return card


def _opened(model: str, target: Path, *, quiet: bool) -> tuple[Any, Card]:
    """A model's network, and its card with the name of the target. Raises `WeightsError`."""
    path = Path(model)
    with needing_torch(path):
        from enlarge.weights.opening import open_network

    is_checkpoint = is_foreign(model) and model_kind(path) in ("checkpoint", "safetensors")
    if is_checkpoint and target.suffix.lower() != ".onnx":
        network, card = open_network(path)
        if card.is_from_spandrel:
            return network, replace(card, name=target.stem)  # nothing needs to be measured
    weights = find_weights(model, quiet=quiet)
    source = _parameters_of(model, weights)
    if weights.card.network == "onnx":  # a graph does not tell its network
        weights = find_weights(str(source), quiet=quiet)
    return open_network(source)[0], replace(weights.card, name=target.stem)


def _export_onnx(network: Any, card: Card, target: Path, *, half: bool) -> Card:
    """Write an ONNX file. Returns its card, which is measured if it was not."""
    from enlarge.weights.measuring import measured
    from enlarge.weights.onnx_file import copy_file, export_onnx, with_card

    with tempfile.TemporaryDirectory(prefix="enlarge-export-") as folder:
        whole = Path(folder) / f"{target.stem}.onnx"
        export_onnx(network, card, whole, half=half, traced=card.is_from_spandrel)
        if not card.tiles:
            card = measured(whole, card)
            with_card(whole, card)
        copy_file(whole, target)
    return card


def check_int8(target: Path, *, half: bool = False) -> None:
    """Check what contradicts int8, and that NNCF is installed, before any work.

    Raises `OptionError` or `WeightsError`.
    """
    from enlarge.weights.quantizing import need_nncf

    if half:
        raise OptionError("f16 and int8 contradict each other; export in one of them")
    if target.suffix.lower() != ".onnx":
        raise OptionError(
            f"--precision int8 and -o {target} contradict each other; int8 is for .onnx"
        )
    need_nncf()


def _check_pnnx() -> None:
    """Raise `WeightsError` where what writes models of ncnn is missing, before any work."""
    with needing_torch(Path("pnnx")):
        from enlarge.weights.ncnn_writing import need_pnnx

    need_pnnx()


def _export_int8(network: Any, card: Card, target: Path, crops_for: CropsFor) -> Card:
    """Quantise in a temporary folder, and copy the finished file to the target."""
    from enlarge.weights import quantizing
    from enlarge.weights.measuring import working_sets
    from enlarge.weights.onnx_file import copy_file, export_onnx, fix_sides, with_card

    quantizing.check_can_quantize(card)
    with tempfile.TemporaryDirectory(prefix="enlarge-int8-") as folder:
        exact, whole = Path(folder) / "f32.onnx", Path(folder) / f"{target.stem}.onnx"
        traced = card.is_from_spandrel
        export_onnx(network, replace(card, fixed=0), exact, traced=traced)
        calibration, held_out = map(quantizing.to_pictures, crops_for(card.scale, card.multiple))
        quantizing.quantize_onnx(exact, whole, calibration)
        decibels = quantizing.agreement(exact, whole, held_out)
        quantizing.check_agreement(target.name, decibels)
        if card.fixed:
            fix_sides(whole, card)
        sides = tuple(card.tiles) or None
        scores = {"int8 to f32": {"psnr": decibels}}
        card = replace(card, precisions=("int8",), scores=scores)
        card = replace(card, tiles=working_sets(whole, card, sides))
        with_card(whole, card)
        copy_file(whole, target)
    return card


def _parameters_of(model: str, weights: Weights) -> Path:
    """The file with a model's parameters. Raises `WeightsError` if there is none."""
    beside = weights.path.with_suffix(".safetensors")
    if beside.is_file():
        return beside
    if not Path(model).is_file() or model_kind(Path(model)) == "onnx":
        raise WeightsError(
            f"{model}: export needs a network's parameters, which an .onnx file alone does not "
            f"contain; expected a checkpoint, or {beside.name} beside it"
        )
    return Path(model)


def check_target(model: str, target: Path, *, tile: int, overwrite: bool) -> None:
    """Check the target before any work. Raises `OptionError` or `OutputError`."""
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(
            "-o must end in .onnx, .safetensors or, for ncnn, .param, got "
            f"{target.suffix or target.name!r}"
        )
    if tile and suffix != ".onnx":
        raise OptionError(f"--tile and -o {target} contradict each other; --tile is for .onnx")
    if not target.absolute().parent.is_dir():
        raise OutputError(f"{target}: the folder {target.parent} does not exist")
    for file in (target, target.with_suffix(".bin")) if suffix == ".param" else (target,):
        if not file.exists():
            continue
        if Path(model).exists() and file.samefile(model):
            raise OutputError(f"{file}: is the input itself; choose another file with -o")
        if not file.is_file():
            raise OutputError(f"{file}: is not a regular file; choose another with -o")
        if not overwrite:
            raise OutputError(f"{file} exists; --overwrite replaces it, -o names another place")


def _check_side(tile: int, card: Card) -> None:
    least = max(3 * card.halo, 1)
    least = -(-least // card.multiple) * card.multiple
    if tile < least or tile % card.multiple:
        steps = f", in steps of {card.multiple}" if card.multiple > 1 else ""
        raise OptionError(
            f"--tile must be at least {least} for this network, whose tiles overlap by {card.halo} "
            f"pixels on each side{steps}; got {tile}"
        )
