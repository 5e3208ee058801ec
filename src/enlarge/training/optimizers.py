"""Which optimiser takes which parameters, and the learning rate over a run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from enlarge.networks.blocks import DirectUpsampler
from enlarge.training.config import Train
from enlarge.training.muon import Muon

_ENDS = frozenset({"head", "tail", "conv_first", "conv_last"})
"""What the networks call the convolutions that take a picture or give one."""


def ends(network: nn.Module) -> set[str]:
    """Names of the kernels that come from pixels or go to them, whatever the network."""
    scale = int(network.scale)  # type: ignore[arg-type]
    found: set[str] = set()
    last = ""
    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            pixels = 3 in (module.in_channels, module.out_channels)
            if pixels or not _ENDS.isdisjoint(path.split(".")):
                found.add(f"{path}.weight")
            last = f"{path}.weight" if module.out_channels == 3 * scale * scale else ""
        elif isinstance(module, DirectUpsampler):
            found.add(f"{path}.0.weight")
    return found | ({last} if last else set())


def split_parameters(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The hidden matrices, and all the rest.

    Hidden are kernels wider than 1×1 and the weights of linear layers, except where they come
    from pixels or go to them.
    """
    linear = {
        f"{path}.weight"
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear)
    }
    outer = ends(network)
    hidden: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in network.named_parameters():
        kernel = parameter.ndim == 4 and parameter.shape[-1] > 1
        is_hidden = (kernel or name in linear) and name not in outer
        (hidden if is_hidden else rest).append(parameter)
    return hidden, rest


def make_optimizers(network: nn.Module, train: Train) -> list[torch.optim.Optimizer]:
    """Muon + AdamW, AdamW or Adam; each group remembers its full rate as `initial_lr`."""
    if train.optimizer == "adam":
        found: list[torch.optim.Optimizer] = [
            torch.optim.Adam(network.parameters(), lr=train.lr, fused=True)
        ]
    elif train.optimizer == "adamw":
        found = [
            torch.optim.AdamW(
                network.parameters(), lr=train.lr, weight_decay=train.weight_decay, fused=True
            )
        ]
    else:
        hidden, rest = split_parameters(network)
        found = [
            Muon(hidden, lr=train.lr, weight_decay=train.weight_decay),
            torch.optim.AdamW(rest, lr=train.lr_rest, weight_decay=0.0, fused=True),
        ]
    for optimizer in found:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return found


def set_rate(optimizers: list[torch.optim.Optimizer], share: float) -> None:
    """Let every group learn at this share of its full rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * share


def rate(progress: float, step: int, warmup: int, decay: float = 1.0) -> float:
    """The share of the full learning rate: linear warm-up, constant, then a cosine to zero over
    the last `decay` of the run (1: from the start on; 0: never).
    """
    fallen = max(0.0, progress - (1.0 - decay)) / decay if decay else 0.0
    return min(1.0, (step + 1) / max(warmup, 1)) * 0.5 * (1.0 + math.cos(math.pi * fallen))
