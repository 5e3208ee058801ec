"""The runs of the network over a picture, and the memory that each takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from enlarge.card import Card
from enlarge.errors import OptionError
from enlarge.picture.layout import resample_margin

BANDS = 3
"""Bands of the result alive at once: one is made, one waits, one is encoded."""


@dataclass(frozen=True)
class Pass:
    """One run of the network over a picture: sizes in pixels, `pixel` the bytes of one sample."""

    width: int
    height: int
    target_width: int
    target_height: int
    channels: int
    pixel: int
    ensemble: bool = False

    @property
    def target(self) -> tuple[int, int]:
        """(width, height) of its result."""
        return self.target_width, self.target_height

    def halo(self, card: Card, *, exact: bool) -> int:
        """The network's halo, or its full margin, and what the resample reads beyond it."""
        margin = card.halo
        if exact:
            if card.margin is None:
                raise OptionError(
                    f"--exact and {card.name} contradict each other: its receptive field is the "
                    "whole picture, so no tile is exact; leave out --exact"
                )
            margin = card.margin
        sides = ((self.width, self.target_width), (self.height, self.target_height))
        return margin + max(resample_margin(size, target, card.scale) for size, target in sides)

    def bytes(self, card: Card, tile_width: int, tile_height: int, band: int) -> int:
        """Peak memory of this pass with such tiles, the result's bands included.

        `band`: the input rows that one row of tiles contributes.
        """
        sample = self.channels * self.pixel
        sessions = 2 if self.channels in (2, 4) else 1
        window = tile_height * self.width * sample
        rows = -(-band * self.target_height // self.height)
        bands = BANDS * rows * self.target_width * sample
        tile = tile_width * tile_height * card.scale**2 * self.channels
        direct = self.target == (self.width * card.scale, self.height * card.scale)
        resampling = 0 if direct else 3 * 4 * tile
        averaging, networks = 0, sessions
        if self.ensemble:  # floats: the last result, the sum, what is added (in both shapes); alpha
            averaging = 4 * tile * (4 + 2 * (sessions > 1))
            networks *= 1 if tile_width == tile_height else 2
        if card.margin is None:  # feathered: a band of sums, and tiles weighted in float
            resampling = 3 * 4 * tile + 2 * 4 * rows * self.target_width * self.channels
        return (
            window
            + bands
            + networks * working_set(card, tile_width * tile_height)
            + tile * self.pixel * (sessions > 1)
            + resampling
            + averaging
        )


def split_passes(first: Pass, scale: int) -> tuple[Pass, ...]:
    """The passes that bring a picture to its target: one, or two beyond the network's factor."""
    if first.target_width <= first.width * scale and first.target_height <= first.height * scale:
        return (first,)
    middle = replace(first, target_width=first.width * scale, target_height=first.height * scale)
    return middle, replace(first, width=middle.target_width, height=middle.target_height)


def working_set(card: Card, area: int) -> int:
    """Memory that the engine takes for a tile of `area` pixels, from the card's measurements."""
    measured = sorted((side * side, size) for side, size in card.tiles.items())
    if not measured:  # a model that was never measured: 400 bytes a pixel and feature map
        return 100_000_000 + area * 4000
    (low, low_size), (high, high_size) = measured[0], measured[-1]
    for at, size in measured:
        if at <= area:
            low, low_size = at, size
    for at, size in reversed(measured):
        if at >= area:
            high, high_size = at, size
    if high <= low:
        return int(low_size * max(1.0, area / low))
    return int(low_size + (high_size - low_size) * max(0, area - low) / (high - low))
