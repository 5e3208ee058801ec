"""What a picture will cost in memory, and the plan that stays within the budget.

The budget bounds the peak of the whole process. A plan is affordable when what the process holds
already, plus what each pass will hold, stays below it. On a CPU running out raises nothing (the
process is killed), so this is reckoned before the first tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from enlarge.errors import BudgetError, OptionError
from enlarge.memory import format_size, resident
from enlarge.picture import resample_reach
from enlarge.tiling import Plan, make_plan, spans
from enlarge.weights.card import Card

# What reading and writing through libvips holds: a part of its own, and rows of the result
# (measured over PNG, JPEG and TIFF, 8,192 to 80,000 pixels wide: docs/proofs.md).
CODEC_FIXED = 60_000_000
CODEC_ROWS = 160
# Bands of the result alive at once: one is made, one waits, one is encoded.
BANDS = 3
# Share of the budget that is planned with; the rest is for what no plan can know.
USABLE = 0.95


@dataclass(frozen=True)
class Pass:
    """One run of the network over a picture: sizes in pixels, pixels in bytes."""

    width: int
    height: int
    target_width: int
    target_height: int
    channels: int
    pixel: int  # bytes of one sample
    ensemble: bool = False

    def halo(self, card: Card, *, exact: bool) -> int:
        """The network's halo, or its full margin, and what the resample reads beyond it."""
        margin = card.halo
        if exact:
            if card.margin is None:
                raise OptionError(
                    f"{card.name} looks at the whole picture, so no tile of it is exact; "
                    "leave out --exact"
                )
            margin = card.margin
        sides = ((self.width, self.target_width), (self.height, self.target_height))
        return margin + max(resample_reach(size, target, card.scale) for size, target in sides)

    def bytes(self, card: Card, tile_width: int, tile_height: int, band: int) -> int:
        """What this pass holds at its peak with such tiles, the result's bands included."""
        sample = self.channels * self.pixel
        sessions = 2 if self.channels in (2, 4) else 1
        window = tile_height * self.width * sample
        rows = -(-band * self.target_height // self.height)
        bands = BANDS * rows * self.target_width * sample
        tile = tile_width * tile_height * card.scale**2 * self.channels
        direct = (self.target_width, self.target_height) == (
            self.width * card.scale,
            self.height * card.scale,
        )
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


def working_set(card: Card, area: int) -> int:
    """Bytes that the engine holds for a tile of `area` pixels, from the card's measured rungs."""
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


def ladder(card: Card, tile: int | None) -> Sequence[int]:
    """The sides that a plan may choose from: the card's rungs, or the one that was asked for.

    Raises `OptionError` where the model takes another one only.
    """
    if card.fixed and tile not in (None, card.fixed):
        raise OptionError(
            f"{card.name} takes tiles of {card.fixed} only, got --tile {tile}; leave it out"
        )
    sides = (tuple(card.tiles) or (64, 128, 256, 512)) if tile is None else (tile,)
    whole = {max(side // card.multiple, 1) * card.multiple for side in sides}
    return tuple(sorted(whole))


def _check_tile(tile: int, passes: Sequence[Pass], card: Card, exact: bool) -> None:
    """Refuse a tile that is nearly all halo: it would compute every pixel many times over."""
    halo = max(step.halo(card, exact=exact) for step in passes)
    smallest = -(-max(3 * halo, 1) // card.multiple) * card.multiple
    sides = [side for step in passes for side in (step.width, step.height)]
    if tile < smallest and tile < max(sides):
        raise OptionError(
            f"a tile of {tile} leaves too little of {card.name}, which needs {halo} pixels around "
            f"what it makes here; take at least {smallest}"
        )


def plan_passes(
    passes: Sequence[Pass],
    card: Card,
    *,
    budget: int,
    tile: int | None = None,
    exact: bool = False,
    below: int | None = None,
    held: int | None = None,
    reading: int = 0,
    before: Sequence[tuple[int, int]] = (),
) -> list[Plan]:
    """A plan for each pass such that all of them together stay within `budget` bytes.

    `below`: only tiles whose sides are smaller (the engine ran out of memory at that one);
    `held`: what the process holds already (default: as it is now); `reading`: what the open
    picture and an encoder that does not stream hold in memory; `before`: the tiles (width, height)
    of an earlier run, which are taken again if a part of the reserve suffices for that. Raises
    `BudgetError` naming the smallest budget that works.
    """
    last = passes[-1]
    codec = CODEC_FIXED + CODEC_ROWS * last.target_width * last.channels * last.pixel
    fixed = (resident() if held is None else held) + reading + codec
    room = int(budget * USABLE) - fixed
    if tile is not None:
        _check_tile(tile, passes, card, exact)
    sides = [side for side in ladder(card, tile) if below is None or side < below]
    if not sides and tile is not None:
        raise BudgetError(
            f"{card.name} runs out of memory with tiles of {tile}; take a smaller --tile, or leave "
            "it out"
        )
    if not sides:
        raise BudgetError(
            f"{card.name} runs out of memory even with its smallest tiles; close other programs, "
            "or take a smaller model"
        )
    smallest = [_smallest(step, card, sides, exact) for step in passes]
    spare = room - sum(smallest)
    again = [
        plan for step, tile in zip(passes, before, strict=False)
        if (plan := _again(step, card, tile, exact)) is not None
    ]  # fmt: skip
    if len(again) == len(passes):
        needed = sum(
            step.bytes(card, plan.tile_width, plan.tile_height, plan.band)
            for step, plan in zip(passes, again, strict=True)
        )
        if needed <= room + int(budget * (1.0 - USABLE) / 2):
            return again
    if spare < 0:
        least = int((fixed + sum(smallest)) / USABLE)
        raise BudgetError(
            f"a memory budget of {format_size(budget)} is too small for this picture with "
            f"{card.name}; the smallest that works is {format_size(least + 10**6)}"
        )
    plans = []
    for step, least in zip(passes, smallest, strict=True):
        limit = least + spare // len(passes)
        plan = _make(
            step, card, sides, exact, lambda w, h, b, s=step, m=limit: s.bytes(card, w, h, b) <= m
        )
        assert plan is not None
        plans.append(plan)
    return plans


def best_bytes(
    passes: Sequence[Pass], card: Card, *, tile: int | None = None, exact: bool = False
) -> int:
    """Bytes that passes hold with the plans that no budget limits, reading and writing included.

    Raises `OptionError` for a tile that is nearly all halo.
    """
    last = passes[-1]
    total = CODEC_FIXED + CODEC_ROWS * last.target_width * last.channels * last.pixel
    if tile is not None:
        _check_tile(tile, passes, card, exact)
    for step in passes:
        plan = _make(step, card, ladder(card, tile), exact, lambda width, height, band: True)
        assert plan is not None
        total += step.bytes(card, plan.tile_width, plan.tile_height, plan.band)
    return total


def _make(step: Pass, card: Card, sides: Sequence[int], exact: bool, fits: object) -> Plan | None:
    width, height = _padded(step, card)
    plan = make_plan(
        width,
        height,
        ladder=sides,
        halo=step.halo(card, exact=exact),
        multiple=card.multiple,
        fits=fits,  # type: ignore[arg-type]
    )
    if plan is not None and card.fixed and {plan.tile_width, plan.tile_height} != {card.fixed}:
        raise OptionError(
            f"{card.name} takes tiles of {card.fixed} only, and {step.halo(card, exact=exact)} "
            "pixels around what each makes leave nothing of them; export it with a larger --tile"
        )
    return plan


def _padded(step: Pass, card: Card) -> tuple[int, int]:
    """The size that the tiles have to cover, in input pixels."""
    width, height = (
        max(-(-side // card.multiple) * card.multiple, card.fixed)
        for side in (step.width, step.height)
    )
    return width, height


def _again(step: Pass, card: Card, tile: tuple[int, int], exact: bool) -> Plan | None:
    """The plan with such tiles; None where they cannot be."""
    width, height = _padded(step, card)
    halo = step.halo(card, exact=exact)
    try:
        columns = spans(width, tile[0], halo, card.multiple)
        return Plan(width, height, halo, columns, spans(height, tile[1], halo, card.multiple))
    except OptionError:
        return None


def _smallest(step: Pass, card: Card, sides: Sequence[int], exact: bool) -> int:
    """The least bytes that any plan of this pass needs."""
    found: list[int] = []

    def note(width: int, height: int, band: int) -> bool:
        found.append(step.bytes(card, width, height, band))
        return False

    _make(step, card, sides, exact, note)
    return min(found)


def chain(first: Pass, scale: int) -> list[Pass]:
    """The passes that bring a picture to its target: one, or two beyond the network's factor."""
    if first.target_width <= first.width * scale and first.target_height <= first.height * scale:
        return [first]
    middle = replace(first, target_width=first.width * scale, target_height=first.height * scale)
    return [middle, replace(first, width=middle.target_width, height=middle.target_height)]
