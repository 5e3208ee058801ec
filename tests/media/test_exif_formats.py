"""EXIF in WebP, AVIF, HEIC, JPEG XL and JPEG 2000: read, adapted, and written byte for byte."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.media.metadata.change import Change
from enlarge.media.metadata.exif import adapt_exif
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.reading import open_picture
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture
from tests.media.exiftool import exiftool, tags_of
from tests.media.test_metadata import exif_block
from tests.media.test_tiff_exif import convert

RGB = np.full((24, 40, 3), (10, 90, 200), np.uint8)
XMP_PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="here"/></rdf:RDF></x:xmpmeta>'
)


def write(path: Path, form: str, channels: int = 3, **metadata: Any) -> list[str]:
    pixels = np.random.default_rng(1).integers(0, 256, (24, 40, channels), dtype=np.uint8)
    with create_picture(
        path,
        PictureSpec(40, 24, channels, pixels.dtype),
        WriteOptions(form, quality=100 if form == "avif" else None),
        metadata=Metadata(**metadata),
    ) as sink:
        sink.write(pixels)
        sink.finish()
    with open_picture(path) as picture:
        rows = picture.rows().read(24)
        if form == "avif":
            np.testing.assert_array_equal(rows[..., : pixels.shape[2]][..., :1], pixels[..., :1])
    return sink.notes


@pytest.mark.parametrize("packet", [None, XMP_PACKET])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("form", ["png", "webp", "avif"])
def test_the_block_is_kept_byte_for_byte(
    tmp_path: Path, form: str, channels: int, packet: bytes | None
) -> None:
    path = tmp_path / f"a.{form}"
    assert write(path, form, channels, exif=exif_block(), xmp=packet) == []
    with open_picture(path) as picture:
        assert picture.metadata.exif == adapt_exif(exif_block(), Change(40, 24))
        assert (picture.metadata.xmp is None) == (packet is None)
    tags = tags_of(path)
    assert tags["GPS:GPSLatitude"] == pytest.approx(37.565)
    assert not [name for name in tags if "Thumbnail" in name]


@pytest.mark.parametrize("length", [60_000, 200_000])
def test_a_long_block_fits_into_avif(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.avif"
    block = exif_block() + bytes(length)
    assert write(path, "avif", exif=block) == []
    with open_picture(path) as picture:
        assert picture.metadata.exif == adapt_exif(block, Change(40, 24))


def test_without_exif_avif_gets_none(tmp_path: Path) -> None:
    write(tmp_path / "a.avif", "avif")
    assert not [name for name in tags_of(tmp_path / "a.avif") if "IFD" in name]


def encoded(suffix: str, **options: Any) -> bytes:
    out = io.BytesIO()
    if suffix == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    elif suffix == "jxl":
        pytest.importorskip("pillow_jxl")
    form = {"heic": "HEIF", "jxl": "JXL", "webp": "WEBP", "avif": "AVIF", "jp2": "JPEG2000"}[suffix]
    Image.fromarray(RGB).save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("target", ["png", "jpg", "tif", "webp", "avif"])
@pytest.mark.parametrize("suffix", ["webp", "avif", "heic", "jxl", "jp2"])
def test_from_every_format_into_every_format(tmp_path: Path, suffix: str, target: str) -> None:
    start = tmp_path / f"source.{suffix}"
    exif = Image.Exif()
    exif[0x010F] = "Nikon"
    exif.get_ifd(0x8769).update({0x829A: 1 / 320, 0xA002: 40, 0xA003: 24})
    exif.get_ifd(0x8825).update({1: "N", 2: (37.0, 33.0, 54.0)})
    if suffix == "jp2":
        start.write_bytes(encoded(suffix))
        exiftool(
            "-q", "-overwrite_original", "-Make=Nikon", "-ExposureTime=1/320",
            "-XMP-dc:Source=here", "-GPSLatitude=37.565", "-GPSLatitudeRef=N",
            "-ExifImageWidth=40", "-IPTC:Keywords=one",
            start,
        )  # fmt: skip
    else:
        start.write_bytes(encoded(suffix, exif=exif.tobytes(), xmp=XMP_PACKET))
    form = {"jpg": "jpeg", "tif": "tiff"}.get(target, target)
    for keep in ("keep", "no-gps"):
        path = tmp_path / f"{keep}.{target}"
        convert(start, path, form, keep)
        tags = tags_of(path)
        assert tags["IFD0:Make"] == "Nikon"
        assert tags["ExifIFD:ExposureTime"] == pytest.approx(1 / 320)
        assert tags["ExifIFD:ExifImageWidth"] == 80
        assert tags["XMP-dc:Source"] == "here"
        assert ("GPS:GPSLatitude" in tags) == (keep == "keep")
        if suffix == "jp2" and target in ("png", "jpg", "tif"):
            assert tags["IPTC:Keywords"] == "one"


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data) + 8, kind) + data


def test_the_resolution_of_a_jpeg_2000(tmp_path: Path) -> None:
    """I.5.3.7: 300 dpi are 11811 per metre, here as 11811/1 × 10^0 and 236220/2 × 10^-1."""
    data = encoded("jp2")
    at = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, at)
    resolution = box(b"res ", box(b"resd", struct.pack(">4H2b", 11811, 1, 23622, 2, 0, 0)))
    header = box(b"jp2h", data[at + 8 : at + length] + resolution)
    with open_picture(data[:at] + header + data[at + length :]) as picture:
        assert picture.facts.density == pytest.approx((11.811, 11.811))
    with open_picture(data) as picture:
        assert picture.facts.density is None


def test_damaged_boxes_are_left_out() -> None:
    data = encoded("jp2")
    for tail in (
        b"\0\0\0\xffuuid",
        b"\0\0\0\x01uuid",
        box(b"uuid", b"JpgTiffExif->JP2II*"),
        bytes(9),
    ):
        with open_picture(data + tail) as picture:
            assert picture.rows().read(1).shape == (1, 40, 3)


def test_geojp2_is_known(tmp_path: Path) -> None:
    import tifffile

    scale = [(33550, 12, 3, (0.5, 0.5, 0.0), True), (33922, 12, 6, (0, 0, 0, 5e5, 4e6, 0), True)]
    tifffile.imwrite(tmp_path / "geo.tif", RGB[:1, :1, 0], extratags=scale, metadata=None)
    name = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
    data = encoded("jp2") + box(b"uuid", name + (tmp_path / "geo.tif").read_bytes())
    with open_picture(data) as picture:
        assert picture.metadata.geo is not None
        assert picture.metadata.geo.has_place
    assert convert(data, tmp_path / "a.png", "png") == [
        "not kept in PNG: position on the map (GeoTIFF)"
    ]


def test_code_points_and_exif_together(tmp_path: Path) -> None:
    from enlarge.media.colour.colour import Cicp, Colour

    colour = Colour(cicp=Cicp(9, 16))
    assert write(tmp_path / "a.avif", "avif", exif=exif_block(), colour=colour) == []
    with open_picture(tmp_path / "a.avif") as picture:
        assert picture.metadata.exif == adapt_exif(exif_block(), Change(40, 24))
        assert picture.metadata.colour == colour
