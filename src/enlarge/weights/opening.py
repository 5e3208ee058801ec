"""Checkpoints as networks: by their card, by their keys, or through spandrel."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from enlarge.card import Card, read_card
from enlarge.engines.protocol import FOREIGN_ERRORS, first_line
from enlarge.errors import WeightsError
from enlarge.networks import build
from enlarge.version import __version__
from enlarge.weights.contents import model_kind
from enlarge.weights.foreign import check_weights, deduce, read_checkpoint
from enlarge.weights.network_file import describe_network, load_network

SPANDREL = "spandrel:"
"""On a card, the prefix of the names of spandrel's networks."""


def open_network(path: Path) -> tuple[nn.Module, Card]:
    """The network of a `.safetensors` or pickled checkpoint, in eval mode, and its card.

    The card is complete if the file carries one, otherwise what the network itself tells (see
    `describe_network`), without margin and halo if the network is spandrel's. Raises `WeightsError`
    if nothing can open the file.
    """
    if model_kind(path) == "safetensors" and read_card(path) is not None:
        return load_network(path)
    checkpoint = read_checkpoint(path)
    try:
        check_weights(checkpoint)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    try:
        architecture, options, state = deduce(checkpoint)
    except WeightsError as error:
        try:
            found = through_spandrel(checkpoint, path.stem)
        except WeightsError as other:
            raise WeightsError(f"{path}: {other}") from other
        except FOREIGN_ERRORS as failure:
            what = f"{error}; spandrel cannot build its network: {first_line(failure)}"
            raise WeightsError(f"{path}: {what}") from failure
        if found is None:
            raise WeightsError(f"{path}: {error}{_hint()}") from error
        return found
    try:
        network = build(architecture, **options)
        network.load_state_dict(state)
        network.eval().requires_grad_(requires_grad=False)
        return network, describe_network(
            network, name=path.stem, architecture=architecture, options=options
        )
    except Exception as error:  # of torch, for shapes that fit each other and yet make no network
        raise WeightsError(
            f"{path}: its keys are those of {architecture}, but with its shapes that network does "
            f"not run ({first_line(error)}); it may be damaged: download it again"
        ) from error


def _hint() -> str:
    """What else the user could try."""
    from importlib.util import find_spec

    if find_spec("spandrel") is None:
        return '. spandrel opens more architectures: pip install "enlarge[torch]" spandrel'
    try:
        import_spandrel()
    except Exception as error:
        return f". spandrel, which opens more architectures, cannot be imported ({error})"
    return ""


def import_spandrel() -> Any:
    """Import spandrel without warnings. This fails in many ways if torchvision, its dependency, was
    built for another version of torch.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import spandrel
    return spandrel


class SpandrelNetwork(nn.Module):
    """A network of spandrel's with the interface of `enlarge.networks`.

    (1, 3, H, W) → (1, 3, sH, sW), RGB in [0, 1], not clamped; `multiple` divides H and W.
    """

    margin = None

    def __init__(
        self,
        inner: nn.Module,
        *,
        scale: int,
        multiple: int,
        call: Callable[[nn.Module, Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.inner, self.scale, self.multiple, self.call = inner, scale, multiple, call

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102 - stands at the module
        return self.call(self.inner, image)


def through_spandrel(checkpoint: Mapping[str, Any], name: str) -> tuple[nn.Module, Card] | None:
    """The checkpoint's network and card through spandrel.

    None if spandrel is not installed, or does not know the network either. Raises `WeightsError`
    (without the file's name) if the network does not enlarge RGB pictures, and one of
    `FOREIGN_ERRORS` if spandrel cannot build it.
    """
    try:
        spandrel = import_spandrel()
    except Exception:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(checkpoint))
    except spandrel.UnsupportedModelError:
        return None
    kind = model.architecture.name
    if not isinstance(model, spandrel.ImageModelDescriptor):
        raise WeightsError(f"is a {kind} network, which does not only enlarge pictures")
    if (model.input_channels, model.output_channels) != (3, 3):
        raise WeightsError(
            f"is a {kind} network of {model.input_channels} channels in and "
            f"{model.output_channels} out; expected RGB, 3 in and 3 out"
        )
    needs = model.size_requirements
    multiple = needs.multiple_of * max(1, math.ceil((needs.minimum or 0) / needs.multiple_of))
    inner = model.model.float().eval().requires_grad_(requires_grad=False)
    # Some networks take another range or more channels, which spandrel converts.
    call = model._call_fn
    network = SpandrelNetwork(inner, scale=model.scale, multiple=multiple, call=call).eval()
    try:
        flops = _flops(network)
    except FOREIGN_ERRORS as error:
        raise WeightsError(
            f"its {kind} network, as spandrel builds it, does not run on a picture; its "
            f"width may not suit its heads or windows ({first_line(error)})"
        ) from error
    card = Card(
        name=name,
        network=SPANDREL + kind,
        options={},
        scale=model.scale,
        margin=None,
        halo=0,
        multiple=multiple,
        parameters=sum(p.numel() for p in inner.parameters()),
        flops=flops,
        version=__version__,
    )
    return network, card


def _flops(network: SpandrelNetwork) -> float:
    """As `flops_per_output_pixel`, but computed on a small picture, since other projects' networks
    may not run on the meta device.
    """
    side = math.ceil(32 / network.multiple) * network.multiple
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        copy.deepcopy(network)(torch.zeros(1, 3, side, side))
    return float(counter.get_total_flops()) / (side * network.scale) ** 2
