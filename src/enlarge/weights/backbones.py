"""torchvision's published ImageNet classifiers, for losses and metrics on feature maps."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from enlarge.digests import file_digest
from enlarge.errors import WeightsError
from enlarge.networks.backbones import VGG16, VGG19, AlexNet, Backbone
from enlarge.weights.foreign import read_checkpoint

PUBLISHED = {
    "alexnet": "alexnet-owt-7be5be79.pth",
    "vgg16": "vgg16-397923af.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
}
"""The file of each network, at https://download.pytorch.org/models/."""

_BUILDERS: dict[str, Callable[[], Backbone]] = {"alexnet": AlexNet, "vgg16": VGG16, "vgg19": VGG19}


class LoadedBackbone(NamedTuple):
    """A backbone, frozen and in eval mode, and the first 8 digits of its file's SHA-256, which are
    part of the names of torchvision's files.
    """

    network: Backbone
    digest: str


def load_backbone(path: Path, name: str) -> LoadedBackbone:
    """The network `name` (a key of `PUBLISHED`) with the weights of torchvision's file.

    Runs no code of the file. Raises `WeightsError` if the file is missing or damaged, or holds
    another network.
    """
    digest = _digest(path)
    network = _BUILDERS[name]()
    state = read_checkpoint(path)
    wanted = network.state_dict()
    if difference := _difference(state, wanted):
        raise WeightsError(
            f"{path} does not hold {name}: {difference}; expected {PUBLISHED[name]} of "
            "https://download.pytorch.org/models/"
        )
    network.load_state_dict({key: state[key] for key in wanted})
    return LoadedBackbone(network.eval().requires_grad_(False), digest)


def _difference(state: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> str:
    """Which of the wanted keys and shapes are missing; empty if none is."""
    missing = [key for key in wanted if not isinstance(state.get(key), Tensor)]
    if missing:
        there = ", ".join([str(key) for key in state][:3]) or "nothing"
        return (
            f"it has no {missing[0]} ({len(missing)} of {len(wanted)} keys are missing); "
            f"its keys are {there} …"
        )
    for key, value in wanted.items():
        if state[key].shape != value.shape:
            found, due = tuple(state[key].shape), tuple(value.shape)
            return f"its {key} is {found}, expected {due}"
    return ""


def _digest(path: Path) -> str:
    """The first 8 digits of the SHA-256, which must be those in the file's name, if it has any."""
    try:
        digest = file_digest(path)[:8]
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    promised = re.search(r"-([0-9a-f]{8})\.[a-z]+$", path.name)
    if promised and promised[1] != digest:
        raise WeightsError(
            f"{path} is damaged or incomplete: its SHA-256 begins with {digest}, expected "
            f"{promised[1]} from its name; download it again"
        )
    return digest
