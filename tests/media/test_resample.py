"""`imresize` against MATLAB's own results: every value of every picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.media.resample import apply_taps, bicubic_taps, imresize


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_equals_matlab_in_every_value(data: Path, name: str, scale: int) -> None:
    folder = data / "benchmarks" / name / f"x{scale}"
    pictures = sorted((folder / "HR").glob("*.png"))
    assert len(pictures) == {"Set5": 5, "Set14": 14}[name]
    for path in pictures:
        high = np.asarray(Image.open(path))
        low = np.asarray(Image.open(folder / "LR" / path.name))
        height, width = low.shape[:2]
        high = high[: height * scale, : width * scale]
        np.testing.assert_array_equal(imresize(high, height, width), low, err_msg=path.name)


def test_weights_sum_to_one_and_stay_inside() -> None:
    for source, target in ((1, 7), (7, 1), (13, 13), (100, 33), (33, 100)):
        taps = bicubic_taps(source, target)
        np.testing.assert_allclose(taps.weights.sum(axis=1), 1.0, rtol=0, atol=1e-12)
        assert taps.indices.min() >= 0
        assert taps.indices.max() < source


def test_flat_pictures_stay_flat() -> None:
    for value in (0, 127, 255):
        image = np.full((9, 11, 3), value, np.uint8)
        assert (imresize(image, 36, 44) == value).all()
        assert (imresize(image, 3, 4) == value).all()
    assert (imresize(np.full((5, 5), 65535, np.uint16), 20, 20) == 65535).all()


def test_floats_are_neither_rounded_nor_clamped() -> None:
    image = np.zeros((4, 4), np.float32)
    image[1:3, 1:3] = 1.0
    big = imresize(image, 16, 16)
    assert big.dtype == np.float32
    assert big.max() > 1.0
    assert big.min() < 0.0


def test_a_part_of_an_axis_needs_only_the_rows_it_names() -> None:
    image = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    taps = bicubic_taps(50, 20)
    first, last = taps.rows(5, 9)
    part = type(taps)(taps.indices[5:9] - first, taps.weights[5:9])
    np.testing.assert_allclose(
        apply_taps(image[first:last], part, 0), apply_taps(image, taps, 0)[5:9], rtol=1e-6
    )


def test_an_empty_axis_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        bicubic_taps(0, 4)


@pytest.mark.parametrize(("source", "target"), [(50, 20), (200, 50), (7, 61), (300, 299), (5, 1)])
@pytest.mark.parametrize("axis", [0, 1])
def test_single_precision_is_double_precision_rounded(source: int, target: int, axis: int) -> None:
    shape = [9, 9, 3]
    shape[axis] = source
    image = np.random.default_rng(0).random(shape)
    taps = bicubic_taps(source, target)
    got = apply_taps(image.astype(np.float32), taps, axis)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, apply_taps(image, taps, axis), atol=1e-6)
