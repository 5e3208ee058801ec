"""Pictures as they are read, against Pillow or libvips itself, in every value."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from enlarge.errors import InputError
from enlarge.media import turning
from enlarge.media.colour.profile import profile_name
from enlarge.media.formats.tiff import rows_at_once
from enlarge.media.formats.tiff_pages import read_directories
from enlarge.media.metadata.tiff_tags import read_tiff_header
from enlarge.media.reading import Buffering, describe_picture, open_picture
from enlarge.media.turning import turned

RANDOM = np.random.default_rng(7)
RGB = np.kron(RANDOM.integers(0, 256, (9, 11, 3), dtype=np.uint8), np.ones((5, 5, 1), np.uint8))
RGB = RGB[:41, :53]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def vips(image: NDArray[Any], suffix: str, **options: Any) -> bytes:
    space = {1: "b-w", 3: "srgb", 4: "srgb"}[image.shape[2]]
    if image.dtype == np.uint16:
        space = {"b-w": "grey16", "srgb": "rgb16"}[space]
    made = pyvips.Image.new_from_array(image).copy(interpretation=space)
    data: bytes = made.write_to_buffer(suffix, **options)
    return data


def read(data: bytes | Path, band: int = 16, memory: int | None = None) -> NDArray[Any]:
    with open_picture(data, memory=memory) as picture:
        facts = picture.facts
        rows = picture.rows()
        assert (rows.width, rows.height) == (facts.width, facts.height)
        assert (rows.channels, rows.dtype) == (facts.channels, facts.dtype)
        parts = []
        while len(part := rows.read(band)):
            parts.append(part)
    image = np.concatenate(parts)
    assert image.shape == (facts.height, facts.width, facts.channels)
    assert image.dtype == facts.dtype
    return image


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("band", [1, 7, 100])
def test_rgb_png(band: int) -> None:
    np.testing.assert_array_equal(read(encoded(Image.fromarray(RGB), "PNG"), band), RGB)


def test_a_dark_picture_of_16_bits_keeps_its_16_bits() -> None:
    dark = RANDOM.integers(0, 200, (20, 30), dtype=np.uint16)
    image = read(encoded(Image.fromarray(dark), "PNG"))
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image[..., 0], dark)


def test_a_gray_jpeg_stays_gray() -> None:
    data = encoded(Image.fromarray(RGB).convert("L"), "JPEG")
    image = read(data)
    assert image.shape[2] == 1
    np.testing.assert_array_equal(image[..., 0], np.asarray(Image.open(io.BytesIO(data))))


def test_a_palette_with_transparency() -> None:
    image = Image.fromarray(RGB).quantize(17)
    data = encoded(image, "PNG", transparency=bytes([0, 100, 255]))
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
    np.testing.assert_array_equal(read(data), expected)
    assert describe_picture(data)["kind"] == "palette"


def test_gray_with_a_transparent_value() -> None:
    data = encoded(Image.fromarray(RGB[..., 0]), "PNG", transparency=int(RGB[0, 0, 0]))
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("LA"))
    np.testing.assert_array_equal(read(data), expected)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_one_bit_becomes_eight(form: str) -> None:
    image = Image.fromarray(RGB).convert("1")
    np.testing.assert_array_equal(
        read(encoded(image, form))[..., 0], np.asarray(image.convert("L"))
    )


def test_rgba() -> None:
    rgba = np.dstack([RGB, RGB[..., 1]])
    np.testing.assert_array_equal(read(encoded(Image.fromarray(rgba), "PNG")), rgba)
    np.testing.assert_array_equal(read(encoded(Image.fromarray(rgba), "TIFF")), rgba)


@pytest.mark.parametrize("memory", [None, 0])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_applied_once(orientation: int, memory: int | None) -> None:
    data = encoded(Image.fromarray(RGB), "JPEG", exif=oriented(orientation), icc_profile=SRGB)
    pillow = Image.open(io.BytesIO(data))
    expected = np.asarray(ImageOps.exif_transpose(pillow))
    np.testing.assert_array_equal(read(data, 7, memory), expected)
    with open_picture(data, memory=memory) as picture:
        facts = picture.facts
        assert facts.orientation == orientation
        assert facts.icc == SRGB
        buffered = Buffering.FILE if memory == 0 else Buffering.MEMORY
        assert picture.buffering() is (Buffering.NONE if orientation < 3 else buffered)
        assert facts.disk_bytes == (0 if orientation < 3 else RGB.size)
    np.testing.assert_array_equal(turned(np.asarray(pillow), orientation), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_goes_through_several_blocks(
    monkeypatch: pytest.MonkeyPatch, orientation: int
) -> None:
    monkeypatch.setattr(turning, "BAND_BYTES", 2000)  # 12 rows
    for memory in (None, 0):
        data = vips(RGB, ".png", interlace=True)
        with open_picture(data, memory=memory) as picture:
            stored = picture.rows()
            rows = (
                turning.FileRows(stored, orientation)
                if memory == 0
                else turning.turned_in_memory(stored, orientation)
            )
            image = np.concatenate([rows.read(7) for _ in range(8)])
            rows.close()
        np.testing.assert_array_equal(image, turned(RGB, orientation))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_orientation_of_other_formats(form: str) -> None:
    data = encoded(Image.fromarray(RGB), form, exif=oriented(6), lossless=True)
    np.testing.assert_array_equal(read(data), np.rot90(RGB, -1))


def test_avif_is_turned_by_its_decoder_alone() -> None:
    data = encoded(Image.fromarray(RGB), "AVIF", exif=oriented(6), quality=100, subsampling="4:4:4")
    image = read(data)
    assert image.shape == (53, 41, 3)
    expected = np.rot90(RGB, -1).astype(int)
    assert np.abs(image - expected).mean() < 3


def test_white_stays_white_in_avif_of_ten_bits() -> None:
    white = np.full((16, 16, 3), 65535, np.uint16)
    image = read(vips(white, ".avif", lossless=True, bitdepth=10))
    assert image.dtype == np.uint16
    assert (image == 65535).all()


@pytest.mark.parametrize("memory", [None, 0])
def test_interlaced_png_and_progressive_jpeg(memory: int | None) -> None:
    np.testing.assert_array_equal(read(vips(RGB, ".png", interlace=True), 9, memory), RGB)
    data = encoded(Image.fromarray(RGB), "JPEG", progressive=True)
    np.testing.assert_array_equal(read(data, 9, memory), np.asarray(Image.open(io.BytesIO(data))))
    with open_picture(data) as picture:
        assert not picture.facts.in_order


def test_lossless_webp_and_gif() -> None:
    np.testing.assert_array_equal(read(encoded(Image.fromarray(RGB), "WEBP", lossless=True)), RGB)
    first = Image.fromarray(RGB).quantize(30)
    data = encoded(first, "GIF", save_all=True, append_images=[Image.new("P", first.size, 5)])
    np.testing.assert_array_equal(
        read(data)[..., :3], np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    )
    with open_picture(data) as picture:
        assert picture.facts.notes == ("has 2 frames; only the first is used",)


def test_cmyk_goes_to_srgb_through_its_profile() -> None:
    cmyk = Image.fromarray(np.dstack([RGB, RGB[..., :1] // 2]), "CMYK")
    data = encoded(cmyk, "JPEG", quality=95)
    expected = pyvips.Image.new_from_buffer(data, "").icc_transform(
        "srgb", input_profile="cmyk", intent="relative", black_point_compensation=True
    )
    np.testing.assert_array_equal(read(data), expected.numpy())
    with open_picture(data) as picture:
        assert picture.facts.kind == "CMYK"
        assert picture.facts.notes == ("CMYK is converted to sRGB",)
        assert picture.facts.icc is not None
        assert "sRGB" in profile_name(picture.facts.icc)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiff_of_16_bits(channels: int) -> None:
    deep = RANDOM.integers(0, 65536, (33, 27, channels), dtype=np.uint16)
    for options in ({}, {"tile": True, "tile_width": 16, "tile_height": 16}, {"bigtiff": True}):
        np.testing.assert_array_equal(read(vips(deep, ".tif", **options)), deep)


def test_float_tiff_is_clamped() -> None:
    values = np.array([[-0.25, 0.0, 0.25], [1.0, 2.0, 0.5]], np.float32)
    data = pyvips.Image.new_from_array(values[..., None]).write_to_buffer(".tif")
    expected = np.array([[0, 0, 0.25], [1, 1, 0.5]], np.float32)
    np.testing.assert_array_equal(read(data)[..., 0], expected)
    with open_picture(data) as picture:
        assert "clamped" in picture.facts.notes[0]


def test_pages_are_counted() -> None:
    page = Image.fromarray(RGB)
    data = encoded(page, "TIFF", save_all=True, append_images=[page, page])
    assert describe_picture(data)["notes"] == ["has 3 pages; only the first is used"]


def test_korean_names_brackets_and_streams(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(RGB), "PNG")
    path = tmp_path / "한글 폴더" / "사진 [1].png[2]"
    path.parent.mkdir()
    path.write_bytes(data)
    np.testing.assert_array_equal(read(path), RGB)
    with open_picture(io.BytesIO(data)) as picture:
        np.testing.assert_array_equal(picture.rows().read(100), RGB)
    script = (
        "import sys; from enlarge.media.reading import open_picture\n"
        "with open_picture(sys.stdin.buffer) as p: print(p.rows().read(99).sum(), p.name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=data, capture_output=True, check=True
    )
    assert done.stdout.split(b" ", 1) == [str(RGB.sum()).encode(), b"standard input\n"]
    assert done.stderr == b""


def test_rows_are_read_once() -> None:
    with open_picture(encoded(Image.fromarray(RGB), "PNG")) as picture:
        picture.rows()
        with pytest.raises(ValueError, match="once"):
            picture.rows()


def test_jpeg_2000_through_pillow() -> None:
    data = encoded(Image.fromarray(RGB), "JPEG2000")
    np.testing.assert_array_equal(read(data), RGB)
    assert describe_picture(data)["format"] == "jp2"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Jpeg2KImagePlugin", None)
    with pytest.raises(InputError, match=r'needs an extra: pip install "enlarge\[formats\]"'):
        open_picture(encoded(Image.fromarray(RGB), "JPEG2000"))


def test_describe_says_it_all() -> None:
    data = encoded(Image.fromarray(RGB), "JPEG", exif=oriented(6), icc_profile=SRGB, dpi=(300, 300))
    facts = describe_picture(data)
    assert facts["orientation"] == 6
    assert (facts["width"], facts["height"], facts["depth"]) == (41, 53, "uint8")
    assert facts["dpi"] == [300, 300]
    assert facts["metadata"] == ["density", "exif", "icc"]
    assert "sRGB" in facts["profile"]


def tiff_header(order: str, big: bool, **tags: int) -> io.BytesIO:
    """The header of a TIFF with those tags (by number), and nothing else."""
    number = "Q" if big else "I"
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    head += struct.pack(f"{order}HHQ", 8, 0, 16) if big else struct.pack(f"{order}I", 8)
    entries = b""
    for name, value in tags.items():
        entries += struct.pack(f"{order}HH{number}", int(name[1:]), 4, 1)
        entries += struct.pack(f"{order}I", value).ljust(8 if big else 4, b"\0")
    return io.BytesIO(head + struct.pack(f"{order}{'Q' if big else 'H'}", len(tags)) + entries)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_how_many_rows_of_a_tiff_come_at_a_time(order: str, big: bool) -> None:
    for tags, rows in (
        ({"t278": 5000}, 1),
        ({"t278": 500, "t284": 2}, 500),
        ({"t278": 5000, "t284": 2}, 3000),
        ({"t262": 6}, 3000),
        ({"t262": 6, "t323": 256}, 512),
        ({}, 1),
    ):
        file = tiff_header(order, big, **tags)
        header = read_tiff_header(file)
        file.seek(0)
        (directory,) = read_directories(file, header)
        assert rows_at_once(directory.tags, 3000) == rows
        assert file.tell() == 0
    cut_off = io.BytesIO(b"II*\0" + struct.pack("<I", 8) + b"\1")
    assert read_directories(cut_off, read_tiff_header(cut_off)) == []
    assert rows_at_once({}, 3000) == 1


def test_a_tiff_that_comes_all_at_once_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    Image.new("RGB", (6000, 4000), (90, 120, 60)).save(path, compression="tiff_lzw")
    for rows, streams in ((4000, False), (64, True)):
        monkeypatch.setattr("enlarge.media.formats.tiff.rows_at_once", lambda *_, rows=rows: rows)
        with open_picture(path) as picture:
            assert picture.facts.in_order == streams
            assert (picture.facts.decode_bytes >= 72_000_000) != streams
            assert picture.rows().read(1).shape == (1, 6000, 3)
