"""The tiles that keep a picture's enlargement within a memory budget.

The budget bounds the peak of the whole process. Tiles are affordable when what the process holds
already, plus what each pass will hold, stays below it. On a CPU, running out raises nothing (the
process is killed), so this is computed before the first tile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from enlarge.card import Card
from enlarge.errors import BudgetError, OptionError
from enlarge.memory import format_size, resident
from enlarge.picture.passes import Pass
from enlarge.tiling import Plan, make_plan, spans

# What reading and writing through libvips holds: a part of its own, and rows of the result
# (measured over PNG, JPEG and TIFF, 8,192 to 80,000 pixels wide: docs/proofs.md).
CODEC_FIXED = 60_000_000
CODEC_ROWS = 160
# Tiles of pictures of at least so many of the largest tiles are fitted to the picture, in steps of
# so many pixels. Smaller pictures take the sides on the card: compiling the network for another
# shape of tile takes as long as what a fitted one saves.
FITTED_FROM = 2
GRAIN = 16
# Share of the budget that is planned with; the rest is for what no plan can know.
USABLE = 0.95

Fits = Callable[[int, int, int], bool]


@dataclass(frozen=True)
class Budget:
    """Bytes that the process may take in all.

    `buffers`: what the decoder, and an encoder that does not stream, hold of it. `held`: what the
    process holds already (None: as it is when the tiles are chosen).
    """

    total: int
    buffers: int = 0
    held: int | None = None


@dataclass(frozen=True)
class TileChoice:
    """What the tiles of a picture are chosen from.

    `card`: with the working sets of the engine that will run. `tile`: a side that was asked for.
    `exact`: tiles overlap by the full receptive margin. `below`: only sides smaller than this one,
    at which the engine ran out of memory.
    """

    passes: tuple[Pass, ...]
    card: Card
    tile: int | None = None
    exact: bool = False
    below: int | None = None

    @property
    def codec_bytes(self) -> int:
        """Memory that reading and writing through libvips takes."""
        last = self.passes[-1]
        return CODEC_FIXED + CODEC_ROWS * last.target_width * last.channels * last.pixel

    def best_bytes(self) -> int:
        """Memory that the passes take with the tiles that no budget limits, reading and writing
        included. Raises `OptionError` for a tile that is mostly overlap.
        """
        self.check_tile()
        total = self.codec_bytes
        for step in self.passes:
            plan = self.make(step, _sides(self.card, self.tile), lambda width, height, band: True)
            assert plan is not None
            total += step.bytes(self.card, plan.tile_width, plan.tile_height, plan.band)
        return total

    def check_tile(self) -> None:
        """Raise `OptionError` for a tile that is mostly overlap: every pixel would be computed many
        times.
        """
        if self.tile is None:
            return
        card = self.card
        halo = max(step.halo(card, exact=self.exact) for step in self.passes)
        smallest = -(-max(3 * halo, 1) // card.grid) * card.grid
        longest = max(side for step in self.passes for side in (step.width, step.height))
        if self.tile < smallest and self.tile < longest:
            raise OptionError(
                f"--tile {self.tile} is too small for {card.name}: its tiles overlap by {halo} "
                f"pixels on every side here; use at least {smallest}"
            )

    def sides(self) -> list[int]:
        """The sides that tiles may have. Raises `BudgetError` where `below` leaves none."""
        sides = [
            side for side in _sides(self.card, self.tile) if self.below is None or side < self.below
        ]
        if sides:
            return sides
        if self.tile is not None:
            raise BudgetError(
                f"{self.card.name} runs out of memory with tiles of {self.tile}; use a smaller "
                "--tile, or leave it out"
            )
        raise BudgetError(
            f"{self.card.name} runs out of memory even with its smallest tiles; close other "
            "programs, or use a smaller model"
        )

    def make(
        self, step: Pass, sides: Sequence[int], fits: Fits, *, fitted: bool = True
    ) -> Plan | None:
        """The best plan of a pass among the tiles that `fits` accepts, None where there is none.

        `fitted`: of a large picture's tiles the sides may lie between those given.
        """
        card, halo = self.card, step.halo(self.card, exact=self.exact)
        if (whole := self._whole(step, max(sides), fits)) is not None:
            return whole
        width, height = _padded(step, card)
        is_free = fitted and self.tile is None and self.below is None and not card.fixed
        is_large = width * height >= FITTED_FROM * max(sides) ** 2
        plan = make_plan(
            width,
            height,
            ladder=sides,
            halo=halo,
            multiple=card.grid,
            grain=math.lcm(GRAIN, card.grid) if is_free and is_large else 0,
            fits=fits,
        )
        if plan is not None and card.fixed and {plan.tile_width, plan.tile_height} != {card.fixed}:
            raise OptionError(
                f"{card.name} accepts only tiles of {card.fixed}, which their overlap of {halo} "
                "pixels on every side uses up; export it with a larger --tile"
            )
        return plan

    def _whole(self, step: Pass, longest: int, fits: Fits) -> Plan | None:
        """The picture as one tile, where the network's tiles differ from that, or have to lie on a
        grid that the picture does not fill; None for other networks, or where it is too large.
        """
        card = self.card
        width, height = card.padded(step.width), card.padded(step.height)
        differs = card.is_global or card.grid != card.multiple
        if not differs or card.fixed or self.tile is not None or max(width, height) > longest:
            return None
        halo = step.halo(card, exact=self.exact)
        return _one_tile(width, height, halo) if fits(width, height, height) else None

    def repeat(self, earlier: Sequence[tuple[int, int]]) -> list[Plan] | None:
        """The plans with the tiles (width, height) of an earlier run; None where they cannot be."""
        if len(earlier) < len(self.passes):
            return None
        plans = []
        for step, tile in zip(self.passes, earlier, strict=False):
            halo, multiple = step.halo(self.card, exact=self.exact), self.card.grid
            if tile == (self.card.padded(step.width), self.card.padded(step.height)):
                plans.append(_one_tile(*tile, halo))
                continue
            width, height = _padded(step, self.card)
            try:
                columns = spans(width, tile[0], halo, multiple)
                rows = spans(height, tile[1], halo, multiple)
            except OptionError:
                return None
            plans.append(Plan(width, height, halo, columns, rows))
        return plans

    def smallest_bytes(self, step: Pass, sides: Sequence[int]) -> int:
        """The least memory that any plan of the pass takes."""
        found: list[int] = []

        def note(width: int, height: int, band: int) -> bool:
            found.append(step.bytes(self.card, width, height, band))
            return False

        self.make(step, sides, note, fitted=False)
        return min(found)


def choose_tiles(
    choice: TileChoice, budget: Budget, earlier: Sequence[tuple[int, int]] = ()
) -> list[Plan]:
    """A plan for each pass such that all of them together stay within the budget.

    `earlier`: the tiles (width, height) of an earlier run, which are taken again if a part of the
    reserve suffices for that. Raises `BudgetError` naming the smallest budget that works, or
    `OptionError`.
    """
    card, passes = choice.card, choice.passes
    held = resident() if budget.held is None else budget.held
    fixed = held + budget.buffers + choice.codec_bytes
    room = int(budget.total * USABLE) - fixed
    choice.check_tile()
    sides = choice.sides()
    smallest = [choice.smallest_bytes(step, sides) for step in passes]
    if (again := choice.repeat(earlier)) is not None:
        needed = sum(
            step.bytes(card, plan.tile_width, plan.tile_height, plan.band)
            for step, plan in zip(passes, again, strict=True)
        )
        if needed <= room + int(budget.total * (1.0 - USABLE) / 2):
            return again
    spare = room - sum(smallest)
    if spare < 0:
        least = int((fixed + sum(smallest)) / USABLE)
        raise BudgetError(
            f"a memory budget of {format_size(budget.total)} is too small for this picture with "
            f"{card.name}; the smallest that works is {format_size(least + 10**6)}"
        )
    plans = []
    for step, least in zip(passes, smallest, strict=True):
        limit = least + spare // len(passes)
        plan = choice.make(step, sides, _within(step, card, limit))
        assert plan is not None
        plans.append(plan)
    return plans


def _within(step: Pass, card: Card, limit: int) -> Fits:
    return lambda width, height, band: step.bytes(card, width, height, band) <= limit


def _sides(card: Card, tile: int | None) -> Sequence[int]:
    """The sides that a plan may choose from: the card's, or the one that was asked for.

    Raises `OptionError` where the model takes another one only.
    """
    if card.fixed and tile not in (None, card.fixed):
        raise OptionError(
            f"{card.name} accepts only tiles of {card.fixed}, got --tile {tile}; leave it out"
        )
    sides = (tuple(card.tiles) or (64, 128, 256, 512)) if tile is None else (tile,)
    least = -(-card.padded(1) // card.grid) * card.grid
    whole = {max(side // card.grid * card.grid, least) for side in sides}
    return tuple(sorted(whole))


def _padded(step: Pass, card: Card) -> tuple[int, int]:
    """The size that the tiles have to cover, (width, height) in input pixels."""
    width, height = (
        -(-card.padded(side) // card.grid) * card.grid for side in (step.width, step.height)
    )
    return width, height


def _one_tile(width: int, height: int, halo: int) -> Plan:
    return Plan(width, height, halo, spans(width, width, halo), spans(height, height, halo))
