"""HEIC, JPEG XL and JPEG 2000 against the plugins' own decoding."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.media.formats.jpeg_xl import jpeg_xl_header
from enlarge.media.reading import open_picture


@pytest.mark.parametrize(
    ("suffix", "plugin"), [("heic", "pillow_heif"), ("jxl", "pillow_jxl"), ("jp2", "PIL")]
)
def test_plugin_formats(tmp_path: Path, suffix: str, plugin: str) -> None:
    module = pytest.importorskip(plugin, reason='pip install "enlarge[formats]"')
    if suffix == "heic":
        module.register_heif_opener()
    importlib.import_module("PIL.Jpeg2KImagePlugin")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    path = tmp_path / f"사진.{suffix}"
    Image.fromarray(pixels).save(path)
    with Image.open(path) as image:
        wanted = np.asarray(image.convert("RGB"))
    with open_picture(path) as picture:
        assert picture.facts.format == suffix
        assert np.array_equal(picture.rows().read(40), wanted)


def test_a_jpeg_xl_is_turned_once(tmp_path: Path) -> None:
    """Its header says how it stands; EXIF's orientation is only a copy of that."""
    pytest.importorskip("pillow_jxl", reason='pip install "enlarge[formats]"')
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.jxl", exif=exif.tobytes(), lossless=True)
    with open_picture(tmp_path / "a.jxl") as picture:
        assert picture.facts.orientation == 1
        assert np.array_equal(picture.rows().read(40), pixels)


def test_floats_of_a_jpeg_xl(tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl", reason='pip install "enlarge[formats]"')
    values = np.linspace(0.0, 1.0, 40 * 56, dtype=np.float32).reshape(40, 56)
    Image.fromarray(values).save(tmp_path / "a.jxl", lossless=True)
    with open_picture(tmp_path / "a.jxl") as picture:
        assert picture.facts.dtype == np.float32
        assert picture.facts.notes == ("float values are clamped to [0, 1]",)
        assert np.abs(picture.rows().read(40)[..., 0] - values).max() < 1e-3


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("mode", ["RGB;16", "RGBA;16"])
def test_a_deep_heic_is_read_with_all_its_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, bits: int
) -> None:
    """Lossless: what was written, but for the bits that the file does not hold; white is white."""
    module = pytest.importorskip("pillow_heif", reason='pip install "enlarge[formats]"')
    monkeypatch.setattr(module.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    channels = len(mode) - 3
    deep = np.random.default_rng(0).integers(0, 2**16, (40, 56, channels), np.uint16)
    deep[:8, :8] = 65_535
    path = tmp_path / "a.heic"
    lossless = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
    module.encode(mode, (56, 40), deep.tobytes(), str(path), **lossless)
    with open_picture(path) as picture:
        assert picture.facts.dtype == np.uint16
        assert picture.facts.channels == channels
        assert picture.facts.notes == ()
        pixels = picture.rows().read(40)
    assert np.abs(pixels.astype(int) - deep).max() < 2 ** (16 - bits)
    assert (pixels[:8, :8] == 65_535).all()


def test_a_deep_picture_beside_a_plain_one(tmp_path: Path) -> None:
    module = pytest.importorskip("pillow_heif", reason='pip install "enlarge[formats]"')
    deep = np.random.default_rng(0).integers(0, 2**16, (40, 56, 3), np.uint16)
    both = module.HeifFile()
    both.add_from_pillow(Image.new("RGB", (32, 24), "red"))
    both.add_frombytes("RGB;16", (56, 40), deep.tobytes())
    path = tmp_path / "a.heic"
    both.save(path, quality=-1, chroma=444)
    wanted = np.asarray(module.open_heif(path, convert_hdr_to_8bit=False)[1])
    with open_picture(path, page=1) as picture:
        assert picture.facts.dtype == np.uint8
        assert np.abs(picture.rows().read(24)[9, 9].astype(int) - [255, 0, 0]).max() <= 2
    with open_picture(path, page=2) as picture:
        assert picture.facts.dtype == np.uint16
        assert np.array_equal(picture.rows().read(40) >> 6, wanted >> 6)


@pytest.mark.parametrize("size", [(40, 56), (37, 300), (8, 8), (600, 1100)])
@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 16), (np.float32, 32)])
def test_the_depth_of_a_jpeg_xl_is_read_off_its_header(
    tmp_path: Path, size: tuple[int, int], dtype: type, bits: int
) -> None:
    pytest.importorskip("pillow_jxl", reason='pip install "enlarge[formats]"')
    Image.fromarray(np.ones(size, dtype)).save(tmp_path / "a.jxl", lossless=True)
    whole = (tmp_path / "a.jxl").read_bytes()
    assert jpeg_xl_header(whole).bits == bits
    bare = whole[whole.index(b"\xff\x0a") :]
    boxes = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "
    assert jpeg_xl_header(bare).bits == bits
    assert jpeg_xl_header(boxes + b"\0\0\0\0jxlc" + bare).bits == bits
    assert jpeg_xl_header(boxes + b"\0\0\0\0jxlp\0\0\0\0" + bare).bits == bits
    assert [jpeg_xl_header(bare[:n]).bits for n in (0, 1, 2)] == [8, 8, 8]


def test_what_a_deep_jpeg_2000_loses_is_told(tmp_path: Path) -> None:
    """Pillow gives colours of 16 bits as 8; here the header alone says 16."""
    path = tmp_path / "a.jp2"
    Image.fromarray(np.zeros((40, 56, 3), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    with open_picture(path) as picture:
        assert picture.facts.notes == ()
    start = content.index(b"\xff\x4f\xff\x51") + 42
    content[start : start + 9 : 3] = b"\x0f\x0f\x0f"
    path.write_bytes(content)
    with open_picture(path) as picture:
        assert picture.facts.notes == ("JPEG 2000 with 16 bits per channel is read with 8",)
