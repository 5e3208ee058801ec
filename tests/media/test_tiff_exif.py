"""EXIF, IPTC and Photoshop's resources in TIFF: compared with what ExifTool finds."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from enlarge.errors import InputError
from enlarge.media.metadata.metadata import Keep
from enlarge.media.metadata.tiff_exif import exif_of_tiff
from enlarge.media.metadata.tiff_tags import (
    Directory,
    Value,
    directory_bytes,
    read_directory,
    read_tiff_header,
)
from enlarge.media.reading import open_picture
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture

RGB = np.full((24, 40, 3), (10, 90, 200), np.uint8)
WRITTEN = {
    "IFD0:Make": "Nikon",
    "IFD0:Model": "D5",
    "IFD0:Artist": "An Artist",
    "IFD0:Copyright": "(c) me",
    "IFD0:Software": "a program",
    "IFD0:ImageDescription": "a description",
    "IFD0:ModifyDate": "2020:01:02 03:04:05",
    "ExifIFD:ExposureTime": "1/320",
    "ExifIFD:FNumber": "2.8",
    "ExifIFD:DateTimeOriginal": "2020:01:02 03:04:06",
    "ExifIFD:UserComment": "hello",
    "GPS:GPSLatitude": "37 deg 33' 59.40\"",
    "GPS:GPSLatitudeRef": "North",
    "XMP-dc:Title": "a title",
    "IPTC:Keywords": "one",
}


def exiftool(*arguments: object) -> str:
    program = shutil.which("exiftool")
    if program is None:
        pytest.skip("exiftool is not installed")
    return subprocess.run(
        [program, *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout


def tags(path: Path) -> dict[str, Any]:
    """What ExifTool finds in a file, by group and name."""
    found: dict[str, Any] = json.loads(exiftool("-j", "-G1", "-a", path))[0]
    return found


def convert(
    source: Path | bytes, path: Path, form: str, keep: Keep = "keep", **options: Any
) -> Any:
    """Write the picture twice as large; the notes."""
    with open_picture(source) as picture:
        facts = picture.facts
        spec = PictureSpec(facts.width * 2, facts.height * 2, facts.channels, facts.dtype)
        with create_picture(
            path, spec, WriteOptions(form, keep=keep, **options), metadata=picture.metadata
        ) as sink:
            sink.write(picture.rows().read(10**6).repeat(2, axis=0).repeat(2, axis=1))
            sink.finish()
    return sink.notes


def described(path: Path, *options: str) -> Path:
    """The file, after ExifTool has written all of `WRITTEN` into it."""
    values = [
        f"-{name}#={value}" if "Ref" in name else f"-{name}={value}"
        for name, value in WRITTEN.items()
    ]
    values = [v.replace("#=North", "=North") for v in values]
    exiftool("-q", "-overwrite_original", *options, *values, path)
    return path


def source(folder: Path, suffix: str = ".tif", **options: Any) -> Path:
    path = folder / f"source{suffix}"
    Image.fromarray(RGB).save(path, **options)
    return path


@pytest.mark.parametrize("form", ["tiff", "png", "jpeg", "webp"])
@pytest.mark.parametrize("order", ["MM", "II"])
def test_what_a_tiff_says_is_in_every_format(tmp_path: Path, form: str, order: str) -> None:
    start = described(source(tmp_path), f"-ExifByteOrder={order}")
    path = tmp_path / f"a.{form}"
    notes = convert(start, path, form)
    lost = {"IPTC:Keywords"} if form == "webp" else set()
    assert notes == (["not kept in WebP: IPTC data"] if form == "webp" else [])
    found = tags(path)
    assert {name: str(found.get(name)) for name in WRITTEN.keys() - lost} == {
        name: value for name, value in WRITTEN.items() if name not in lost
    }


@pytest.mark.parametrize("order", ["MM", "II"])
def test_what_a_jpeg_says_is_in_tiff(tmp_path: Path, order: str) -> None:
    start = described(source(tmp_path, ".jpg"), f"-ExifByteOrder={order}")
    path = tmp_path / "a.tif"
    assert convert(start, path, "tiff") == []
    found = tags(path)
    assert {name: str(found.get(name)) for name in WRITTEN} == WRITTEN
    assert "ExifTool:Warning" not in found
    image = pyvips.Image.new_from_file(str(path))
    np.testing.assert_allclose(image.numpy(), np.broadcast_to(RGB[0, 0], (48, 80, 3)), atol=2)


@pytest.mark.parametrize("order", ["MM", "II"])
def test_what_a_jpeg_says_is_in_a_pyramid(tmp_path: Path, order: str) -> None:
    """ExifTool reads no EXIF directory in a BigTIFF; tifffile and Pillow do."""
    picture = Image.fromarray(RGB).resize((300, 200))
    picture.save(tmp_path / "source.jpg")
    start = described(tmp_path / "source.jpg", f"-ExifByteOrder={order}")
    path = tmp_path / "a.tif"
    assert convert(start, path, "tiff", pyramid=True) == []
    with tifffile.TiffFile(path) as file:
        first = file.pages[0]
        assert file.is_bigtiff
        assert [page.shape[:2] for page in file.pages] == [(400, 600), (200, 300), (100, 150)]
        assert first.tags[271].value == "Nikon"  # type: ignore[union-attr]
        assert first.tags[34665].value["ExposureTime"] == (1, 320)  # type: ignore[union-attr]
        assert first.tags[34853].value["GPSLatitude"][:4] == (37, 1, 33, 1)  # type: ignore[union-attr]
    with Image.open(path) as image:
        assert image.getexif().get_ifd(0x8769)[0x9003] == WRITTEN["ExifIFD:DateTimeOriginal"]
        assert image.getexif()[0x8298] == "(c) me"


def test_a_tiff_to_a_stream_has_it_too(tmp_path: Path) -> None:
    start = described(source(tmp_path, ".jpg"))
    stream = io.BytesIO()
    with open_picture(start) as picture:
        spec = PictureSpec(40, 24, 3, np.dtype(np.uint8))
        with create_picture(stream, spec, WriteOptions("tiff"), metadata=picture.metadata) as sink:
            sink.write(picture.rows().read(24))
            sink.finish()
    path = tmp_path / "a.tif"
    path.write_bytes(stream.getvalue())
    found = tags(path)
    assert {name: str(found.get(name)) for name in WRITTEN} == WRITTEN


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"bigtiff": True, "byteorder": ">"},
        {"tile": (16, 16)},
        {"rowsperstrip": 3},
        {"compression": "zlib"},
    ],
)
def test_every_kind_of_file_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "a.tif"
    extra = [(271, 2, 6, "Nikon", True), (315, 2, 0, "An Artist", True), (33432, 2, 0, "me", True)]
    tifffile.imwrite(
        path, RGB, photometric="rgb", extratags=extra, software="x", description="y", **options
    )
    with open_picture(path) as picture:
        assert picture.metadata.exif is not None
        found = Image.Exif()
        found.load(picture.metadata.exif)
        np.testing.assert_array_equal(picture.rows().read(99), RGB)
    expected = {271: "Nikon", 315: "An Artist", 33432: "me", 305: "x", 270: "y"}
    assert {tag: found.get(tag) for tag in expected} == expected


def test_the_first_of_several_pages_is_described(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for name in ("first", "second"):
            file.write(RGB, photometric="rgb", extratags=[(271, 2, 0, name, True)], metadata=None)
    convert(path, tmp_path / "b.tif", "tiff")
    with Image.open(tmp_path / "b.tif") as image:
        assert image.getexif()[271] == "first"
        assert getattr(image, "n_frames", 1) == 1


def test_rationals_keep_their_terms(tmp_path: Path) -> None:
    """1/320 stays 1/320, and 280/100 does not become 14/5."""
    block = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHII", 0x8769, 4, 1, 26)
    block += bytes(4) + struct.pack(">H", 2)
    block += struct.pack(">HHII", 0x829A, 5, 1, 56) + struct.pack(">HHII", 0x829D, 5, 1, 64)
    block += bytes(4) + struct.pack(">IIII", 10, 3200, 280, 100)
    jpeg = io.BytesIO()
    Image.fromarray(RGB).save(jpeg, "JPEG", exif=b"Exif\0\0" + block)
    convert(jpeg.getvalue(), tmp_path / "a.tif", "tiff")
    convert(tmp_path / "a.tif", tmp_path / "b.jpg", "jpeg")
    for path in (tmp_path / "a.tif", tmp_path / "b.jpg"):
        data = path.read_bytes()
        assert struct.pack("<IIII", 10, 3200, 280, 100) in data


def test_a_maker_note_keeps_its_bytes_and_its_place(tmp_path: Path) -> None:
    note = b"Maker\0" + bytes(range(200))
    inner = Directory(
        "<", {0x927C: Value(7, len(note), note), 0x9003: Value(2, 20, b"2020:01:02 03:04:05\0")}
    )
    header = read_tiff_header(io.BytesIO(b"II*\0\x08\0\0\0"))
    pixels = {
        256: Value(4, 1, struct.pack("<I", 2)), 257: Value(4, 1, struct.pack("<I", 1)),
        258: Value(3, 1, struct.pack("<H", 8)), 259: Value(3, 1, struct.pack("<H", 1)),
        262: Value(3, 1, struct.pack("<H", 1)), 273: Value(4, 1, struct.pack("<I", 8)),
        277: Value(3, 1, struct.pack("<H", 1)), 278: Value(4, 1, struct.pack("<I", 1)),
        279: Value(4, 1, struct.pack("<I", 2)),
    }  # fmt: skip
    data, place = directory_bytes(Directory("<", {**pixels, 0x8769: inner}), header, 5000)
    file = b"II*\0" + struct.pack("<I", place) + b"\x10\xf0" + bytes(4990) + data
    with open_picture(file) as picture:
        block = picture.metadata.exif
    assert block is not None
    assert block.index(note) == file.index(note)
    convert(file, tmp_path / "b.tif", "tiff")
    assert note in (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize("at", [20_000, 60_000, 3_000_000])
def test_a_maker_note_far_behind_does_not_cost_the_rest(tmp_path: Path, at: int) -> None:
    """JPEG holds 64 KB of EXIF; the room before a note must not take them."""
    note = b"Maker\0" + bytes(range(200)) * 100
    inner = Directory("<", {0x927C: Value(7, len(note), note)})
    block = Directory("<", {271: Value(2, 6, b"Nikon\0"), 0x8769: inner})
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", metadata=None)
    with (tmp_path / "a.tif").open("r+b") as file:
        header = read_tiff_header(file)
        first = read_directory(file, header)
        data, place = directory_bytes(
            Directory("<", {**first.entries, **block.entries}), header, at
        )
        file.seek(at)
        file.write(data)
        file.seek(0)
        file.write(replace(header, first=place).bytes())
    assert convert(tmp_path / "a.tif", tmp_path / "b.jpg", "jpeg") == []
    assert tags(tmp_path / "b.jpg")["IFD0:Make"] == "Nikon"
    assert note in (tmp_path / "b.jpg").read_bytes()


def canon(order: str) -> bytes:
    """EXIF with a maker note of Canon's, whose offsets count from the beginning of the block."""
    at, kind, firmware = 200, b"Canon EOS 5D".ljust(32, b"\0"), b"Firmware 1.1.3".ljust(24, b"\0")
    note = struct.pack(order + "H", 2) + struct.pack(order + "HHII", 6, 2, 32, at + 30)
    note += struct.pack(order + "HHII", 7, 2, 24, at + 62) + bytes(4) + kind + firmware
    main = struct.pack(order + "H", 2) + struct.pack(order + "HHII", 271, 2, 6, 100)
    main += struct.pack(order + "HHII", 0x8769, 4, 1, 140) + bytes(4)
    inner = struct.pack(order + "H", 1) + struct.pack(order + "HHII", 0x927C, 7, len(note), at)
    block = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8) + main
    return (block.ljust(100, b"\0") + b"Canon\0").ljust(140, b"\0") + inner.ljust(60, b"\0") + note


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_a_maker_note_points_to_is_found(tmp_path: Path, order: str) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    start = io.BytesIO()
    Image.fromarray(noise).save(start, "PNG", exif=b"Exif\0\0" + canon(order))
    convert(start.getvalue(), tmp_path / "a.tif", "tiff")
    convert(tmp_path / "a.tif", tmp_path / "b.jpg", "jpeg")
    convert(tmp_path / "a.tif", tmp_path / "b.tif", "tiff")
    stream = io.BytesIO()
    with open_picture(tmp_path / "a.tif") as picture:
        spec = PictureSpec(400, 300, 3, np.dtype(np.uint8))
        with create_picture(stream, spec, WriteOptions("tiff"), metadata=picture.metadata) as sink:
            sink.write(picture.rows().read(300))
            sink.finish()
    (tmp_path / "c.tif").write_bytes(stream.getvalue())
    for name in ("a.tif", "b.jpg", "b.tif", "c.tif"):
        found = tags(tmp_path / name)
        assert found["Canon:CanonImageType"] == "Canon EOS 5D"
        assert found["Canon:CanonFirmwareVersion"] == "Firmware 1.1.3"
        assert "ExifTool:Warning" not in found
    large = noise.repeat(2, axis=0).repeat(2, axis=1)
    for name in ("a.tif", "c.tif"):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / name), large)
        np.testing.assert_array_equal(
            pyvips.Image.new_from_file(str(tmp_path / name)).numpy(), large
        )
    notes = convert(start.getvalue(), tmp_path / "p.tif", "tiff", pyramid=True)
    assert "note is kept" in notes[0]


@pytest.mark.parametrize("form", ["tiff", "png", "jpeg"])
def test_positions_and_everything_can_be_dropped(tmp_path: Path, form: str) -> None:
    start = described(source(tmp_path))
    convert(start, tmp_path / f"a.{form}", form, "no-gps")
    convert(start, tmp_path / f"b.{form}", form, "none")
    kept, none = tags(tmp_path / f"a.{form}"), tags(tmp_path / f"b.{form}")
    assert not [name for name in kept if "GPS" in name]
    assert kept["IFD0:Make"] == "Nikon"
    assert not {name for name in none if name in WRITTEN or "GPS" in name}


def test_photoshop_resources_become_iptc_of_a_tiff_and_back(tmp_path: Path) -> None:
    start = described(source(tmp_path, ".jpg"))
    exiftool("-q", "-overwrite_original", "-Photoshop:URL=http://x.org/", start)
    convert(start, tmp_path / "a.tif", "tiff")
    convert(tmp_path / "a.tif", tmp_path / "b.jpg", "jpeg")
    for path in (tmp_path / "a.tif", tmp_path / "b.jpg"):
        found = tags(path)
        assert found["IPTC:Keywords"] == "one"
        assert found["Photoshop:URL"] == "http://x.org/"
        assert not [name for name in found if name.startswith("IPTC2")]


def test_a_description_does_not_grow(tmp_path: Path) -> None:
    start = described(source(tmp_path))
    for number in range(3):
        convert(start, tmp_path / f"{number}.tif", "tiff")
        start = tmp_path / f"{number}.tif"
    assert tags(start)["IFD0:ImageDescription"] == "a description"


def test_a_description_that_gives_the_shape_is_left_out(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb")
    convert(tmp_path / "a.tif", tmp_path / "b.tif", "tiff")
    assert tifffile.imread(tmp_path / "b.tif").shape == (48, 80, 3)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert 270 not in file.pages[0].tags  # type: ignore[union-attr]


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0"]))
def test_damaged_directories_are_one_error(data: bytes, start: bytes) -> None:
    file = io.BytesIO(start + data)
    try:
        directory = read_directory(file, read_tiff_header(file))
        exif_of_tiff(directory)
    except ValueError:
        pass
    try:
        with open_picture(start + data):
            pass
    except InputError:
        pass
