"""PSNR, SSIM and MS-SSIM against other implementations; the protocol against known numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage import metrics as skimage

from enlarge.errors import DataError
from enlarge.media.resample import imresize
from enlarge.metrics import Protocol, luma, ms_ssim, psnr, ssim
from enlarge.metrics.pictures import read_pixels

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def noisy_pair(height: int, width: int, channels: int, seed: int) -> Pair:
    random = np.random.default_rng(seed)
    first = random.integers(0, 256, (height, width, channels), dtype=np.uint8)
    noise = random.normal(0, 25, first.shape)
    return first, np.clip(first + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def real(data: Path) -> Pair:
    """The bird of Set5 and its bicubic enlargement."""
    folder = data / "benchmarks/Set5/x4"
    high = read_pixels((folder / "HR/img_002.png").read_bytes(), "HR")
    low = read_pixels((folder / "LR/img_002.png").read_bytes(), "LR")
    return imresize(low, *high.shape[:2]), high


@pytest.mark.parametrize(("height", "width"), [(11, 11), (37, 64), (128, 53)])
@pytest.mark.parametrize("channels", [1, 3])
def test_equal_to_scikit_image_on_noise(height: int, width: int, channels: int) -> None:
    first, second = noisy_pair(height, width, channels, seed=height)
    compare_with_scikit_image(first, second)


def test_equal_to_scikit_image_on_a_photograph(real: Pair) -> None:
    compare_with_scikit_image(*real)
    y = [luma(picture) for picture in real]
    wanted = skimage.structural_similarity(*y, data_range=255, **WANG)
    assert ssim(*y, data_range=255) == pytest.approx(wanted, abs=1e-9)


def compare_with_scikit_image(first: NDArray[Any], second: NDArray[Any]) -> None:
    wanted = skimage.peak_signal_noise_ratio(first, second, data_range=255)
    assert psnr(first, second, data_range=255) == pytest.approx(wanted, abs=1e-9)
    wanted = skimage.structural_similarity(first, second, data_range=255, channel_axis=2, **WANG)
    assert ssim(first, second, data_range=255) == pytest.approx(wanted, abs=1e-9)


def test_the_border_is_left_out() -> None:
    first, second = noisy_pair(40, 50, 3, seed=1)
    inside = (slice(4, -4), slice(4, -4))
    for measure in (psnr, ssim):
        wanted = measure(first[inside], second[inside], data_range=255)
        assert measure(first, second, data_range=255, border=4) == wanted


@pytest.mark.parametrize("exponents", [(1, 1, 1), (2, 1, 1), (0.5, 3, 2), (1, 0, 0), (0, 0, 1)])
def test_terms_and_exponents(exponents: tuple[float, float, float], real: Pair) -> None:
    """Against the formula of the deck, computed with scipy's Gaussian."""
    x, y = (luma(picture) for picture in real)

    def mean(plane: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(ndimage.gaussian_filter(plane, 1.5, truncate=3.5))[5:-5, 5:-5]

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    c3 = c2 / 2
    mx, my = mean(x), mean(y)
    sx, sy = np.sqrt(mean(x * x) - mx * mx), np.sqrt(mean(y * y) - my * my)
    sxy = mean(x * y) - mx * my
    l = (2 * mx * my + c1) / (mx**2 + my**2 + c1)  # noqa: E741
    c = (2 * sx * sy + c2) / (sx**2 + sy**2 + c2)
    s = (sxy + c3) / (sx * sy + c3)
    alpha, beta, gamma = exponents
    wanted = float(np.mean(l**alpha * c**beta * s**gamma))
    found = ssim(x, y, data_range=255, luminance=alpha, contrast=beta, structure=gamma)
    assert found == pytest.approx(wanted, abs=1e-7)


def test_inverted_structure_has_no_fractional_power() -> None:
    first, _ = noisy_pair(32, 32, 1, seed=2)
    assert ssim(first, 255 - first, data_range=255) < 0
    assert ssim(first, 255 - first, data_range=255, structure=0.5) >= 0
    assert ssim(first, 255 - first, data_range=255, structure=2) > 0


@pytest.mark.parametrize(("height", "width"), [(176, 192), (161, 203)])
def test_ms_ssim_is_wangs(height: int, width: int) -> None:
    """Against Wang's own program, line by line, with scipy in place of MATLAB's filters."""
    first, second = (p[..., 0].astype(float) for p in noisy_pair(height, width, 1, seed=3))
    g = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    window = np.outer(g, g) / g.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    wanted, x, y = 1.0, first, second
    for level, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):

        def mean(plane: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(ndimage.correlate(plane, window))[5:-5, 5:-5]

        mx, my = mean(x), mean(y)
        sx, sy, sxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
        cs = (2 * sxy + c2) / (sx + sy + c2)
        light = (2 * mx * my + c1) / (mx**2 + my**2 + c1) if level == 4 else 1.0
        wanted *= float(np.mean(light * cs)) ** weight
        box = np.ones((2, 2)) / 4  # MATLAB's `imfilter` looks right and down: origin -1
        x, y = (ndimage.correlate(p, box, mode="reflect", origin=-1)[::2, ::2] for p in (x, y))
    assert ms_ssim(first, second, data_range=255) == pytest.approx(wanted, abs=1e-9)
    assert ms_ssim(first, first, data_range=255) == 1.0


def test_equal_pictures() -> None:
    first, _ = noisy_pair(32, 32, 3, seed=4)
    assert psnr(first, first, data_range=255) == math.inf
    assert ssim(first, first, data_range=255) == 1.0


def test_depths_are_measured_alike() -> None:
    first, second = noisy_pair(32, 32, 3, seed=5)
    wanted = Protocol().measure(first, second)
    deep = Protocol().measure(first.astype(np.uint16) * 257, second)
    light = Protocol().measure(first / 255.0, second)
    assert deep == pytest.approx(wanted, abs=1e-9)
    assert light == pytest.approx(wanted, abs=1e-9)


def test_gray_counts_as_equal_channels() -> None:
    first, second = noisy_pair(32, 32, 1, seed=6)
    colour = np.repeat(first, 3, axis=2)
    for protocol in (Protocol(), Protocol("rgb"), Protocol("full-y")):
        wanted = protocol.measure(colour, np.repeat(second, 3, axis=2))
        assert protocol.measure(first[..., 0], second) == wanted
        assert protocol.measure(colour, second[..., 0]) == wanted


def test_luma_is_matlabs() -> None:
    """Black, white and the primaries, as `rgb2ycbcr` gives them before it rounds."""
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]])
    wanted = [[16, 235, 81.481, 144.553, 40.966]]
    np.testing.assert_allclose(luma(colours), wanted, atol=1e-12)
    np.testing.assert_allclose(luma(colours, full=True), [[0, 255, 76.245, 149.685, 29.07]])


def test_different_sizes_are_named() -> None:
    first, second = np.zeros((20, 30, 3), np.uint8), np.zeros((20, 31, 3), np.uint8)
    with pytest.raises(DataError, match="30×20×3 and 31×20×3"):
        psnr(first, second, data_range=255)
    with pytest.raises(DataError, match=r"30×20×3.*31×20×3"):
        Protocol().measure(first, second)


def test_pictures_that_are_too_small() -> None:
    small = np.zeros((10, 30), np.uint8)
    with pytest.raises(DataError, match="each side needs 11 pixels"):
        ssim(small, small, data_range=255)
    with pytest.raises(DataError, match="a border of 5 pixels leaves nothing of a 30×10"):
        psnr(small, small, data_range=255, border=5)
    with pytest.raises(DataError, match="161"):
        ms_ssim(np.zeros((160, 300)), np.zeros((160, 300)), data_range=255)


def test_one_picture_three_protocols(real: Pair) -> None:
    """Three numbers, each with its own name."""
    protocols = [Protocol("rgb", 0), Protocol("full-y", 0), Protocol("y")]
    values = [protocol.measure(*real, factor=4).psnr for protocol in protocols]
    assert values == sorted(values)
    assert values[2] - values[1] > 1.0
    assert len({str(protocol) for protocol in protocols}) == 3
    assert "16–235" in str(protocols[2])
    assert "a border of as many pixels as the factor cropped" in str(protocols[2])


def test_values_that_are_no_picture_are_refused() -> None:
    gray = np.full((20, 20), 100)
    for picture, said in (
        (gray.astype(np.int64), "got int64"),
        (gray.astype(np.float32), r"floats in \[0, 1\], got values up to 100"),
    ):
        with pytest.raises(DataError, match=said):
            Protocol().measure(picture, picture)
