"""The resolution: what a file tells is kept, and nothing is told that nobody wrote."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.media.reading import open_picture
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture
from tests.media.test_tiff_exif import convert, tags

RGB = Image.new("RGB", (40, 24), (10, 90, 200))
FORMATS = {"png": "png", "jpg": "jpeg", "tif": "tiff", "webp": "webp", "avif": "avif"}


def saved(form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    RGB.save(out, form, **options)
    return out.getvalue()


def jfif(unit: int, across: int, down: int) -> bytes:
    data = bytearray(saved("JPEG"))
    assert data[6:11] == b"JFIF\0"
    data[13:18] = struct.pack(">BHH", unit, across, down)
    return bytes(data)


def phys(unit: int, across: int, down: int) -> bytes:
    data = saved("PNG")
    chunk = b"pHYs" + struct.pack(">IIB", across, down, unit)
    return (
        data[:33] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    )


def tiff(unit: int, across: float, down: float) -> bytes:
    return saved("TIFF", tiffinfo={296: unit, 282: across, 283: down})


MADE_BY = Image.Exif()
MADE_BY[0x010F] = "Nikon"
SILENT = {
    "jpeg without": saved("JPEG"),
    "jpeg, no unit": jfif(0, 72, 72),
    "jpeg, zero": jfif(1, 0, 0),
    "png without": saved("PNG"),
    "png, no unit": phys(0, 1, 1),
    "tiff without": saved("TIFF"),
    "tiff, no unit": tiff(1, 72, 72),
    "webp": saved("WEBP"),
    "avif": saved("AVIF"),
    "bmp": saved("BMP").replace(struct.pack("<ii", 3780, 3780), bytes(8)),
    "gif": saved("GIF"),
    "exif without": saved("WEBP", exif=MADE_BY),
}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", SILENT)
def test_nothing_is_told_where_nothing_was(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    notes = convert(SILENT[name], path, FORMATS[suffix])
    assert not [note for note in notes if "resolution" in note or "aspect" in note]
    with open_picture(path) as picture:
        assert picture.facts.density is None
        assert picture.metadata.aspect is None
    with Image.open(path) as image:
        # Pillow assumes 72 dpi for every JPEG with EXIF that tells none.
        assert "dpi" not in image.info or (suffix == "jpg" and "exif" in name)
        assert image.info.get("jfif_unit", 0) == 0
    found = {
        name: value for name, value in tags(path).items() if "Resolution" in name or "Units" in name
    }
    assert {str(value) for value in found.values()} <= {"None", "1"}


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize(
    "data", [jfif(1, 300, 150), phys(1, 11811, 5906), tiff(2, 300, 150), tiff(3, 118.11, 59.055)]
)
def test_what_is_told_is_kept(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"a.{suffix}"
    convert(data, path, FORMATS[suffix])
    with Image.open(path) as image:
        assert image.info["dpi"] == pytest.approx((300, 150), rel=1e-3)


@pytest.mark.parametrize("dpi", [72, 96, 300, 299.72])
def test_a_resolution_in_tiff_is_the_same_number(tmp_path: Path, dpi: float) -> None:
    convert(tiff(2, dpi, dpi), tmp_path / "a.tif", "tiff")
    found = tags(tmp_path / "a.tif")
    assert found["IFD0:XResolution"] == dpi
    assert found["IFD0:ResolutionUnit"] == "inches"


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("data", [jfif(0, 2, 1), phys(0, 2, 1), tiff(1, 2, 1)])
def test_a_ratio_without_a_unit_stays_one(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"a.{suffix}"
    assert convert(data, path, FORMATS[suffix]) == []
    with open_picture(path) as picture:
        assert picture.facts.density is None
        assert picture.metadata.aspect == (2, 1)
    found = {name.split(":")[-1]: value for name, value in tags(path).items()}
    names = (
        ("PixelsPerUnitX", "PixelsPerUnitY") if suffix == "png" else ("XResolution", "YResolution")
    )
    assert [found[name] for name in names] == [2, 1]
    assert found["PixelUnits" if suffix == "png" else "ResolutionUnit"] in ("None", "Unknown")


def test_a_ratio_is_reported_where_it_cannot_be_held(tmp_path: Path) -> None:
    assert convert(jfif(0, 2, 1), tmp_path / "a.webp", "webp") == [
        "not kept in WebP: aspect ratio of the pixels"
    ]


def test_exif_tells_the_resolution_of_a_jpeg(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 240.0, 240.0, 2
    data = saved("JPEG", exif=exif)
    convert(data, tmp_path / "a.png", "png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["dpi"] == pytest.approx((240, 240), rel=1e-3)


@pytest.mark.parametrize("form", ["WEBP", "PNG", "AVIF", "JPEG"])
@pytest.mark.parametrize(("unit", "value"), [(2, 300.0), (3, 118.11)])
def test_exif_tells_the_resolution_of_others(
    tmp_path: Path, form: str, unit: int, value: float
) -> None:
    """EXIF's first directory is that of a TIFF, which has no other resolution."""
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = value, value, unit
    assert convert(saved(form, exif=exif), tmp_path / "a.tif", "tiff") == []
    with Image.open(tmp_path / "a.tif") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), rel=1e-3)


def test_a_large_profile_before_the_resolution(tmp_path: Path) -> None:
    """The chunk of the resolution comes behind that of the profile, and behind what is buffered."""
    noise = np.random.default_rng(1).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    large = struct.pack(">I", len(profile) + len(noise)) + profile[4:] + noise
    source = saved("PNG", icc_profile=large)
    with (
        open_picture(source) as picture,
        create_picture(
            tmp_path / "a.png",
            PictureSpec(40, 24, 3, np.dtype(np.uint8)),
            WriteOptions("png"),
            metadata=picture.metadata,
        ) as sink,
    ):
        sink.write(picture.rows().read(24))
        sink.finish()
    with Image.open(tmp_path / "a.png") as image:
        assert "dpi" not in image.info
        assert image.info["icc_profile"] == large
        np.testing.assert_array_equal(np.asarray(image), np.asarray(RGB))
