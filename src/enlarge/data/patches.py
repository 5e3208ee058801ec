"""Aligned patches of pairs for training, on a grid or at random positions.

What is drawn depends on the seed and the batch's number alone, so that resumed runs and runs of
several processes draw the same patches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from enlarge.data.photos import Pair, Pixels
from enlarge.errors import DataError

Crops = Literal["random", "grid"]
Augment = Literal["none", "flips", "all"]
_ORIENTATIONS: dict[str, tuple[int, ...]] = {
    "none": (0,),
    "flips": (0, 2, 4, 6),
    "all": tuple(range(8)),
}
CANDIDATES = 4
"""Random crops of which a textured one is the most contrasted."""
_CONTEXT = 8
"""LR pixels around a patch that are degraded too, so that the patch has no artificial edges."""


class PatchPosition(NamedTuple):
    """The position of a patch: its pair, first LR row and column, and orientation."""

    pair: int
    y: int
    x: int
    turn: int


class Cut(NamedTuple):
    """The patches of a batch: LR (B, p, p, 3), HR (B, sp, sp, 3), and of pairs with a teacher's
    results those, like HR; uint8.
    """

    low: Pixels
    high: Pixels
    taught: Pixels | None


def grid_starts(side: int, patch: int) -> list[int]:
    """First pixels of the patches along one axis; the last one lies flush with the end."""
    starts = list(range(0, side - patch + 1, patch))
    if starts and starts[-1] + patch < side:
        starts.append(side - patch)
    return starts


def grid(height: int, width: int, patch: int) -> list[tuple[int, int]]:
    """(y, x) of the grid's patches, row by row: 512×512 and 64 give 64, 217×304 gives 4 × 5."""
    return [(y, x) for y in grid_starts(height, patch) for x in grid_starts(width, patch)]


def cut(pair: Pair, patch: int) -> Iterator[Pair]:
    """The grid's patches of a pair, as pairs, named NAME_ROW_COLUMN (first pixels, LR)."""
    scale = pair.high.shape[0] // pair.low.shape[0]
    height, width = pair.low.shape[:2]
    for y, x in grid(height, width, patch):
        low, high = aligned(pair, y, x, patch, scale)
        yield Pair(f"{pair.name}_{y}_{x}", low, high)


def join(patches: Sequence[Pixels], height: int, width: int) -> Pixels:
    """The picture of `height` × `width` that a grid of square patches covers."""
    side = patches[0].shape[0]
    whole = np.empty((height, width, 3), np.uint8)
    for (y, x), pixels in zip(grid(height, width, side), patches, strict=True):
        whole[y : y + side, x : x + side] = pixels
    return whole


def aligned(pair: Pair, y: int, x: int, patch: int, scale: int) -> tuple[Pixels, Pixels]:
    """LR (p, p, 3) at row y, column x and the HR (sp, sp, 3) that belongs to it; views."""
    s = scale
    return (
        pair.low[y : y + patch, x : x + patch],
        pair.high[y * s : (y + patch) * s, x * s : (x + patch) * s],
    )


def dihedral(pixels: Pixels, turn: int) -> Pixels:
    """One of the eight flips and rotations of a picture (`turn` 0 is the picture itself)."""
    if turn & 4:
        pixels = pixels[:, ::-1]
    return np.rot90(pixels, turn & 3)


@dataclass(frozen=True)
class Sampling:
    """How patches are drawn.

    `scale`: HR to LR. `patch`: side of a patch in LR pixels. `seed`: what is drawn depends on it
    and on the batch's number alone. `crops`: "random" draws pictures in proportion to their area
    and positions at random, "grid" every patch of the grid once in an epoch. `augment`: none, flips
    (horizontal and vertical), or all eight orientations. `flat`: share of patches of one colour, a
    quarter of them black and a quarter white; photographs show no pure white up to their corners,
    but users' pictures do. `favoured`, `share`: the first `favoured` pairs get this share of the
    random crops, whatever their area. `textured`: share of random crops that are the most
    contrasted of `CANDIDATES`, by the standard deviation of HR.
    """

    scale: int
    patch: int
    seed: int
    crops: Crops = "random"
    augment: Augment = "all"
    flat: float = 0.0
    favoured: int = 0
    share: float = 0.0
    textured: float = 0.0


class Patches:
    """Batches of patches, by number. Raises `DataError` if no picture is as large as a patch."""

    def __init__(self, pairs: Sequence[Pair], sampling: Sampling) -> None:
        patch, share = sampling.patch, sampling.share
        sizes = [pair.low.shape[:2] for pair in pairs]
        large = [i for i, size in enumerate(sizes) if min(size) >= patch]
        if not large:
            raise DataError(f"no picture is at least {patch} low-resolution pixels a side")
        self.pairs, self.sampling, self.large = pairs, sampling, large
        self.scale, self.patch = sampling.scale, patch
        self.orientations = _ORIENTATIONS[sampling.augment]
        areas = np.array([sizes[i][0] * sizes[i][1] for i in large], float)
        first = np.array([i < sampling.favoured for i in large])
        if share and first.any() and not first.all():
            areas[first] *= share / areas[first].sum()
            areas[~first] *= (1.0 - share) / areas[~first].sum()
        self.chances = areas / areas.sum()
        self.taught = all(pairs[i].taught is not None for i in large)
        counts = [len(grid_starts(h, patch)) * len(grid_starts(w, patch)) for h, w in sizes]
        self.before = np.cumsum([0, *counts])
        """Patches of the grid before each pair."""
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        """Patches of the grid over all pairs: what counts as an epoch, of random crops too."""
        return int(self.before[-1])

    def positions(self, number: int, size: int) -> list[PatchPosition]:
        """The positions of the patches of a batch."""
        if self.sampling.crops == "grid":
            return [self._grid_position(number * size + i) for i in range(size)]
        return [place for place, _ in self._random_positions(number, size)]

    def names(self, number: int, size: int) -> list[str]:
        """The positions in words, for messages."""
        return [
            f"{self.pairs[place.pair].name} at {place.x},{place.y}"
            for place in self.positions(number, size)
        ]

    def batch(self, number: int, size: int) -> Cut:
        """The patches of the batch of that number."""
        p, s = self.patch, self.scale
        low = np.empty((size, p, p, 3), np.uint8)
        high = np.empty((size, p * s, p * s, 3), np.uint8)
        taught = np.empty_like(high) if self.taught else None
        for i, (place, random) in enumerate(self._draws(number, size)):
            low[i], high[i] = self._take(place, random)
            if taught is not None:
                taught[i] = self._taught(place)
            self._flatten(low[i], [high[i]] if taught is None else [high[i], taught[i]], random)
        return Cut(low, high, taught)

    def _draws(self, number: int, size: int) -> Iterator[tuple[PatchPosition, np.random.Generator]]:
        """Positions, and a generator for what is made of each patch."""
        if self.sampling.crops == "random":
            yield from self._random_positions(number, size)
            return
        random = np.random.default_rng((self.sampling.seed, number, 1))
        for place in self.positions(number, size):
            yield place, random

    def _random_positions(
        self, number: int, size: int
    ) -> Iterator[tuple[PatchPosition, np.random.Generator]]:
        """Positions, each with a generator of its own for what is made of the patch."""
        random = np.random.default_rng((self.sampling.seed, number))
        turns = len(self.orientations)
        for choice in random.choice(len(self.large), size, p=self.chances):
            pair = self.large[choice]
            height, width = self.pairs[pair].low.shape[:2]
            y = int(random.integers(height - self.patch + 1))
            x = int(random.integers(width - self.patch + 1))
            if self.sampling.textured and random.random() < self.sampling.textured:
                others = random.integers(
                    (height - self.patch + 1, width - self.patch + 1), size=(CANDIDATES - 1, 2)
                )
                y, x = max([(y, x), *others.tolist()], key=partial(self._contrast, pair))
            turn = self.orientations[int(random.integers(turns))]
            # What follows a patch in its batch must not depend on what is made of it.
            yield PatchPosition(pair, y, x, turn), np.random.default_rng(random.integers(2**63))

    def _contrast(self, pair: int, at: tuple[int, int]) -> float:
        """The standard deviation of the green of a patch of HR whose LR begins at row, column."""
        (top, left), side = (self.scale * start for start in at), self.patch * self.scale
        part = self.pairs[pair].high[top : top + side, left : left + side, 1]
        return float(part[::2, ::2].std())

    def _grid_position(self, index: int) -> PatchPosition:
        epoch, index = divmod(index, len(self))
        if self._epoch != epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self.sampling.seed, epoch)).permutation(len(self))
        which = int(self._order[index])
        pair = int(np.searchsorted(self.before, which, "right")) - 1
        height, width = self.pairs[pair].low.shape[:2]
        starts = grid(height, width, self.patch)
        turn = np.random.default_rng((self.sampling.seed, epoch, which)).integers(
            len(self.orientations)
        )
        return PatchPosition(
            pair, *starts[which - int(self.before[pair])], self.orientations[int(turn)]
        )

    def _take(self, place: PatchPosition, random: np.random.Generator) -> tuple[Pixels, Pixels]:
        pair = self.pairs[place.pair]
        if pair.chain is None:
            low, high = aligned(pair, place.y, place.x, self.patch, self.scale)
        else:
            low, high = self._degraded(pair, place, random)
        return dihedral(low, place.turn), dihedral(high, place.turn)

    def _taught(self, place: PatchPosition) -> Pixels:
        """The teacher's result on a patch."""
        whole, p, s = self.pairs[place.pair].taught, self.patch, self.scale
        assert whole is not None
        part = whole[place.y * s : (place.y + p) * s, place.x * s : (place.x + p) * s]
        return dihedral(part, place.turn)

    def _degraded(
        self, pair: Pair, place: PatchPosition, random: np.random.Generator
    ) -> tuple[Pixels, Pixels]:
        """The patch of HR, and its LR made from it with some context around."""
        assert pair.chain is not None
        p, s = self.patch, self.scale
        height, width = (side // s for side in pair.high.shape[:2])
        top, left = max(0, place.y - _CONTEXT), max(0, place.x - _CONTEXT)
        bottom, right = min(height, place.y + p + _CONTEXT), min(width, place.x + p + _CONTEXT)
        part = np.ascontiguousarray(pair.high[top * s : bottom * s, left * s : right * s])
        low, high = pair.chain(part, s, random)
        y, x = place.y - top, place.x - left
        return aligned(Pair("", low, high), y, x, p, s)

    def _flatten(self, low: Pixels, large: list[Pixels], random: np.random.Generator) -> None:
        if self.sampling.flat and random.random() < self.sampling.flat:
            kinds = (np.zeros(3), np.full(3, 255), *random.integers(0, 256, (2, 3)))
            colour = kinds[int(random.integers(4))]
            for pixels in (low, *large):
                pixels[:] = colour
