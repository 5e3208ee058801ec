"""Colours converted to sRGB on request."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.errors import OptionError
from enlarge.media.colour.colour import Cicp, Colour
from enlarge.media.colour.profile_making import profile_of
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.reading import open_picture
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture
from tests.media.colour_files import (
    MDCV,
    PQ_CHUNK,
    chunks_of,
    copied,
    exiftool_values,
    gama,
    heic,
    png,
    png16,
    profile_in,
)

P3 = profile_of(Colour(Cicp(12, 13)), 3)
FLAT = Image.new("RGB", (32, 24), (200, 40, 30))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif"])
def test_display_p3(tmp_path: Path, suffix: str) -> None:
    """(200, 40, 30) of P3 is (218, 0, 4) of sRGB."""
    source = png(tmp_path / "a.png", FLAT, icc_profile=P3)
    target = tmp_path / f"b.{suffix}"
    assert copied(source, target, colour="srgb") == []
    assert profile_in(target) is None
    with Image.open(target) as image:
        shown = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(shown - [218, 0, 4]).max() <= (1 if suffix in ("png", "tif") else 3)
    if suffix == "png":
        assert chunks_of(target.read_bytes())[b"sRGB"] == b"\0"


def test_code_points_of_a_heic(tmp_path: Path) -> None:
    source = heic(tmp_path / "a.heic", FLAT, 12, 13)
    assert copied(source, tmp_path / "b.png", colour="srgb") == []
    with Image.open(tmp_path / "b.png") as image:
        assert np.abs(np.asarray(image).astype(int) - [218, 0, 4]).max() <= 3
    assert b"cICP" not in chunks_of((tmp_path / "b.png").read_bytes())


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_linear_light(tmp_path: Path, mode: str) -> None:
    """128 of linear light is 188 (IEC 61966-2-1); alpha stays."""
    image = Image.new("L", (32, 24), 128).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(99)
    source = png(tmp_path / "a.png", image, gama(100_000))
    assert copied(source, tmp_path / "b.png", colour="srgb") == []
    with Image.open(tmp_path / "b.png") as large:
        assert large.mode == mode
        wanted = [188] * len(mode.rstrip("A")) + [99] * mode.endswith("A")
        assert np.asarray(large)[9, 9].tolist() == (wanted if len(wanted) > 1 else wanted[0])


def test_depth_is_kept(tmp_path: Path) -> None:
    """16 bits: within two of 65,535 levels of the formula."""
    ramp = np.repeat(np.linspace(2000, 65_535, 32 * 24).reshape(24, 32, 1), 3, axis=2)
    ramp = ramp.round().astype(np.uint16)
    copied(png16(tmp_path / "a.png", ramp, gama(100_000)), tmp_path / "b.tif", colour="srgb")
    import pyvips

    got = pyvips.Image.new_from_file(str(tmp_path / "b.tif")).numpy().astype(float)
    wanted = 65_535 * (1.055 * (ramp / 65_535) ** (1 / 2.4) - 0.055)
    assert np.abs(got - wanted).max() <= 12  # LittleCMS interpolates the curve


def test_hdr_is_told(tmp_path: Path) -> None:
    """58 % of PQ, 203 cd/m², is diffuse white; 51 %, 100 cd/m², is 0.4926 of it."""
    for level, wanted in ((0.5807, 255), (0.9, 255), (0.5081, 186.5)):
        pixels = np.full((24, 32, 3), round(level * 65_535), np.uint16)
        source = png16(tmp_path / "a.png", pixels, PQ_CHUNK, (b"mDCV", MDCV))
        notes = copied(source, tmp_path / "b.jpg", colour="srgb")
        assert [note for note in notes if "HDR" in note or "PQ" in note] == [
            "PQ is converted to sRGB: light above diffuse white is clipped"
        ]
        with Image.open(tmp_path / "b.jpg") as image:
            assert np.abs(np.asarray(image) - wanted).max() <= 1.5
        assert profile_in(tmp_path / "b.jpg") is None
        assert exiftool_values(tmp_path / "b.jpg", "ColorPrimaries") == []


@pytest.mark.parametrize(
    "chunks", [[], [(b"sRGB", b"\0")], [gama(45455)], [(b"cICP", b"\1\r\0\1")]]
)
def test_srgb_is_not_touched(tmp_path: Path, chunks: list[tuple[bytes, bytes]]) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (24, 32, 3), np.uint8)
    source = png(tmp_path / "a.png", Image.fromarray(pixels), *chunks)
    assert copied(source, tmp_path / "b.png", colour="srgb") == []
    with Image.open(tmp_path / "b.png") as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_what_cannot_be_converted(tmp_path: Path) -> None:
    unknown = png(tmp_path / "a.png", FLAT, (b"cICP", bytes([200, 13, 0, 1])))
    with pytest.raises(OptionError, match=r"--colour srgb: .*unknown \(200\)"):
        copied(unknown, tmp_path / "b.png", colour="srgb")
    assert P3 is not None
    broken = P3[:128] + struct.pack(">I", 0) + bytes(300)
    broken = struct.pack(">I", len(broken)) + broken[4:]
    FLAT.save(tmp_path / "c.tif", icc_profile=broken)
    with pytest.raises(OptionError, match=r"--colour srgb: .*is damaged"):
        copied(tmp_path / "c.tif", tmp_path / "d.png", colour="srgb")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "c.tif"]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_floats(tmp_path: Path, channels: int) -> None:
    """Linear light in float: within 1/4000 of the formula; alpha stays."""
    colours = 1 if channels <= 2 else 3
    ramp = np.linspace(0.05, 1, 32 * 24, dtype=np.float32).reshape(24, 32, 1)
    pixels = np.repeat(ramp, channels, axis=2)
    icc = profile_of(Colour(gamma=100_000), colours)
    spec = PictureSpec(32, 24, channels, np.dtype(np.float32))
    how = WriteOptions("tiff", colour="srgb")
    with create_picture(tmp_path / "a.tif", spec, how, metadata=Metadata(icc=icc)) as sink:
        sink.write(pixels)
        sink.finish()
    with open_picture(tmp_path / "a.tif") as picture:
        assert picture.facts.dtype == np.float32
        assert picture.metadata.icc is None
        got = picture.rows().read(24)
    wanted = 1.055 * ramp ** (1 / 2.4) - 0.055
    assert np.abs(got[..., :colours] - wanted).max() < 1 / 4000
    if channels != colours:
        assert np.abs(got[..., -1:] - ramp).max() < 1 / 30_000
