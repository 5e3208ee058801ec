"""What `enlarge export` writes, in the engines that it is written for, and opened here again. Both
are compared with the network in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks.checkpoints.elsewhere import Convention, in_onnxruntime
from benchmarks.checkpoints.families import in_spandrel
from benchmarks.checkpoints.pairs import in_ncnn
from benchmarks.checkpoints.rows import ODD, Case, Home
from enlarge.networks import build
from enlarge.weights.catalog import find_weights
from enlarge.weights.export import export_model
from enlarge.weights.network_file import load_network
from enlarge.weights.runner import Picture

_WINDOWS = ((40, 56), (72, 24), (64, 64))
"""Sizes for networks with windows of 8 pixels, which divide them."""
_HOMES: dict[str, Callable[[Path], Home]] = {
    ".param": in_ncnn,
    ".safetensors": in_spandrel,
    ".onnx": partial(in_onnxruntime, Convention("", name="image")),
}
"""By suffix, the engine that the file is written for."""


class Network(NamedTuple):
    """A bundled model by its name or, with an architecture, a network with random weights."""

    title: str
    architecture: str = ""
    options: Mapping[str, Any] | None = None


_ESRGAN = Network("ESRGAN, 6 blocks", "rrdb", {"blocks": 6})
_SRVGG = Network("SRVGG, 16 convolutions", "srvgg")
_SWINIR = Network("SwinIR, 2 × 2 layers", "swinir", {"depths": (2, 2), "heads": (6, 6), "scale": 2})
_EXPORTS = (
    *((network, ".param") for network in (Network("fast"), Network("fast-x2"), _SRVGG, _ESRGAN)),
    *((network, ".safetensors") for network in (_SRVGG, _ESRGAN, _SWINIR)),
    *((network, ".onnx") for network in (Network("fast"), Network("quality-x2"), _SRVGG)),
)


def cases() -> list[Case]:
    """All exports."""
    return [
        Case(
            network.title,
            ".param, .bin" if suffix == ".param" else suffix,
            partial(_export, network, suffix),
            _HOMES[suffix],
            _WINDOWS if network.title == "quality-x2" else ODD,
            64,
            partial(_in_torch, network),
        )
        for network, suffix in _EXPORTS
    ]


def _export(network: Network, suffix: str, folder: Path) -> Path:
    """The exported file in that folder."""
    source, target = network.title, folder / f"exported{suffix}"
    if network.architecture:
        source = str(folder / "trained.pth")
        torch.save(_built(network).state_dict(), source)
    export_model(source, target, quiet=True)
    return target


def _in_torch(network: Network, image: Picture) -> Picture:
    with torch.inference_mode():
        return np.asarray(_built(network)(torch.from_numpy(image)).numpy())


@lru_cache(1)
def _network(title: str) -> nn.Module:
    return load_network(find_weights(title).path.with_suffix(".safetensors"))[0]


def _built(network: Network) -> nn.Module:
    """The network in eval mode."""
    if not network.architecture:
        return _network(network.title)
    torch.manual_seed(0)
    return build(network.architecture, **(network.options or {})).eval()
