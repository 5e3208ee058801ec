"""Pillow images with a transparent colour, and in modes that no array stands for."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import enlarge
from enlarge.media.formats.png_chunks import png_chunk
from tests.media.colour_files import png16
from tests.media.exiftool import CASES

GRAY = np.random.default_rng(4).integers(1000, 60_000, (24, 32), np.uint16)


def _deep(mode: str) -> Image.Image:
    order = ">" if mode == "I;16B" else "<"
    return Image.frombytes(mode, (32, 24), GRAY.astype(f"{order}u2").tobytes())


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B"])
def test_a_transparent_gray_of_16_bits(tmp_path: Path, mode: str) -> None:
    """The same as an array with alpha; Pillow's own PNG of the result has the key again."""
    key = 30_000
    GRAY[4:12, 8:20] = key
    image = _deep(mode)
    image.info["transparency"] = key
    alpha = np.where(key == GRAY, 0, 65_535).astype(np.uint16)
    wanted = enlarge.upscale(np.stack([GRAY, alpha], axis=-1))
    large = enlarge.upscale(image)
    assert large.mode == "I;16"
    large.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.info["transparency"] == key
        pixels = np.asarray(saved).astype(int)
    shown = wanted[..., 1] >= 32_768
    assert (pixels[~shown] == key).all()
    assert (pixels[shown] != key).all()
    assert np.abs(pixels[shown] - wanted[..., 0][shown]).max() <= 1
    assert 0 < (~shown).sum() < shown.sum()


def test_sixteen_bits_without_a_key_stay_as_they_were() -> None:
    large = enlarge.upscale(_deep("I;16"))
    assert "transparency" not in large.info
    assert np.array_equal(np.asarray(large), enlarge.upscale(GRAY))


@pytest.mark.parametrize(
    ("mode", "key", "result"),
    [
        ("L", 7, "LA"),
        ("1", 0, "LA"),
        ("RGB", (7, 7, 7), "RGBA"),
        ("P", 7, "RGBA"),
        ("P", bytes([255] * 7 + [0]), "RGBA"),
    ],
)
def test_a_transparent_colour_becomes_alpha(mode: str, key: object, result: str) -> None:
    """Alpha as Pillow's own RGBA has it."""
    gray = np.full((24, 32), 200, np.uint8)
    gray[6:18, 8:24] = 7
    image = Image.fromarray(gray)
    image = image.point(lambda v: 255 * (v > 100), "1") if mode == "1" else image.convert(mode)
    if mode == "P":
        image.putpalette([each for entry in range(256) for each in (entry, 0, 255 - entry)])
        image.putdata(gray.ravel())
    image.info["transparency"] = key
    large = enlarge.upscale(image)
    assert large.mode == result
    assert "transparency" not in large.info
    wanted = enlarge.upscale(image.convert("RGBA")).getchannel("A")
    assert np.array_equal(np.asarray(large.getchannel("A")), np.asarray(wanted))
    assert np.asarray(wanted)[48, 64] == 0
    assert np.asarray(wanted)[2, 2] == 255


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_transparent_gray_of_fewer_bits(tmp_path: Path, bits: int) -> None:
    """As the path: Pillow scales the pixels to 8 bits, but not the transparent gray."""
    path, top = tmp_path / "a.png", (1 << bits) - 1
    row = b"\0" + bytes(2 * bits) + b"\xff" * (2 * bits)  # 16 pixels of black, 16 of white
    header = struct.pack(">IIBBBBB", 32, 24, bits, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tRNS", struct.pack(">H", top))]
    chunks += [(b"IDAT", zlib.compress(row * 24)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks))
    with Image.open(path) as image:
        large = np.asarray(enlarge.upscale(image))
    assert np.array_equal(large, enlarge.upscale(path))
    assert large[48, 8].tolist() == [0, 255]
    assert large[48, 120, 1] == 0


@pytest.mark.parametrize("key", [(300, 301, 302), (44, 45, 46)])
def test_a_transparent_colour_of_16_bits(tmp_path: Path, key: tuple[int, ...]) -> None:
    """Pillow gives the upper 8 bits of the pixels, but all 16 of the colour."""
    pixels = np.full((24, 32, 3), 40_000, np.uint16)
    pixels[:, :16] = key
    path = png16(tmp_path / "a.png", pixels, (b"tRNS", struct.pack(">3H", *key)))
    with Image.open(path) as image:
        large = np.asarray(enlarge.upscale(image))
    assert np.array_equal(large[..., 3] > 127, enlarge.upscale(path)[..., 3] > 32_767)
    assert large[48, 8, 3] == 0
    assert large[48, 120].tolist() == pytest.approx([156, 156, 156, 255], abs=1)  # in int8


@pytest.mark.parametrize(("mode", "result"), [("La", "LA"), ("RGBa", "RGBA")])
def test_premultiplied_alpha(mode: str, result: str) -> None:
    pixels = np.random.default_rng(5).integers(64, 256, (24, 32, len(mode)), np.uint8)
    straight = Image.fromarray(pixels if mode == "RGBa" else pixels[..., :2])
    image = straight.convert(mode)
    large = enlarge.upscale(image)
    assert large.mode == result
    assert np.array_equal(np.asarray(large), np.asarray(enlarge.upscale(image.convert(result))))


def test_lab_goes_through_its_definition() -> None:
    """The red of sRGB is L* 54.29, a* 80.81, b* 69.89 in D50, here in whole steps."""
    lab = Image.new("LAB", (16, 16), (round(54.29 * 2.55), 128 + 81, 128 + 70))
    large = np.asarray(enlarge.upscale(lab)).astype(int)
    assert np.abs(large[32, 32] - [255, 0, 0]).max() <= 6


def test_what_an_image_says_of_its_colour_is_kept() -> None:
    image = Image.new("RGB", (16, 16), (9, 9, 9))
    image.info |= {"gamma": 1.0, "srgb": 0, "chromaticity": (0.3127, 0.329) * 4, "dpi": (72, 72)}
    large = enlarge.upscale(image)
    assert large.info == {"gamma": 1.0, "srgb": 0, "chromaticity": (0.3127, 0.329) * 4}


@pytest.mark.skipif(not CASES.is_dir(), reason=f"needs {CASES}")
def test_the_reported_picture() -> None:
    path = CASES / "png_trns_gray16.png"
    wanted = enlarge.upscale(path)
    with Image.open(path) as image:
        large = enlarge.upscale(image)
    shown = wanted[..., 1] >= 32_768
    pixels = np.asarray(large).astype(int)
    assert np.abs(pixels[shown] - wanted[..., 0][shown]).max() <= 1
    assert (pixels[~shown] == large.info["transparency"]).all()
