from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from enlarge.media.alpha import RADIUS, FillTransparent
from enlarge.media.rows import ArrayRows


def picture(seed: int, dtype: type, channels: int, visible: float = 0.01) -> NDArray[Any]:
    random = np.random.default_rng(seed)
    top = 1 if dtype is np.float32 else int(np.iinfo(dtype).max)
    image: NDArray[Any] = (random.random((90, 40, channels)) * top).astype(dtype)
    image[..., -1][random.random((90, 40)) > visible] = 0
    return image


def fill(image: NDArray[Any], counts: list[int]) -> NDArray[Any]:
    rows = FillTransparent(ArrayRows(image))
    parts, at = [], 0
    while len(part := rows.read(counts[at % len(counts)])):
        parts.append(part)
        at += 1
    return np.concatenate(parts)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 5),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
    st.sampled_from([2, 4]),
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
)
def test_bands_do_not_matter(seed: int, dtype: type, channels: int, counts: list[int]) -> None:
    image = picture(seed, dtype, channels)
    np.testing.assert_array_equal(fill(image, counts), fill(image, [90]))


def test_visible_pixels_and_alpha_stay() -> None:
    image = picture(1, np.uint8, 4, visible=0.3)
    filled = fill(image, [16])
    seen = image[..., 3] > 0
    np.testing.assert_array_equal(filled[seen], image[seen])
    np.testing.assert_array_equal(filled[..., 3], image[..., 3])


def test_the_colour_reaches_as_far_as_the_radius() -> None:
    image = np.zeros((101, 101, 4), np.uint8)
    image[50, 50] = (200, 100, 50, 255)
    filled = fill(image, [7])
    near = slice(50 - RADIUS, 50 + RADIUS + 1)
    expected = np.zeros_like(image[..., :3])
    expected[near, near] = (200, 100, 50)
    np.testing.assert_array_equal(filled[..., :3], expected)


def test_neighbours_are_averaged() -> None:
    image = np.zeros((1, 3, 2), np.uint16)
    image[0, 0] = (1000, 1)
    image[0, 2] = (3001, 65535)
    assert fill(image, [1])[0, 1, 0] == 2001


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_without_alpha_passes(channels: int) -> None:
    image = picture(0, np.uint8, channels, visible=1.0)
    np.testing.assert_array_equal(fill(image, [11]), image)
