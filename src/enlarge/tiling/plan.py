"""The tile plan: tiles of one fixed shape that lie inside the picture and overlap.

A tile at the picture's edge lies flush with it, so a network sees the true edge exactly where the
whole-picture run sees it; nothing is ever padded to fill a tile. Two neighbours overlap by at
least twice the halo and hand over in the middle, so what a tile contributes is at least one halo
away from every edge of it that is not an edge of the picture. With a halo of the network's
receptive margin the stitched result is the whole-picture result.

Lengths are in input pixels. Everything here is pure: sizes in, regions out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from enlarge.errors import OptionError


@dataclass(frozen=True)
class Span:
    """One tile along one axis: it reads `start:stop` and contributes `keep_start:keep_stop`."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    @property
    def size(self) -> int:
        """Samples read."""
        return self.stop - self.start


@dataclass(frozen=True)
class Tile:
    """A tile: its columns and its rows."""

    columns: Span
    rows: Span


@dataclass(frozen=True)
class Plan:
    """All tiles of a picture, as their columns and rows."""

    width: int
    height: int
    halo: int
    columns: tuple[Span, ...]
    rows: tuple[Span, ...]

    @property
    def tile_width(self) -> int:
        """Input pixels a tile is wide; the same for all."""
        return self.columns[0].size

    @property
    def tile_height(self) -> int:
        """Input pixels a tile is high; the same for all."""
        return self.rows[0].size

    @property
    def computed(self) -> int:
        """Input pixels that the network computes, overlaps counted each time."""
        return len(self) * self.tile_width * self.tile_height

    @property
    def band(self) -> int:
        """The most rows that one row of tiles contributes."""
        return max(row.keep_stop - row.keep_start for row in self.rows)

    def __len__(self) -> int:
        return len(self.columns) * len(self.rows)

    def __iter__(self) -> Iterator[Tile]:
        return (Tile(column, row) for row in self.rows for column in self.columns)


def count(size: int, tile: int, halo: int, multiple: int = 1) -> int:
    """How many tiles cover an axis; 0 where tiles of that side cannot (too large, or all halo)."""
    if tile > size:
        return 0
    if tile == size:
        return 1
    step = (tile - 2 * halo) // multiple
    return 1 + -(-((size - tile) // multiple) // step) if step > 0 else 0


def spans(size: int, tile: int, halo: int, multiple: int = 1) -> tuple[Span, ...]:
    """Tiles of side `tile` along an axis of `size`, spread evenly, on multiples of `multiple`.

    `size` and `tile` must be multiples of `multiple`, and `tile` no larger than `size`; a tile
    that is smaller than the axis must exceed two halos. Raises `OptionError` otherwise.
    """
    if size % multiple or tile % multiple:
        raise OptionError(f"tiles of {tile} and sides of {size} must be multiples of {multiple}")
    number = count(size, tile, halo, multiple)
    if not number:
        least = -(-(2 * halo + multiple) // multiple) * multiple
        raise OptionError(
            f"tiles of {tile} cannot cover {size} with a halo of {halo} in steps of {multiple}; "
            f"use one of {size}" + (f", or of at least {least}" if least < size else "")
        )
    room = (size - tile) // multiple
    starts = [i * room // max(number - 1, 1) * multiple for i in range(number)]
    ends = [start + tile for start in starts]
    seams = [(end + start) // 2 for end, start in zip(ends[:-1], starts[1:], strict=True)]
    keeps = zip([0, *seams], [*seams, size], strict=True)
    return tuple(Span(s, s + tile, a, b) for s, (a, b) in zip(starts, keeps, strict=True))


def make_plan(
    width: int,
    height: int,
    *,
    ladder: Sequence[int],
    halo: int,
    multiple: int = 1,
    grain: int = 0,
    fits: Callable[[int, int, int], bool] = lambda tile_width, tile_height, band: True,
) -> Plan | None:
    """The pair of sides that computes the fewest pixels, among those that `fits` admits.

    `ladder` holds the sides a tile may have. With a `grain`, which must be a multiple of
    `multiple`, it may also have those in between, in such steps, and be longer than the largest
    rung if its area is not larger than that rung's square. A picture smaller than the smallest
    rung, or than one that exceeds two halos, runs at its own size along that axis. Where no rung
    exceeds two halos, tiles have three. `fits(tile_width, tile_height, band)` says whether such a
    tile, contributing `band` rows, is affordable. Ties go to the larger tile. None where nothing
    fits.
    """
    across = _sides(width, ladder, halo, multiple, grain)
    down = _sides(height, ladder, halo, multiple, grain)
    largest = max(max(ladder) ** 2, min(across) * min(down))
    pairs = [
        (x * count(width, x, halo, multiple) * y * count(height, y, halo, multiple), -x * y, x, y)
        for x in across
        for y in down
        if x * y <= largest
    ]
    rows = {y: spans(height, y, halo, multiple) for y in down}
    bands = {y: max(row.keep_stop - row.keep_start for row in rows[y]) for y in down}
    for _, _, x, y in sorted(pairs):
        if fits(x, y, bands[y]):
            return Plan(width, height, halo, spans(width, x, halo, multiple), rows[y])
    return None


def _sides(size: int, ladder: Sequence[int], halo: int, multiple: int, grain: int) -> set[int]:
    """The sides that a tile may have along an axis of `size`: of those between the rungs only the
    smallest for each number of tiles.
    """
    if max(ladder) <= 2 * halo:
        return {min(size, -(-3 * halo // multiple) * multiple)}
    usable = {side for side in ladder if count(size, side, halo, multiple)}
    if grain:
        longest = 2 * max(ladder)
        fitted: dict[int, int] = {}
        least = -(-min(ladder) // grain) * grain
        for side in (*range(least, longest + 1, grain), size):
            if side <= longest and (number := count(size, side, halo, multiple)):
                fitted[number] = min(side, fitted.get(number, side))
        usable |= set(fitted.values())
    return usable or {size}
