"""The figures of a picture, on pictures whose noise, blocks and blur are known."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from enlarge.media.formats.jpeg import quality_of
from enlarge.picture.looking import FLAT, NOISE, QUALITY, Looks, find_kind, looks_of

SAMPLE = Path(__file__).parents[2] / "samples" / "photo.jpg"
CLEAN = Looks(0.5, 0.4, 0.5, 0.5, 0.4, 0.05, 0.66, 0.02)


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    """The sample, reduced, so that nothing of its own compression is left."""
    with Image.open(SAMPLE) as image:
        small = image.convert("RGB").resize((image.width // 2, image.height // 2), 3)
    return np.asarray(small)


def noisy(photo: NDArray[np.uint8], sigma: float, *, gray: bool = False) -> NDArray[np.uint8]:
    shape = (*photo.shape[:2], 1 if gray else 3)
    noise = np.random.default_rng(0).normal(0, sigma, shape)
    return (photo + noise).round().clip(0, 255).astype(np.uint8)


def as_jpeg(photo: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_a_clean_photograph_is_clean(photo: NDArray[np.uint8]) -> None:
    assert find_kind(looks_of(photo)).kind == "clean"
    assert find_kind(looks_of(photo, quality=98)).kind == "clean"


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("sigma", [6.0, 12.0, 20.0])
def test_noise_is_found_and_measured(photo: NDArray[np.uint8], sigma: float, gray: bool) -> None:
    figures = looks_of(noisy(photo, sigma, gray=gray))
    assert find_kind(figures).kind == "degraded"
    assert "noise" in find_kind(figures).reason
    # In the flattest blocks of many there is less than on average.
    expected = sigma * (1.0 if gray else np.linalg.norm((0.299, 0.587, 0.114)))
    assert 0.7 * expected < figures.noise < 1.15 * expected
    if gray:
        assert figures.colour_noise < 1.5
    else:
        assert 0.75 * sigma * 2**0.5 < figures.colour_noise < 1.1 * sigma * 2**0.5
        assert figures.colour_white > 1.4


def test_fine_texture_is_no_noise() -> None:
    """Random texture, reduced like a photograph, of which some parts are finer than others."""
    random = np.random.default_rng(0)
    fine = random.normal(size=(800, 800)) * np.linspace(10, 90, 800)
    image = Image.fromarray((128 + fine).clip(0, 255).round().astype(np.uint8))
    soft = image.filter(ImageFilter.GaussianBlur(2)).resize((200, 200), Image.Resampling.BICUBIC)
    texture = 128 + 6.0 * (np.asarray(soft, np.float32) - 128)
    figures = looks_of(texture.clip(7, 248).round().astype(np.uint8))
    assert figures.noise > NOISE
    assert figures.even < 0.75
    assert find_kind(figures).kind == "clean"


def test_a_coarse_jpeg_is_known_by_its_tables(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    for quality in (QUALITY - 15, QUALITY + 5):
        path = tmp_path / f"{quality}.jpg"
        Image.fromarray(photo).save(path, quality=quality)
        with path.open("rb") as file:
            found = quality_of(file)
        assert found is not None
        finding = find_kind(replace(CLEAN, quality=found))
        assert finding.kind == ("degraded" if quality < QUALITY else "clean")
        if quality < QUALITY:
            assert finding.reason == f"JPEG of quality {found}"


def test_blocks_are_found_without_tables_at_any_offset(photo: NDArray[np.uint8]) -> None:
    coded = as_jpeg(photo, 30)
    before = looks_of(photo).blocks
    for cut in (0, 3, 7):
        figures = looks_of(coded[cut:, cut:])
        assert figures.blocks > before + 0.5
        assert find_kind(figures).kind == "degraded"
        assert find_kind(figures).reason == "blocks of an earlier JPEG"


def test_blur_is_found(photo: NDArray[np.uint8]) -> None:
    soft = np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(2)))
    assert looks_of(soft).softness < looks_of(photo).softness - 0.05
    assert find_kind(looks_of(soft)).reason == "blur"


def test_aliasing_and_oversharpening_are_found(photo: NDArray[np.uint8]) -> None:
    """Every second row and column is left out, and the rest is sharpened."""
    few = Image.fromarray(photo[::2, ::2]).filter(ImageFilter.UnsharpMask(1, 250, 0))
    assert looks_of(np.asarray(few)).softness > looks_of(photo).softness + 0.1
    assert find_kind(looks_of(np.asarray(few))).reason == "aliased or oversharpened"


def test_a_drawing_keeps_its_colours_until_it_was_a_jpeg() -> None:
    image = Image.new("RGB", (240, 180), (250, 250, 250))
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 20, 160, 140), (200, 40, 40), (0, 0, 0), 3)
    draw.text((30, 150), "The quick brown fox jumps over a lazy dog", (20, 20, 20))
    pixels = np.asarray(image)
    assert looks_of(pixels).flat > FLAT
    assert find_kind(looks_of(pixels)).kind == "drawing"
    assert find_kind(looks_of(as_jpeg(pixels, 40), quality=40)).kind == "degraded"
    assert find_kind(looks_of(noisy(pixels, 8.0))).kind == "degraded"


def test_depth_alpha_and_gray_change_nothing(photo: NDArray[np.uint8]) -> None:
    figures = looks_of(photo)
    deep: list[NDArray[Any]] = [photo.astype(np.uint16) * 257, (photo / 255).astype(np.float32)]
    deep.append(np.dstack([photo, np.zeros(photo.shape[:2], np.uint8)]))
    for pixels in deep:
        found = looks_of(pixels)
        for name in ("noise", "white", "colour_noise", "blocks", "softness"):
            assert getattr(found, name) == pytest.approx(getattr(figures, name), rel=0.01)
    assert looks_of(photo[..., 1]) == looks_of(photo[..., 1:2])
    assert looks_of(photo[..., 1]).colour_noise == 0.0


def test_of_a_large_picture_a_sample_tells_as_much(photo: NDArray[np.uint8]) -> None:
    large = np.tile(noisy(photo, 10.0), (6, 5, 1))
    assert large.shape[0] * large.shape[1] > 1_000_000
    assert looks_of(large).noise == pytest.approx(looks_of(noisy(photo, 10.0)).noise, rel=0.15)


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4)),
    st.sampled_from(["uint8", "uint16", "float32"]),
)
def test_any_picture_has_figures(shape: tuple[int, int, int], kind: str) -> None:
    random = np.random.default_rng(sum(shape)).random(shape)
    top = {"uint8": 255, "uint16": 65535, "float32": 1}[kind]
    figures = looks_of((random * top).astype(kind))
    values = [figures.noise, figures.colour_noise, figures.blocks, figures.softness, figures.flat]
    assert np.isfinite(values).all()
    assert find_kind(figures).kind in ("clean", "degraded", "drawing")
