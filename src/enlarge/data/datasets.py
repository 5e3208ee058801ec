"""Batches for torch: a dataset whose items are batches, and the order in which they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from enlarge.data.patches import Patches
from enlarge.data.photos import Pair, Pixels


class Batch(NamedTuple):
    """LR (B, 3, p, p) and HR (B, 3, sp, sp), uint8 RGB, and the batch's number; with results of a
    teacher, those, like HR.
    """

    low: Tensor
    high: Tensor
    number: int
    taught: Tensor | None = None


class Judged(NamedTuple):
    """A validation picture: its part and name, LR (1, 3, h, w) and HR (1, 3, sh, sw), uint8."""

    part: str
    name: str
    low: Tensor
    high: Tensor


def to_planes(pixels: Pixels) -> Tensor:
    """uint8 (N, H, W, 3) to (N, 3, H, W), channels-last; a copy only if it is not contiguous."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)


class Batches(Dataset[Batch]):
    """Item i is the batch of number i; there is no last one."""

    def __init__(self, patches: Patches, size: int) -> None:
        self.patches, self.size = patches, size

    def __getitem__(self, number: int) -> Batch:
        low, high, taught = self.patches.batch(number, self.size)
        learned = None if taught is None else to_planes(taught)
        return Batch(to_planes(low), to_planes(high), number, learned)


class Numbers(Sampler[int]):
    """The batch numbers of one stretch, read again whenever a stretch begins."""

    def __init__(self, stretch: Callable[[], range]) -> None:
        self.stretch = stretch

    def __iter__(self) -> Iterator[int]:
        return iter(self.stretch())


class Judges(Dataset[Judged]):
    """The pictures of all validation parts, one at a time."""

    def __init__(self, parts: dict[str, Sequence[Pair]]) -> None:
        self.parts = parts
        self.order = [(part, i) for part, pairs in parts.items() for i in range(len(pairs))]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Judged:
        part, i = self.order[index]
        pair = self.parts[part][i]
        return Judged(part, pair.name, to_planes(pair.low[None]), to_planes(pair.high[None]))


def train_loader(
    patches: Patches, size: int, stretch: Callable[[], range], workers: int
) -> DataLoader[Batch]:
    """Batches in the order of `stretch`, made by `workers` processes (0: by this one).

    The processes are spawned, because libvips waits for threads that a fork does not have. They
    receive the pairs once.
    """
    return DataLoader(
        Batches(patches, size),
        batch_size=None,
        sampler=Numbers(stretch),
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
    )


def judge_loader(parts: dict[str, Sequence[Pair]], rank: int, world: int) -> DataLoader[Judged]:
    """The validation pictures of process `rank` of `world`."""
    data = Judges(parts)
    numbers = range(rank, len(data), world)
    return DataLoader(data, batch_size=None, sampler=Numbers(lambda: numbers))
