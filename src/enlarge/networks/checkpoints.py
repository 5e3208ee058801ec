"""What the keys and shapes of a state dict tell about a network: the parts that detectors share.

A checkpoint of another project does not say which network it holds. Each network's module therefore
has a detector for every layout in which its checkpoints are published; the table `LAYOUTS` lists
them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

State = dict[str, Tensor]


class Detected(NamedTuple):
    """Hyper-parameters as keyword arguments of the network, and the state dict with its keys."""

    options: dict[str, Any]
    state: State


Detector = Callable[[State], Detected | None]
"""Gives None where the keys belong to another network. For damaged shapes it may raise
`ArithmeticError`, `LookupError` or `ValueError`.
"""


class CheckpointLayout(NamedTuple):
    """One way in which the parameters of a network are named in checkpoints."""

    network: str
    title: str
    detect: Detector


def count_modules(state: State, pattern: str) -> int:
    """One more than the largest number that `pattern` captures at the start of a key, or 0.

    Raises `ValueError` if that is more than the file can hold.
    """
    numbers = [int(m[1]) for key in state if (m := re.match(pattern, key))]
    found = max(numbers, default=-1) + 1
    if found > len(state) + 1:
        raise ValueError(f"a key says that there are {found}, the file has {len(state)} tensors")
    return found


def renamed(state: State, *rules: tuple[str, str]) -> State:
    """The state dict with all rules (pattern, replacement) applied to every key, in order."""

    def rename(key: str) -> str:
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        return key

    return {rename(key): value for key, value in state.items()}


def shuffled_scale(state: State, pattern: str = r"upsample\.\d+\.weight") -> int:
    """The scale of an `Upsampler`: the product of the factors of the convolutions, whose keys match
    `pattern`, before its pixel shuffles.
    """
    scale = 1
    for key, weight in state.items():
        if re.fullmatch(pattern, key):
            scale *= math.isqrt(weight.shape[0] // weight.shape[1])
    return scale


def direct_scale(weight: Tensor) -> int:
    """The scale of a `DirectUpsampler`, from its convolution to 3·scale² channels."""
    return math.isqrt(weight.shape[0] // 3)


def window_and_heads(table: Tensor) -> tuple[int, int]:
    """Window and heads of a relative position bias table, ((2·window − 1)², heads)."""
    rows, heads = table.shape
    return (math.isqrt(rows) + 1) // 2, heads


def divided_biases(state: State, span: float) -> State:
    """Rescale a network of convolutions and ReLUs from pictures in 0–`span` to [0, 1], exactly."""
    return {key: value / span if key.endswith("bias") else value for key, value in state.items()}
