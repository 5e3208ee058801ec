"""Checkpoints of other projects that run at once: in torch, until they are prepared.

Converting a checkpoint to ONNX and measuring it takes from seconds to minutes, opening it in torch
one or two seconds. Until it is prepared its card is cautious: f32 alone, an overlap of `EXACT`
pixels where the receptive margin is larger, and tiles whose memory is computed from the network.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from enlarge.card import EXACT, Card, read_card
from enlarge.engines.protocol import FOREIGN_ERRORS, first_line
from enlarge.errors import OptionError, WeightsError
from enlarge.model_file import NCNN, Weights
from enlarge.weights.catalog import AUTO, auto_weights, find_weights, list_weights
from enlarge.weights.files import needing_torch

_DEVICES = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_SIDES = (64, 128, 192, 256, 384, 512)
_COUNTED = 64
"""The side of the picture on which the memory is counted."""
_WORK = 5e12
"""Floating-point operations that a tile may cost: some 30 seconds on two cores."""
_FIXED, _SPARE = 60_000_000, 1.25
"""Working sets in torch were 0.95 to 1.2 times what tensors hold, and about 40 MB."""


def starting_weights(
    model: str | Path,
    scale: float | None = None,
    *,
    strength: float | None = None,
    engine: str = "auto",
    device: str = "auto",
    quiet: bool = False,
) -> Weights:
    """As `find_weights`, but a checkpoint that is not prepared comes with its network in torch, if
    `engine` and `device` allow that, and `auto` with the models that it chooses among. Raises
    `WeightsError` or `OptionError`.
    """
    path = Path(model)
    if str(model) == AUTO:
        if strength is not None:
            raise OptionError(
                f"--strength {strength:g} needs --model photo or photo-sharp: auto, the default, "
                "mixes no models"
            )
        return auto_weights(scale)
    may_start = engine in ("auto", "torch") and _DEVICES.fullmatch(device) is not None
    if strength is None and may_start and is_foreign(model):
        from enlarge.weights.contents import model_kind
        from enlarge.weights.preparing import find_prepared

        if model_kind(path) in ("checkpoint", "safetensors"):
            found = find_prepared(path)
            if found is None:
                return _unprepared(path)
            return _back_in_torch(path, found) if engine == "torch" else found
    return find_weights(model, scale, strength=strength, quiet=quiet)


def _back_in_torch(path: Path, prepared: Weights) -> Weights:
    """A prepared checkpoint for torch: networks that are not of this package have no parameters
    beside their ONNX file, and are built from the checkpoint again.
    """
    if not prepared.card.is_from_spandrel:
        return prepared
    known, anew = prepared.card, _unprepared(path)
    return replace(
        anew, card=replace(anew.card, margin=known.margin, halo=known.halo, step=known.step)
    )


def is_foreign(model: str | Path) -> bool:
    """Whether this is a model file without a card, of another project."""
    path = Path(model)
    try:
        if not path.is_file() or str(model) in {known.path.stem for known in list_weights()}:
            return False
        from enlarge.weights.contents import MODELS, look

        kind = look(path).kind
        return kind in ("checkpoint", NCNN) or (kind in MODELS and read_card(path) is None)
    except WeightsError:
        return False  # whoever opens it says why


def _unprepared(path: Path) -> Weights:
    from enlarge.weights.contents import model_kind
    from enlarge.weights.pickled import check_checkpoint
    from enlarge.weights.tensors import check_tensors

    kind = model_kind(path)
    check_tensors(path, kind)
    check_checkpoint(path, kind)
    with needing_torch(path):
        from enlarge.weights.activations import activation_bytes
        from enlarge.weights.opening import open_network

        network, card = open_network(path)
    counted = card.fixed or card.padded(_COUNTED)
    try:
        size = activation_bytes(network, counted)
    except FOREIGN_ERRORS as error:
        raise WeightsError(
            f"{path}: its network does not run on a picture ({first_line(error)})"
        ) from error
    card = replace(card, name=path.stem, halo=_halo(card))
    per_pixel = _SPARE * size / counted**2
    tiles = {side: round(_FIXED + per_pixel * side * side) for side in _sides(card)}
    return Weights(path, replace(card, tiles=tiles), source=path, network=network)


def _sides(card: Card) -> list[int]:
    """Those that tiles may have."""
    if card.fixed:
        return [card.fixed]
    smallest = card.padded(max(3 * card.halo, 1))
    sides = [card.padded(side) for side in _SIDES]
    return [
        side
        for side in sides
        if side >= smallest and card.flops * (side * card.scale) ** 2 <= _WORK
    ] or [smallest]


def _halo(card: Card) -> int:
    """The margin or, where that is large or unbounded, the most that is ever measured for it."""
    if card.fixed:
        return card.fixed // 4 // card.multiple * card.multiple
    if card.margin is not None and card.margin <= EXACT:
        return card.margin
    return -(-EXACT // card.multiple) * card.multiple
