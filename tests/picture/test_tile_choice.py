"""Which tiles a picture gets: those on the card, or fitted ones, within the memory budget."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enlarge.card import Card
from enlarge.picture.budget import Budget, TileChoice, choose_tiles
from enlarge.picture.passes import Pass

CARD = Card(
    name="any", network="any", options={}, scale=4, margin=20, halo=20,
    tiles={64: 40_000_000, 128: 60_000_000, 256: 120_000_000, 512: 340_000_000},
)  # fmt: skip
PLENTY = Budget(10**11, held=10**8)


def pass_of(width: int, height: int) -> Pass:
    return Pass(width, height, 4 * width, 4 * height, 3, 1)


def tile_of(choice: TileChoice, budget: Budget = PLENTY) -> tuple[int, int]:
    (plan,) = choose_tiles(choice, budget)
    return plan.tile_width, plan.tile_height


def test_a_large_picture_gets_fitted_tiles_and_a_small_one_those_on_the_card() -> None:
    assert tile_of(TileChoice((pass_of(1646, 739),), CARD)) == (576, 400)
    assert tile_of(TileChoice((pass_of(700, 700),), CARD)) == (512, 512)


@pytest.mark.parametrize(
    "choice",
    [
        TileChoice((pass_of(1646, 739),), CARD, tile=200),
        TileChoice((pass_of(1646, 739),), replace(CARD, fixed=128, tiles={128: 10**7})),
        TileChoice((pass_of(1646, 739),), CARD, below=600),
    ],
)
def test_a_side_that_was_asked_for_is_kept(choice: TileChoice) -> None:
    """As it is after an engine ran out of memory: tiles must get smaller each time."""
    allowed = {200} if choice.tile else set(choice.card.tiles)
    assert set(tile_of(choice)) <= allowed


def test_what_fits_into_a_tile_is_not_divided_where_that_would_change_it() -> None:
    """300×200 takes fewer pixels in tiles of 64 and 128 than in one of 512."""
    step = pass_of(300, 200)
    assert tile_of(TileChoice((step,), CARD)) != (300, 200)
    far = replace(CARD, margin=None, halo=64)
    windows = replace(CARD, step=16)
    for card in (far, windows):
        assert tile_of(TileChoice((step,), card)) == (300, 200)
        assert tile_of(TileChoice((step,), card, tile=192)) == (192, 192)
    needed = TileChoice((step,), windows).smallest_bytes(step, [64, 128, 512])
    assert needed < step.bytes(windows, 300, 200, 200)


def test_tiles_of_windows_lie_on_their_grid() -> None:
    choice = TileChoice((pass_of(1647, 740),), replace(CARD, step=16))
    (plan,) = choose_tiles(choice, PLENTY)
    assert (plan.width, plan.height) == (1648, 752)
    assert all(span.start % 16 == 0 for span in (*plan.columns, *plan.rows))
    (again,) = choose_tiles(choice, PLENTY, [(plan.tile_width, plan.tile_height)])
    assert again == plan


def test_a_small_picture_is_padded_to_the_least_side_only() -> None:
    (plan,) = choose_tiles(
        TileChoice((pass_of(37, 45),), replace(CARD, minimum=40, step=16)), PLENTY
    )
    assert (plan.width, plan.height, len(plan)) == (40, 45, 1)


@pytest.mark.parametrize("spare", [0, 30_000_000, 100_000_000, 300_000_000])
def test_fitted_tiles_keep_within_the_budget(spare: int) -> None:
    step = pass_of(3492, 2766)
    choice = TileChoice((step,), CARD)
    least = choice.smallest_bytes(step, choice.sides())
    fixed = 10**8 + choice.codec_bytes
    budget = Budget(int((fixed + least + spare) / 0.95) + 1, held=10**8)
    (plan,) = choose_tiles(choice, budget)
    used = step.bytes(CARD, plan.tile_width, plan.tile_height, plan.band)
    assert fixed + used <= budget.total * 0.95
