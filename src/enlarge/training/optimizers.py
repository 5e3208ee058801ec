"""Optimisers, their parameter groups, and the learning rate schedule."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from enlarge.networks.blocks import DirectUpsampler
from enlarge.training.config import Train
from enlarge.training.muon import Muon

_ENDS = frozenset({"head", "tail", "conv_first", "conv_last"})
"""Names of the first and last convolutions in the networks."""


def ends(network: nn.Module) -> set[str]:
    """Names of the kernels of a network's first and last layers."""
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
    """The hidden matrices, and all other parameters.

    Hidden are the kernels larger than 1×1 and the weights of linear layers, except those of the
    first and last layers.
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
    """Muon with AdamW, AdamW, or Adam. Each group stores its full rate as `initial_lr`."""
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
    return at_full_rate(found)


def at_full_rate(optimizers: list[torch.optim.Optimizer]) -> list[torch.optim.Optimizer]:
    """The same optimisers, whose groups store their rate as `initial_lr`: see `set_rate_factor`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def set_rate_factor(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Set the rate of every group to `factor` times its full rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor


def rate(progress: float, step: int, warmup: int, decay: float = 1.0) -> float:
    """The factor of the learning rate: linear warm-up over `warmup` steps, constant, then a cosine
    to zero over the last `decay` (0 to 1) of the run. `progress`: the completed share of the run.
    """
    fallen = max(0.0, progress - (1.0 - decay)) / decay if decay else 0.0
    return min(1.0, (step + 1) / max(warmup, 1)) * 0.5 * (1.0 + math.cos(math.pi * fallen))
