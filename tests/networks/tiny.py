"""A tiny instance of every network, so that the contract tests run in seconds.

A network that is added to the table must be added here; a test says so.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enlarge.networks import build

TINY: dict[str, dict[str, Any]] = {
    "edsr": {"features": 8, "blocks": 2, "scaling": 0.5},
    "edswin": {"features": 8, "blocks": 2, "heads": 2, "window": 4},
    "edswin-deck": {
        "features": 8,
        "blocks": 1,
        "dim": 8,
        "depths": (2,),
        "heads": (2,),
        "window": 4,
    },
    "msrresnet": {"features": 8, "blocks": 2},
    "replain": {"channels": 8, "blocks": 2, "taps": 3},
    "rrdb": {"features": 8, "blocks": 1, "growth": 4},
    "srresnet": {"features": 8, "blocks": 2},
    "srvgg": {"features": 8, "convs": 3},
    "swinir": {"dim": 8, "depths": (2, 1), "heads": (2, 2), "window": 4},
}

SCALES: dict[str, tuple[int, ...]] = {
    "edsr": (2, 3, 4, 8),
    "edswin": (2, 3, 4, 8),
    "edswin-deck": (2, 3, 4),
    "msrresnet": (2, 3, 4),
    "replain": (2, 3, 4),
    "rrdb": (1, 2, 4, 8),
    "srresnet": (2, 3, 4, 8),
    "srvgg": (1, 2, 3, 4),
    "swinir": (2, 3, 4, 8),
}

CASES = [(name, scale) for name in TINY for scale in SCALES[name]]


def tiny(name: str, **options: Any) -> nn.Module:
    """The tiny network of that name, with seeded weights, in evaluation mode."""
    torch.manual_seed(0)
    return build(name, **{**TINY[name], **options}).eval()


def picture(height: int, width: int, batch: int = 1, seed: int = 0) -> Tensor:
    """A seeded random picture, (batch, 3, height, width) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, height, width, generator=generator)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
