from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from enlarge.errors import InputError
from enlarge.media.rows import ArrayRows, CropRows, PaddedRows, Rows, prefetched

IMAGE = np.random.default_rng(1).integers(0, 256, (37, 11, 3), dtype=np.uint8)


def read_all(rows: Rows, counts: list[int]) -> NDArray[Any]:
    parts = []
    at = 0
    while len(part := rows.read(counts[at % len(counts)])):
        parts.append(part)
        at += 1
    return np.concatenate(parts)


class Failing(ArrayRows):
    def read(self, count: int) -> NDArray[Any]:
        if self._next > 10:
            raise InputError("photo.png: cut off")
        return super().read(count)


def test_a_gray_array_has_one_channel() -> None:
    rows = ArrayRows(IMAGE[..., 0])
    assert (rows.width, rows.height, rows.channels) == (11, 37, 1)
    assert rows.read(5).shape == (5, 11, 1)


@pytest.mark.parametrize("bad", [np.zeros((3, 3), np.int32), np.zeros((3, 3, 5), np.uint8)])
def test_other_arrays_are_refused(bad: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ArrayRows(bad)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 50), min_size=1), st.integers(1, 50))
def test_prefetched_rows_are_the_rows(counts: list[int], band: int) -> None:
    rows = prefetched(ArrayRows(IMAGE), band)
    np.testing.assert_array_equal(read_all(rows, counts), IMAGE)
    assert rows.read(1).shape == (0, 11, 3)
    rows.close()
    rows.close()


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_crop_is_the_slice(data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, 10)), data.draw(st.integers(0, 36))
    w, h = data.draw(st.integers(1, 11 - x)), data.draw(st.integers(1, 37 - y))
    rows = CropRows(ArrayRows(IMAGE), x, y, w, h, skip=4)
    np.testing.assert_array_equal(read_all(rows, [5]), IMAGE[y : y + h, x : x + w])


def test_a_crop_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="not inside 11×37"):
        CropRows(ArrayRows(IMAGE), 5, 0, 7, 1)


def test_what_the_thread_raises_is_raised_in_the_caller() -> None:
    rows = prefetched(Failing(IMAGE), 8)
    with pytest.raises(InputError, match="cut off"):
        read_all(rows, [8])
    rows.close()


def test_one_band_is_read_ahead_and_the_thread_ends() -> None:
    others = set(threading.enumerate())  # a job of another test may still be at work
    source = ArrayRows(IMAGE)
    rows = prefetched(source, 8)
    rows.read(8)
    rows.read(8)
    assert source._next <= 24
    rows.close()
    new = set(threading.enumerate()) - others
    assert not [thread for thread in new if thread.name.startswith("enlarge-read")]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 20), st.integers(1, 20), st.integers(0, 24), st.integers(0, 24),
    st.lists(st.integers(1, 30), min_size=1, max_size=5),
)  # fmt: skip
def test_padding_reflects_and_repeats_what_is_too_short(
    height: int, width: int, below: int, right: int, counts: list[int]
) -> None:
    image = IMAGE[:height, : min(width, 11)]
    width = image.shape[1]
    wanted = image
    for axis, more in enumerate((below, right)):
        reflected = min(more, image.shape[axis] - 1)
        for mode, count in (("reflect", reflected), ("edge", more - reflected)):
            sides = [(0, 0)] * 3
            sides[axis] = (0, count)
            wanted = np.pad(wanted, sides, mode)  # type: ignore[call-overload]
    rows = PaddedRows(ArrayRows(image), width + right, height + below)
    assert np.array_equal(read_all(rows, counts), wanted)


def test_padding_makes_nothing_smaller() -> None:
    with pytest.raises(ValueError, match="larger"):
        PaddedRows(ArrayRows(IMAGE), 10, 37)
