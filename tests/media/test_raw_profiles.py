"""Profiles that ImageMagick writes as texts into PNG files."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from enlarge.media.formats.png_chunks import png_chunk
from enlarge.media.reading import describe_picture, open_picture
from tests.media.exiftool import embedded_pictures, exiftool, positions, tags_of
from tests.media.test_previews import doubled, small_jpeg

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'tiff:Orientation="6" tiff:ImageWidth="48" xmp:Label="red"/></rdf:RDF></x:xmpmeta>'
)
IPTC = b"\x1c\x02\x19\0\x03dog\x1c\x02\x5a\0\x05Seoul"
RESOURCES = b"".join(
    b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + b"\0" * (len(data) % 2)
    for number, data in (
        (0x0404, IPTC),
        (0x040C, struct.pack(">IIIIIIHH", 1, 8, 8, 24, 192, 9, 24, 1) + small_jpeg()),
    )
)


def exif() -> bytes:
    """Orientation 6, an artist, sizes and a position, in Pillow's writing."""
    found = Image.Exif()
    found[0x0112], found[0x013B] = 6, "me"
    found.get_ifd(0x8769).update({0xA002: 48, 0xA003: 32})
    found.get_ifd(0x8825).update({1: "N", 2: (37.0, 33.0, 54.0)})
    return found.tobytes()


def raw(kind: str, data: bytes, length: int | None = None) -> bytes:
    """A chunk as ImageMagick's coders/png.c writes it."""
    digits = data.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{kind}\n{len(data) if length is None else length:8}\n{lines}\n".encode()
    keyword = f"Raw profile type {kind}".encode()
    return png_chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(text))


def png_with(*chunks: bytes) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(out, "PNG")
    return out.getvalue()[:33] + b"".join(chunks) + out.getvalue()[33:]


ALL = {
    "by kind": (raw("exif", exif()), raw("xmp", XMP), raw("iptc", RESOURCES), raw("icc", SRGB)),
    "APP1 and 8bim": (
        raw("APP1", exif()),
        raw("APP1", b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        raw("8bim", b"Photoshop 3.0\0" + RESOURCES),
        raw("icm", SRGB),
    ),
    "bare": (raw("exif", exif()[6:]), raw("xmp", XMP), raw("iptc", IPTC), raw("icc", SRGB)),
}


@pytest.mark.parametrize("form", ["png", "jpg"])
@pytest.mark.parametrize("chunks", ALL.values(), ids=ALL)
def test_they_are_the_pictures_metadata(
    tmp_path: Path, chunks: tuple[bytes, ...], form: str
) -> None:
    source, target = tmp_path / "a.png", tmp_path / f"b.{form}"
    source.write_bytes(png_with(*chunks))
    assert {"icc", "exif", "xmp", "iptc"} <= set(describe_picture(source)["metadata"])
    assert doubled(source, target, "jpeg" if form == "jpg" else form) == []
    tags = tags_of(target)
    assert tags["IFD0:Artist"] == "me"
    assert tags["IFD0:Orientation"] == tags["XMP-tiff:Orientation"] == 1
    assert tags["ExifIFD:ExifImageWidth"] == tags["XMP-tiff:ImageWidth"] == 64  # turned
    assert tags["ExifIFD:ExifImageHeight"] == 96
    assert tags["XMP-xmp:Label"] == "red"
    assert tags["IPTC:Keywords"] == "dog"
    assert not embedded_pictures(target)
    assert {"GPS:GPSLatitude", "IPTC:City"} <= positions(target)
    with Image.open(target) as image:
        assert image.size == (64, 96)
        assert image.info["icc_profile"] == SRGB


def test_exif_of_its_own_comes_first(tmp_path: Path) -> None:
    own = Image.Exif()
    own[0x013B] = "you"
    chunks = (raw("exif", exif()), png_chunk(b"eXIf", own.tobytes().removeprefix(b"Exif\0\0")))
    (tmp_path / "a.png").write_bytes(png_with(*chunks))
    assert doubled(tmp_path / "a.png", tmp_path / "b.png", "png") == []
    assert tags_of(tmp_path / "b.png")["IFD0:Artist"] == "you"
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (96, 64)


@pytest.mark.parametrize(
    "chunk",
    [
        raw("exif", exif(), length=9),
        raw("exif", b"no TIFF"),
        raw("generic", b"whatever"),
        raw("APP12", b"Ducky\0"),
        png_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n   5\n0g\n"),
        png_chunk(b"tEXt", b"Raw profile type exif\0"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, chunk: bytes) -> None:
    (tmp_path / "a.png").write_bytes(png_with(chunk))
    notes = doubled(tmp_path / "a.png", tmp_path / "b.png", "png")
    assert len(notes) == 1
    assert "Raw profile type" in notes[0]
    assert b"Raw profile" not in (tmp_path / "b.png").read_bytes()


def test_exif_and_xmp_behind_the_pixels(tmp_path: Path) -> None:
    """Where streaming encoders, and ExifTool in files without room, put them."""
    out = io.BytesIO()
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(out, "PNG")
    late = png_chunk(b"eXIf", exif()[6:])
    late += png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    (tmp_path / "a.png").write_bytes(out.getvalue()[:-12] + late + out.getvalue()[-12:])
    with open_picture(tmp_path / "a.png") as picture:
        assert picture.facts.orientation == 6
        assert picture.metadata.xmp == XMP


def test_iptc_is_written_into_png_for_exiftool(tmp_path: Path) -> None:
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(tmp_path / "a.jpg")
    exiftool("-overwrite_original", "-IPTC:Headline=Café", "-IPTC:Keywords=dog", tmp_path / "a.jpg")
    assert doubled(tmp_path / "a.jpg", tmp_path / "b.png", "png") == []
    assert tags_of(tmp_path / "b.png")["IPTC:Headline"] == "Café"
    assert doubled(tmp_path / "b.png", tmp_path / "c.jpg", "jpeg") == []
    assert tags_of(tmp_path / "c.jpg")["IPTC:Headline"] == "Café"


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_iptc_that_exiftool_wrote_into_a_png(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a.png").write_bytes(png_with())
    exiftool("-q", "-overwrite_original", "-IPTC:Headline=Café", tmp_path / "a.png")
    form = {"png": "png", "jpg": "jpeg", "tif": "tiff"}[suffix]
    assert doubled(tmp_path / "a.png", tmp_path / f"b.{suffix}", form) == []
    assert tags_of(tmp_path / f"b.{suffix}")["IPTC:Headline"] == "Café"
