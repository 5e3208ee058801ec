"""The cells of the deck's table: three models at one size, two seeds, two recipes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

FACTOR = 4
"""Every width, and every number of layers, is the deck's divided by this (heads: what divides)."""
MUON = ["train.optimizer=muon", "train.lr=0.01", "train.decay=0.5", "train.warmup=50",
        "train.ema=0.99", "train.clip=1.0"]  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A model at this machine's size, a seed, and what differs from the deck's recipe."""

    network: str
    options: dict[str, Any]
    seed: int
    overrides: list[str] = field(default_factory=list)
    about: str = "the deck's: L1, Adam 1e-4, cosine, batch 16"

    @property
    def check_every(self) -> int:
        """Steps from one point of the curve to the next: a step of the hybrid takes 4 seconds."""
        return 40 if self.network == "edswin-deck" else 100


_EDSR = {"features": 64 // FACTOR, "blocks": 16 // FACTOR}
_LIGHT = {"dim": 60 // FACTOR, "heads": 3}
# Swin layers come in pairs, plain and shifted.
_STL = 2 * math.ceil(6 / FACTOR / 2)
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "edsr": ("edsr", _EDSR),
    "swinir": (
        "swinir",
        {"dim": _LIGHT["dim"], "depths": [_STL] * 3, "heads": [_LIGHT["heads"]] * 3},
    ),
    "hybrid": (
        "edswin-deck",
        {
            "features": 256 // FACTOR,
            "blocks": 64 // FACTOR,
            "dim": _LIGHT["dim"],
            "depths": [_STL] * 4,
            "heads": [_LIGHT["heads"]] * 4,
        },
    ),
}
CELLS: dict[str, Cell] = {
    f"{name}-{seed}": Cell(network, options, seed)
    for name, (network, options) in OPTIONS.items()
    for seed in (1, 2)
} | {
    f"{name}-muon": Cell(network, options, 1, MUON, "Muon 0.01, running average, clipping")
    for name, (network, options) in OPTIONS.items()
}
