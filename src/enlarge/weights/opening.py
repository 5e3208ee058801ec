"""Checkpoints as networks: by their card, by their keys, or through spandrel."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from enlarge.card import Card, read_card
from enlarge.engines.protocol import FOREIGN_ERRORS, first_line
from enlarge.errors import WeightsError
from enlarge.networks import build
from enlarge.weights.contents import model_kind
from enlarge.weights.foreign import check_weights, deduce, read_checkpoint
from enlarge.weights.network_file import describe_network, load_network
from enlarge.weights.spandrel_networks import INSTALL, import_spandrel, through_spandrel


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
    try:
        import_spandrel()
    except ImportError:
        return f". spandrel opens more architectures: {INSTALL}"
    except Exception as error:
        return f". spandrel, which opens more architectures, cannot be imported ({error})"
    return ""
