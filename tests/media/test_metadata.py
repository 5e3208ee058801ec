"""What a file says beside its pixels: kept, made true for the result, dropped where asked."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from enlarge.errors import InputError
from enlarge.media.formats.png_chunks import png_chunk
from enlarge.media.metadata.change import Change
from enlarge.media.metadata.exif import adapt_exif, has_gps, orientation_of
from enlarge.media.metadata.metadata import Keep, Metadata
from enlarge.media.metadata.provenance import provenance_of
from enlarge.media.metadata.xmp import adapt_xmp
from enlarge.media.reading import open_picture
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture

RGB = np.full((24, 40, 3), (10, 90, 200), np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" '
    'exif:GPSLatitude="37,33.9N" dc:title="서울"><exif:PixelXDimension>24</exif:PixelXDimension>'
    "<exif:GPSLongitude>126,58.7E</exif:GPSLongitude></rdf:Description></x:xmpmeta>"
).encode()
LABELS = {"webp": "WebP", "avif": "AVIF"}
ORIENTATION, MAKE, EXIF_IFD, GPS_IFD = 0x0112, 0x010F, 0x8769, 0x8825


def exif_block() -> bytes:
    """Orientation 6, a Korean text, sizes, a maker note, GPS, and a thumbnail in IFD1."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[MAKE] = "니콘".encode()
    exif.get_ifd(EXIF_IFD).update({0xA002: 24, 0xA003: 40, 0x927C: b"MAKER\0\1\2\3", 0x829A: 0.01})
    exif.get_ifd(GPS_IFD).update({1: "N", 2: (37.0, 33.0, 54.0)})
    block = bytearray(exif.tobytes().removeprefix(b"Exif\0\0"))
    order = "<" if block[:2] == b"II" else ">"
    main = struct.unpack_from(order + "I", block, 4)[0]
    count = struct.unpack_from(order + "H", block, main)[0]
    thumbnail = b"\xff\xd8THUMBNAIL\xff\xd9"
    at = len(block)
    struct.pack_into(order + "I", block, main + 2 + 12 * count, at)
    block += struct.pack(order + "H", 2)
    block += struct.pack(order + "HHII", 0x0201, 4, 1, at + 2 + 24 + 4)
    block += struct.pack(order + "HHII", 0x0202, 4, 1, len(thumbnail))
    block += struct.pack(order + "I", 0) + thumbnail
    return bytes(block)


def source(form: str) -> bytes:
    out = io.BytesIO()
    options: dict[str, Any] = {"xmp": XMP} if form in ("JPEG", "WEBP") else {}
    Image.fromarray(RGB.swapaxes(0, 1)).save(
        out, form, exif=b"Exif\0\0" + exif_block(), icc_profile=SRGB, dpi=(300, 300), **options
    )
    return out.getvalue()


def convert(data: bytes, path: Path, form: str, keep: Keep = "keep") -> list[str]:
    with open_picture(data) as picture:
        facts = picture.facts
        with create_picture(
            path,
            PictureSpec(facts.width * 2, facts.height, 3, facts.dtype),
            WriteOptions(form, keep=keep),
            metadata=picture.metadata,
        ) as sink:
            sink.write(np.repeat(picture.rows().read(999), 2, axis=1))
            sink.finish()
    return sink.notes


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "avif"])
def test_everything_survives(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a.{form}"
    notes = convert(source("JPEG"), path, form)
    assert notes == ([] if form in ("png", "jpeg") else [f"not kept in {LABELS[form]}: resolution"])
    with Image.open(path) as image:
        exif = image.getexif()
        assert image.size == (80, 24)
        assert exif.get(ORIENTATION, 1) == 1
        assert exif[MAKE] == "니콘".encode().decode("latin-1")
        inner = exif.get_ifd(EXIF_IFD)
        assert (inner[0xA002], inner[0xA003]) == (80, 24)
        assert inner[0x829A] == pytest.approx(0.01)
        assert inner[0x927C] == b"MAKER\0\1\2\3"
        assert exif.get_ifd(GPS_IFD)[2] == (37.0, 33.0, 54.0)
        assert image.info["icc_profile"] == SRGB
        if form in ("png", "jpeg"):
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    with open_picture(path) as picture:
        packet = picture.metadata.xmp
        assert packet is not None
        assert 'tiff:Orientation="1"' in packet.decode()
        assert "서울" in packet.decode()
        assert ">80</exif:PixelXDimension>" in packet.decode()
    assert b"THUMBNAIL" not in path.read_bytes()


def test_exif_is_kept_byte_for_byte_but_for_what_must_change(tmp_path: Path) -> None:
    convert(source("JPEG"), tmp_path / "a.jpg", "jpeg")
    with open_picture(tmp_path / "a.jpg") as picture:
        assert picture.metadata.exif == adapt_exif(exif_block(), Change(80, 24))


def test_tiff_keeps_everything(tmp_path: Path) -> None:
    notes = convert(source("JPEG"), tmp_path / "a.tif", "tiff")
    assert notes == []
    with open_picture(tmp_path / "a.tif") as picture:
        assert picture.metadata.icc == SRGB
        assert picture.metadata.density == pytest.approx((300 / 25.4, 300 / 25.4), rel=1e-3)
        assert picture.metadata.xmp is not None
        assert "exif" in picture.facts.metadata


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "avif", "tiff"])
def test_places_can_be_dropped(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a.{form}"
    convert(source("JPEG"), path, form, "no-gps")
    assert b"GPS" not in path.read_bytes()
    with Image.open(path) as image:
        assert not image.getexif().get_ifd(GPS_IFD)
        assert image.getexif()[MAKE]


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "avif", "tiff"])
def test_everything_but_the_profile_can_be_dropped(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a.{form}"
    notes = convert(source("JPEG"), path, form, "none")
    assert not [note for note in notes if "EXIF" in note]
    with open_picture(path) as picture:
        assert picture.facts.metadata <= {"icc", "density"}
        assert picture.metadata.icc == SRGB
    assert "니콘".encode() not in path.read_bytes()


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_other_sources(tmp_path: Path, form: str) -> None:
    convert(source(form), tmp_path / "a.png", "png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (80, 24)
        assert image.getexif()[ORIENTATION] == 1
        assert image.info["icc_profile"] == SRGB


def test_texts_and_provenance(tmp_path: Path) -> None:
    metadata = Metadata(text=(("Title", "Café"), ("Author", "김")))
    for form in ("png", "jpeg", "tiff"):
        with create_picture(
            tmp_path / "a", PictureSpec(40, 24, 3, RGB.dtype), WriteOptions(form),
            metadata=metadata, provenance={"model": "fast", "tile": "a<\"b"},
        ) as sink:  # fmt: skip
            sink.write(RGB)
            sink.finish()
        assert sink.notes == []
        data = (tmp_path / "a").read_bytes()
        assert "김".encode() in data
        with open_picture(tmp_path / "a") as picture:
            assert provenance_of(picture.metadata) == {"model": "fast", "tile": 'a<"b'}
            if form == "png":
                text = '{"model": "fast", "tile": "a<\\"b"}'
                assert dict(picture.metadata.text) == {
                    "Title": "Café", "Author": "김", "enlarge": text,
                }  # fmt: skip


def test_a_profile_for_other_channels_is_left_out(tmp_path: Path) -> None:
    with create_picture(
        tmp_path / "a.png", PictureSpec(40, 24, 1, RGB.dtype), WriteOptions("png"),
        metadata=Metadata(icc=SRGB),
    ) as sink:  # fmt: skip
        sink.write(RGB[..., 0])
        sink.finish()
    assert sink.notes == ["the colour profile does not fit the picture's channels and is left out"]


@pytest.mark.parametrize(("form", "words"), [("jpeg", "64 KB"), ("avif", None)])
def test_exif_that_is_too_long_is_said(tmp_path: Path, form: str, words: str | None) -> None:
    metadata = Metadata(exif=exif_block() + bytes(70_000))
    with create_picture(
        tmp_path / f"a.{form}", PictureSpec(40, 24, 3, RGB.dtype), WriteOptions(form),
        metadata=metadata,
    ) as sink:  # fmt: skip
        sink.write(RGB)
        sink.finish()
    assert words in sink.notes[0] if words else not sink.notes
    with open_picture(tmp_path / f"a.{form}") as picture:
        assert (picture.metadata.exif is None) == (words is not None)


def test_gps_is_gone_from_the_block() -> None:
    block = exif_block()
    assert has_gps(block)
    assert orientation_of(block) == 6
    without = adapt_exif(block, Change(10, 20), gps=False)
    assert not has_gps(without)
    assert orientation_of(without) == 1


@pytest.mark.parametrize("at", [198, 199])
def test_damage_to_the_thumbnails_tags_leaves_the_rest_whole(at: int) -> None:
    block = bytearray(exif_block())
    block[at] = 0
    adapted = Image.Exif()
    adapted.load(adapt_exif(bytes(block), Change(10, 20), gps=False))
    assert adapted[MAKE] == "니콘".encode().decode("latin-1")
    assert adapted[ORIENTATION] == 1
    assert not adapted.get_ifd(GPS_IFD)


@pytest.mark.parametrize("at", [167, 209])
def test_gps_that_lies_over_the_header_is_refused(at: int) -> None:
    """Pointers of the block that damage sends to its header, found by trying every byte."""
    block = bytearray(exif_block())
    block[at] = 0
    with pytest.raises(ValueError, match="GPS data"):
        adapt_exif(bytes(block), Change(10, 20), gps=False)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_damaged_exif_never_crashes(data: st.DataObject) -> None:
    block = bytearray(exif_block())
    for _ in range(data.draw(st.integers(1, 6))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(block[: data.draw(st.integers(0, len(block)))])
    orientation_of(cut)
    has_gps(cut)
    try:
        adapt_exif(cut, Change(10, 20), gps=False)
    except ValueError:
        pass
    else:
        assert not has_gps(adapt_exif(cut, Change(10, 20), gps=False))


def test_xmp_places_go_in_every_spelling() -> None:
    packet = (
        b"<a exif:GPSAltitude='3' b='4'><exif:GPSTimeStamp x='1'/>"
        b"<exif:GPSVersionID>2</exif:GPSVersionID></a>"
    )
    assert adapt_xmp(packet, Change(1, 1), gps=False)[0] == b"<a b='4'></a>"
    assert adapt_xmp(packet, Change(1, 1))[0] == packet


def test_texts_of_a_png_are_read_as_its_specification_says(tmp_path: Path) -> None:
    """tEXt and zTXt in Latin-1, keys too, iTXt in UTF-8."""
    about = PngInfo()
    about.add(b"tEXt", b"Author\0Jos\xe9")
    about.add(b"tEXt", b"Aut\xe9ur\0Jose")
    about.add_text("Title", "Caf\u00e9", zip=True)
    about.add_itxt("Place", "\uc11c\uc6b8", zip=True)
    about.add(b"zTXt", b"Broken\0\0no deflate")
    Image.fromarray(RGB).save(tmp_path / "a.png", pnginfo=about)
    with open_picture(tmp_path / "a.png") as picture:
        assert picture.metadata.text == (
            ("Author", "Jos\u00e9"),
            ("Aut\u00e9ur", "Jose"),
            ("Title", "Caf\u00e9"),
            ("Place", "\uc11c\uc6b8"),
        )
        assert np.array_equal(picture.rows().read(RGB.shape[0]), RGB)
    enlarged = tmp_path / "b.png"
    with (
        open_picture(tmp_path / "a.png") as picture,
        create_picture(
            enlarged, PictureSpec(RGB.shape[1], RGB.shape[0], 3, RGB.dtype), WriteOptions("png"),
            metadata=picture.metadata,
        ) as sink,
    ):  # fmt: skip
        sink.write(RGB)
        sink.finish()
    with Image.open(enlarged) as image:
        image.load()
        assert image.info["Author"] == "Jos\u00e9"
        assert image.info["Aut\u00e9ur"] == "Jose"


def test_texts_are_kept_up_to_a_limit_and_bombs_are_refused() -> None:
    """Texts of 1 MB that are packed to 1 kB each: few are read, many would fill the memory."""
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "PNG")
    whole = file.getvalue()
    packed = b"Comment\0\0" + zlib.compress(b"a" * 1_000_000, 9)
    few, many = (whole[:33] + count * png_chunk(b"zTXt", packed) + whole[33:] for count in (30, 70))
    with open_picture(few) as picture:
        assert len(picture.metadata.text) == 4
        assert "texts beyond 4 MB are left out" in picture.facts.notes
        assert picture.rows().read(24).shape == (24, 40, 3)
    with pytest.raises(InputError, match="texts in this PNG take more than 64 MB"):
        open_picture(many)


def test_no_gps_takes_a_drones_words_too() -> None:
    packet = (
        b'<rdf:Description drone-dji:GpsLatitude="+22.57" drone-dji:GpsLongtitude="113.9" '
        b'drone-dji:RelativeAltitude="+10" dc:title="GPS:1"><Camera:GPSXYAccuracy>1'
        b"</Camera:GPSXYAccuracy><a:Latitude>22.5</a:Latitude></rdf:Description>"
    )
    left, _ = adapt_xmp(packet, Change(4, 4), gps=False)
    assert left == (
        b'<rdf:Description drone-dji:RelativeAltitude="+10" dc:title="GPS:1"></rdf:Description>'
    )
