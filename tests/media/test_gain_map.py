"""Gain maps: said, left out, and not claimed by the result."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.media.formats.gain_map import NOTE
from enlarge.media.reading import describe_picture
from tests.media.colour_files import copied, exiftool_values, heic
from tests.media.exiftool import CASES

PICTURE = Image.fromarray(np.random.default_rng(2).integers(0, 256, (24, 32, 3), np.uint8))
_RDF = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">%s</rdf:RDF></x:xmpmeta>'
_ITEM = (
    b'<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="%b" Item:Mime="image/jpeg"'
    b' Item:Length="%d"/></rdf:li>'
)
ATTRIBUTES = _RDF % (
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" xmp:Rating="4" '
    b'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
    b'xmlns:Item="http://ns.google.com/photos/1.0/container/item/"><Container:Directory><rdf:Seq>'
    + _ITEM % (b"Primary", 0) + _ITEM % (b"GainMap", 900)
    + b"</rdf:Seq></Container:Directory></rdf:Description>"
)  # fmt: skip
ELEMENTS = _RDF % (
    b'<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" '
    b'xmlns:xmp="http://ns.adobe.com/xap/1.0/">'
    b"<hdrgm:Version>1.0</hdrgm:Version><xmp:Rating>4</xmp:Rating>"
    b"<hdrgm:GainMapMax><rdf:Seq><rdf:li>1</rdf:li></rdf:Seq></hdrgm:GainMapMax>"
    b"</rdf:Description>"
)


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _jpeg(image: Image.Image, *segments: bytes) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    data = file.getvalue()
    return data[:20] + b"".join(segments) + data[20:]


def _with_mpf(first: bytes, second: bytes) -> bytes:
    """Two JPEGs in one file (CIPA DC-007)."""
    at = 20 + 4 + 4
    length = len(first) + 4 + 4 + 82
    entries = struct.pack("<IIIHH", 0x030000, length, 0, 0, 0) + struct.pack(
        "<IIIHH", 0, len(second), length - at, 0, 0
    )
    index = struct.pack("<HHI4s", 0xB000, 7, 4, b"0100") + struct.pack("<HHII", 0xB001, 4, 1, 2)
    index += struct.pack("<HHII", 0xB002, 7, 32, 50)
    body = b"MPF\0II*\0" + struct.pack("<IH", 8, 3) + index + bytes(4) + entries
    assert len(body) == 4 + 82
    return first[:20] + _segment(0xE2, body) + first[20:] + second


def _ultra_hdr() -> bytes:
    return _with_mpf(
        _jpeg(PICTURE, _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + ATTRIBUTES)),
        _jpeg(PICTURE, _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + ELEMENTS)),
    )


def _iso_21496() -> bytes:
    return _jpeg(PICTURE, _segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4)))


def _apple() -> bytes:
    marked = _RDF % (
        b'<rdf:Description rdf:about="" '
        b'xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/" '
        b'xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/" '
        b'apdi:AuxiliaryImageType="urn:com:apple:photo:2020:aux:hdrgainmap" '
        b'HDRGainMap:HDRGainMapVersion="65536"/>'
    )
    return _with_mpf(
        _jpeg(PICTURE), _jpeg(PICTURE, _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + marked))
    )


@pytest.mark.parametrize("made", [_ultra_hdr, _iso_21496, _apple])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_a_jpeg_with_a_gain_map(tmp_path: Path, made, suffix: str) -> None:  # type: ignore[no-untyped-def]
    source, target = tmp_path / "a.jpg", tmp_path / f"b.{suffix}"
    source.write_bytes(made())
    assert copied(source, target).count(NOTE) == 1
    assert NOTE in describe_picture(source)["notes"]
    data = target.read_bytes()
    for claim in (b"hdrgm:", b"GainMap", b"21496", b"MPF\0"):
        assert claim not in data
    assert describe_picture(target)["notes"] == []


def test_two_pictures_are_no_gain_map(tmp_path: Path) -> None:
    """An MPO of a 3D camera."""
    (tmp_path / "a.jpg").write_bytes(_with_mpf(_jpeg(PICTURE), _jpeg(PICTURE)))
    assert NOTE not in copied(tmp_path / "a.jpg", tmp_path / "b.png")


@pytest.mark.parametrize("damage", [b"II*\0\xff\xff\xff\xff", b"", b"MM\0*" + bytes(99)])
def test_a_damaged_index_is_passed_over(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(_jpeg(PICTURE, _segment(0xE2, b"MPF\0" + damage)))
    assert NOTE not in copied(tmp_path / "a.jpg", tmp_path / "b.png")


@pytest.mark.parametrize(
    ("urn", "note"),
    [
        (b"urn:com:apple:photo:2020:aux:hdrgainmap", NOTE),
        (b"urn:iso:std:iso:ts:21496:-1", NOTE),
        (b"urn:mpeg:hevc:2015:auxid:2", "the depth map is left out"),
        (b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth", "the depth map is left out"),
        (b"", None),
    ],
)
def test_a_heic_with_an_auxiliary_picture(tmp_path: Path, urn: bytes, note: str | None) -> None:
    """Its URN stands in a property of the file."""
    source = heic(tmp_path / "a.heic", PICTURE, 1, 13)
    data = source.read_bytes()
    box = struct.pack(">I4sI", 12 + len(urn) + 1, b"auxC", 0) + urn + b"\0"
    at = data.index(b"ipco") - 4
    (size,) = struct.unpack_from(">I", data, at)
    grown = bytearray(data[: at + size] + box + data[at + size :])
    for kind in (b"ipco", b"iprp", b"meta"):
        place = data.index(kind) - 4
        (old,) = struct.unpack_from(">I", grown, place)
        struct.pack_into(">I", grown, place, old + len(box))
    place = grown.index(b"iloc") - 4
    offset = grown.index(struct.pack(">I", data.index(b"mdat") + 4), place)
    struct.pack_into(">I", grown, offset, data.index(b"mdat") + 4 + len(box))
    source.write_bytes(bytes(grown))
    assert copied(source, tmp_path / "b.png") == ([note] if note else [])


def test_a_jpeg_xl_with_a_gain_map(tmp_path: Path) -> None:
    """The box `jhgm` (ISO/IEC 18181-2)."""
    pytest.importorskip("pillow_jxl", reason='pip install "enlarge[formats]"')
    PICTURE.save(tmp_path / "a.jxl", lossless=True, use_container=True)
    assert NOTE not in copied(tmp_path / "a.jxl", tmp_path / "b.png")
    data = (tmp_path / "a.jxl").read_bytes()
    (tmp_path / "c.jxl").write_bytes(data + struct.pack(">I4s", 12, b"jhgm") + bytes(4))
    assert NOTE in copied(tmp_path / "c.jxl", tmp_path / "d.png")


@pytest.mark.skipif(not CASES.is_dir(), reason=f"needs {CASES}")
def test_the_reported_picture(tmp_path: Path) -> None:
    assert NOTE in copied(CASES / "ultrahdr.jpg", tmp_path / "u.jpg")
    tags = ("XMP-hdrgm:all", "XMP-GContainer:all", "MPF0:all")
    assert exiftool_values(CASES / "ultrahdr.jpg", *tags) != []
    assert exiftool_values(tmp_path / "u.jpg", *tags) == []
