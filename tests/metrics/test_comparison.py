"""Two pictures side by side: where they differ is found, and shown."""

from __future__ import annotations

import math

import numpy as np
import pytest

from enlarge.errors import DataError
from enlarge.metrics import Protocol, ms_ssim
from enlarge.metrics.comparison import (
    ZOOMED,
    Square,
    comparison_sheet,
    difference,
    heat_map,
    likeness,
    worst_squares,
)


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (200, 260, 3), dtype=np.uint8)


def test_the_worst_places_are_found(picture: np.ndarray) -> None:
    other = picture.copy()
    other[100:120, 200:220] ^= 0x80
    other[10:20, 10:20] ^= 0x40
    places = worst_squares(difference(picture, other))
    assert len(places) == 2  # a third would show nothing
    for place, (x, y, side) in zip(places, [(200, 100, 20), (10, 10, 10)], strict=True):
        assert place.x <= x <= x + side <= place.x + place.side
        assert place.y <= y <= y + side <= place.y + place.side
    assert worst_squares(difference(picture, picture)) == []


def test_places_do_not_overlap_and_lie_inside(picture: np.ndarray) -> None:
    places = worst_squares(difference(picture, 255 - picture), 5)
    covered = np.zeros(picture.shape[:2], int)
    for x, y, side in places:
        assert 0 <= x <= 260 - side
        assert 0 <= y <= 200 - side
        covered[y : y + side, x : x + side] += 1
    assert covered.max() == 1
    assert len(places) == 5


def test_tiny_pictures_have_places() -> None:
    places = worst_squares(np.ones((3, 5)))
    assert places[0] == Square(0, 0, 3)


def test_heat() -> None:
    found = np.zeros((10, 10))
    picture, white = heat_map(found)
    assert (picture.max(), white) == (0, 1.0)
    found[0, :3] = (10.0, 20.0, 30.0)
    picture, white = heat_map(found)
    assert white == pytest.approx(30, rel=0.05)
    assert tuple(picture[0, 2]) == (255, 255, 255)
    assert picture[0, 0, 0] > 200
    assert picture[0, 0, 1] < 20
    assert picture[0, 0, 2] == 0


def test_likeness(picture: np.ndarray) -> None:
    found = likeness(picture, 255 - picture, Protocol("rgb", 2))
    assert found.psnr == Protocol("rgb", 2).measure(picture, 255 - picture).psnr
    assert found.ms_ssim == ms_ssim(picture, 255 - picture, data_range=255, border=2)
    assert likeness(picture[:100], picture[:100], Protocol(border=0)).ms_ssim is None
    assert likeness(picture, picture, Protocol(border=0)).psnr == math.inf


def test_sizes_are_named(picture: np.ndarray) -> None:
    with pytest.raises(DataError, match="260×200 and 260×100"):
        difference(picture, picture[:100])


def test_side_by_side_shows_every_crop(picture: np.ndarray) -> None:
    places = [Square(8, 16, 64), Square(100, 90, 64)]
    deep = picture.astype(np.uint16) * 257
    sheet = comparison_sheet([picture, 255 - picture, deep], places)
    assert sheet.shape == (200 + 2 * (8 + ZOOMED), 3 * ZOOMED + 2 * 8, 3)
    crop = picture[16:80, 8:72].repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_array_equal(sheet[208 : 208 + ZOOMED, :ZOOMED], crop)
    start = ZOOMED + 8
    np.testing.assert_array_equal(sheet[208 : 208 + ZOOMED, start : start + ZOOMED], 255 - crop)
    np.testing.assert_array_equal(sheet[208 : 208 + ZOOMED, 2 * start : 2 * start + ZOOMED], crop)
