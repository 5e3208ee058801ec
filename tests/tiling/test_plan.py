from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enlarge.errors import OptionError
from enlarge.tiling import make_plan, spans
from enlarge.tiling.plan import count

LADDER = (64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """(size, tile, halo, multiple) that can be covered."""
    multiple = draw(st.sampled_from([1, 1, 8, 16]))
    halo = draw(st.integers(0, 40))
    least = 2 * halo + multiple
    tile = -(-draw(st.integers(least, least + 200)) // multiple) * multiple
    size = tile + multiple * draw(st.integers(0, 1500))
    return size, tile, halo, multiple


@given(axes())
def test_spans_cover_an_axis_exactly_once(axis: tuple[int, int, int, int]) -> None:
    size, tile, halo, multiple = axis
    found = spans(size, tile, halo, multiple)
    assert found[0].keep_start == 0
    assert found[-1].keep_stop == size
    for left, right in pairwise(found):
        assert left.keep_stop == right.keep_start
        assert left.start < right.start


@given(axes())
def test_tiles_lie_inside_and_keep_their_halo(axis: tuple[int, int, int, int]) -> None:
    size, tile, halo, multiple = axis
    for span in spans(size, tile, halo, multiple):
        assert span.start >= 0
        assert span.stop <= size
        assert span.size == tile
        assert span.start % multiple == 0
        assert span.keep_start < span.keep_stop
        assert span.start == 0 or span.keep_start - span.start >= halo
        assert span.stop == size or span.stop - span.keep_stop >= halo


@given(axes())
def test_no_tile_is_superfluous(axis: tuple[int, int, int, int]) -> None:
    size, tile, halo, multiple = axis
    number = len(spans(size, tile, halo, multiple))
    step = (tile - 2 * halo) // multiple * multiple
    assert number == 1 or tile + (number - 2) * step < size


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 40))
def test_a_plan_computes_no_more_than_any_other_pair_of_rungs(
    width: int, height: int, halo: int
) -> None:
    plan = make_plan(width, height, ladder=LADDER, halo=halo)
    assert plan is not None

    def costs(size: int) -> list[int]:
        found = [n * side for side in LADDER if (n := count(size, side, halo))]
        return found or [size]

    assert plan.computed == min(costs(width)) * min(costs(height))
    assert (
        sum(
            (t.columns.keep_stop - t.columns.keep_start) * (t.rows.keep_stop - t.rows.keep_start)
            for t in plan
        )
        == width * height
    )


def test_a_small_picture_runs_at_its_own_size() -> None:
    plan = make_plan(1, 63, ladder=LADDER, halo=20)
    assert plan is not None
    assert (len(plan), plan.tile_width, plan.tile_height) == (1, 1, 63)


def test_nine_tiles_a_side_fit_4288_exactly() -> None:
    plan = make_plan(4288, 4288, ladder=LADDER, halo=20)
    assert plan is not None
    assert (len(plan.columns), plan.tile_width) == (9, 512)
    assert plan.width * plan.height / plan.computed > 0.8


@pytest.mark.parametrize(("side", "share"), [(600, 0.7), (1000, 0.7), (512, 1.0), (1920, 0.7)])
def test_the_share_of_new_output_is_high(side: int, share: float) -> None:
    plan = make_plan(side, side, ladder=LADDER, halo=20)
    assert plan is not None
    assert side * side / plan.computed >= share


def test_smaller_rungs_where_the_memory_asks_for_them() -> None:
    plan = make_plan(1000, 1000, ladder=LADDER, halo=20, fits=lambda w, h, band: w * h <= 128 * 128)
    assert plan is not None
    assert plan.tile_width * plan.tile_height <= 128 * 128
    assert make_plan(1000, 1000, ladder=LADDER, halo=20, fits=lambda w, h, b: False) is None


def test_a_tile_that_is_all_halo_is_refused() -> None:
    with pytest.raises(OptionError, match="at least 41"):
        spans(100, 40, 20)


@pytest.mark.parametrize("multiple", [1, 4])
def test_a_halo_beyond_every_rung_gets_tiles_of_three(multiple: int) -> None:
    plan = make_plan(4000, 3000, ladder=LADDER, halo=349, multiple=multiple)
    assert plan is not None
    assert plan.tile_width == plan.tile_height == -(-3 * 349 // multiple) * multiple
    assert len(plan) > 1
    small = make_plan(800, 640, ladder=LADDER, halo=349, multiple=multiple)
    assert small is not None
    assert (small.tile_width, small.tile_height) == (800, 640)


def test_each_reason_has_its_own_words() -> None:
    with pytest.raises(OptionError, match="sides of 100 must be multiples of 8"):
        spans(100, 16, 0, 8)
    with pytest.raises(OptionError, match="use one of 96, or of at least 24"):
        spans(96, 16, 5, 8)
    with pytest.raises(OptionError, match=r"use one of 16$"):
        spans(16, 24, 5, 8)


@given(
    st.integers(1, 4000), st.integers(1, 4000), st.integers(0, 40), st.sampled_from([1, 8]),
    st.sampled_from([16, 64]),
)  # fmt: skip
def test_fitted_tiles_are_as_good_and_no_larger(
    width: int, height: int, halo: int, multiple: int, grain: int
) -> None:
    width, height = (-(-side // multiple) * multiple for side in (width, height))
    among: dict[str, Any] = {"ladder": LADDER, "halo": halo, "multiple": multiple}
    plan = make_plan(width, height, **among, grain=grain)
    rungs = make_plan(width, height, **among)
    assert plan is not None
    assert rungs is not None
    assert plan.computed <= rungs.computed
    assert plan.tile_width * plan.tile_height <= 512**2
    for side, size in ((plan.tile_width, width), (plan.tile_height, height)):
        assert side in (*LADDER, size) or (side % grain == 0 and 64 <= side <= 1024)
    for span in (*plan.columns, *plan.rows):
        assert span.start % multiple == 0
    narrow = make_plan(width, height, **among, grain=grain, fits=lambda w, h, band: w * h <= 16384)
    if narrow is not None:
        assert narrow.tile_width * narrow.tile_height <= 16384


@pytest.mark.parametrize(
    ("size", "tile", "count"),
    [
        # three tiles of 576 cover 576 + 2 × (576 − 40) = 1648, two of 400 cover 760
        ((1646, 739), (576, 400), 6),
        # one row of the picture's own height, eight of 400 cover 400 + 7 × 360 = 2920
        ((2881, 609), (400, 609), 8),
    ],
)
def test_tiles_are_fitted_to_the_picture(
    size: tuple[int, int], tile: tuple[int, int], count: int
) -> None:
    plan = make_plan(*size, ladder=LADDER, halo=20, grain=16)
    assert plan is not None
    assert (plan.tile_width, plan.tile_height, len(plan)) == (*tile, count)
