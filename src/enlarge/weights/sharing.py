"""Networks as safetensors files that other programs open: through spandrel, as chaiNNer does.

The keys of some of this package's networks are those that their authors published, and that
spandrel knows. Files are compared with the network before they appear, where spandrel is installed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from enlarge.card import SPANDREL, Card
from enlarge.errors import WeightsError
from enlarge.networks.swinir import SwinIR
from enlarge.weights.measuring import natural_picture
from enlarge.weights.network_file import save_network
from enlarge.weights.onnx_file import copy_file
from enlarge.weights.spandrel_networks import (
    SpandrelNetwork,
    is_installed,
    through_spandrel,
)

_KNOWN = {"rrdb": "ESRGAN", "srvgg": "Compact", "swinir": "SwinIR"}
"""By this package's name, spandrel's."""
_TOLERANCE = 1e-4


def known_as(card: Card) -> str:
    """What spandrel calls the card's network, or "" if it does not know it."""
    options = card.options
    if card.is_from_spandrel:
        return card.network.removeprefix(SPANDREL)
    if card.network == "rrdb" and (
        options.get("growth", 32) != 32 or options.get("blocks", 23) < 2
    ):
        return ""  # spandrel takes the growth for 32, and takes one block for another network
    if card.network == "swinir" and options.get("window", 8) == 7:
        return ""  # spandrel takes windows of 7 for a network on 0–255
    return _KNOWN.get(card.network, "")


def write_parameters(network: nn.Module, card: Card, target: Path, *, half: bool = False) -> None:
    """Write the parameters as safetensors; those of this package's networks with their card.

    Raises `WeightsError` if spandrel knows the network, and makes another one of the file; nothing
    is written then.
    """
    with tempfile.TemporaryDirectory(prefix="enlarge-export-") as folder:
        file = Path(folder) / target.name
        if isinstance(network, SpandrelNetwork):
            state = network.inner.state_dict()
            save_file({key: _stored(value, half=half) for key, value in state.items()}, file)
        else:
            constants = network.constants() if isinstance(network, SwinIR) else {}
            more = constants if known_as(card) else {}
            save_network(network, card, file, half=half, more=more)
        if isinstance(network, SpandrelNetwork) or (known_as(card) and is_installed()):
            _compare(network, card, file)
        copy_file(file, target)


def _stored(value: Tensor, *, half: bool) -> Tensor:
    value = value.half() if half and value.is_floating_point() else value
    return value.contiguous().clone()


def _compare(network: Any, card: Card, file: Path) -> None:
    """Raise `WeightsError` unless spandrel makes the same network of the file."""
    side = card.fixed or -(-max(48, card.minimum) // card.multiple) * card.multiple
    image = torch.from_numpy(natural_picture(side))
    found = through_spandrel(load_file(file), card.name)
    what = f"{file.name}: spandrel, which other programs read it with,"
    if found is None:
        raise WeightsError(f"{what} does not know what it holds; not written")
    with torch.inference_mode():
        wanted, got = (model(image).numpy() for model in (network, found[0]))
    same = wanted.shape == got.shape
    apart = float(np.abs(wanted - got).max()) if same else np.inf
    if not apart <= _TOLERANCE * max(1.0, float(np.abs(wanted).max())):
        raise WeightsError(f"{what} computes another result (by {apart:.2g}); not written")
