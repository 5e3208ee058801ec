"""TIFFs that libvips does not read: read all the same, or a true sentence."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from enlarge import open_model, upscale
from enlarge.errors import InputError
from enlarge.media.reading import open_picture

CASES = Path(__file__).parents[2] / ".." / "shared" / "cases"
NOISE = np.random.default_rng(5).integers(0, 256, (19, 33, 3), dtype=np.uint8)
LAB, SRGB = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
ODD = "copy or download"


def through_icc(lab: Image.Image) -> NDArray[Any]:
    """A picture in Lab as sRGB, by LittleCMS without its tables of 33 steps."""
    exact = ImageCms.Flags.NOOPTIMIZE | ImageCms.Flags.HIGHRESPRECALC
    rgb = ImageCms.buildTransform(LAB, SRGB, "LAB", "RGB", flags=exact).apply(lab)
    assert rgb is not None
    return np.asarray(rgb).astype(int)


def read(source: bytes | Path, band: int = 5) -> NDArray[Any]:
    with open_picture(source) as picture:
        rows, parts = picture.rows(), []
        while len(part := rows.read(band)):
            parts.append(part)
    return np.concatenate(parts)


def refused(source: bytes | Path) -> str:
    with pytest.raises(InputError) as caught:
        read(source)
    assert ODD not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def tiff(width: int, height: int, strips: Sequence[bytes], order: str = "<", **tags: Any) -> bytes:
    """A TIFF of its own bytes; `tags` by number, of type SHORT, or of LONG if they are long."""
    offsets = [8 + sum(map(len, strips[:number])) for number in range(len(strips))]
    values: Mapping[int, Sequence[int]] = {
        256: [width], 257: [height], 259: [1], 273: offsets, 278: [-(-height // len(strips))],
        279: [len(strip) for strip in strips],
        **{int(name[1:]): np.atleast_1d(value).tolist() for name, value in tags.items()},
    }  # fmt: skip
    at = offsets[-1] + len(strips[-1])
    outside, entries = b"", b""
    end = at + 2 + 12 * len(values) + 4
    for tag, numbers in sorted(values.items()):
        kind, code = (4, "I") if tag in (273, 279) else (3, "H")
        data = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        if len(data) > 4:
            outside += data
            data = struct.pack(order + "I", end + len(outside) - len(data))
        entries += struct.pack(order + "HHI", tag, kind, len(numbers)) + data.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, at)
    return (
        head
        + b"".join(strips)
        + struct.pack(order + "H", len(values))
        + entries
        + bytes(4)
        + outside
    )


def packed(values: NDArray[Any], bits: int) -> list[bytes]:
    """Rows (H, W, C) of that many bits, each padded to whole bytes, the highest bit first."""
    rows = values.reshape(len(values), -1)
    spread = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return [np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in spread]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("bits", [3, 6, 10, 12, 14])
def test_samples_of_odd_depths(bits: int, channels: int, order: str) -> None:
    top = (1 << bits) - 1
    values = np.random.default_rng(1).integers(0, top + 1, (11, 23, channels))
    values[0, 0], values[-1, -1] = 0, top
    extra = {"t338": 2} if channels == 4 else {}
    rows = packed(values, bits)
    data = tiff(
        23, 11, [b"".join(rows[:4]), b"".join(rows[4:8]), b"".join(rows[8:])], order,
        t258=[bits] * channels, t262=1 if channels == 1 else 2, t277=channels, **extra,
    )  # fmt: skip
    out = read(data)
    white = 255 if bits <= 8 else 65535
    assert out.dtype == (np.uint8 if bits <= 8 else np.uint16)
    np.testing.assert_array_equal(out, np.floor(values * (white / top) + 0.5))


def test_twelve_bits_where_white_is_zero() -> None:
    values = np.array([[[0], [4095], [1000]]])
    data = tiff(3, 1, packed(values, 12), t258=12, t262=0, t277=1)
    assert read(data)[0, :, 0].tolist() == [65535, 0, 65535 - round(1000 * 65535 / 4095)]


def test_the_case_of_twelve_bits() -> None:
    path = CASES / "tif_12bit.tif"
    if not path.exists():
        pytest.skip("../shared/cases is not here")
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        data = path.read_bytes()[page.dataoffsets[0] :][: page.databytecounts[0]]
    bits = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(40, -1)[:, : 56 * 12]
    levels = bits.reshape(40, 56, 12) @ (1 << np.arange(11, -1, -1))
    np.testing.assert_array_equal(read(path)[..., 0], np.round(levels * (65535 / 4095)))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib", "predictor": 2}, {"byteorder": ">"}]
)
def test_lab_of_eight_bits_is_as_icc_has_it(
    tmp_path: Path, channels: int, options: dict[str, Any]
) -> None:
    """CIELab and ICCLab against LittleCMS, which Pillow calls. In Pillow's memory 128 is added to
    a* and b*, as ICC does; in a TIFF's CIELab they are signed.
    """
    smooth = Image.fromarray(NOISE).resize((64, 48), Image.Resampling.BICUBIC)
    picture = ImageCms.buildTransform(SRGB, LAB, "RGB", "LAB").apply(smooth)
    expected = through_icc(picture)
    values = np.dstack([np.asarray(band) for band in picture.split()])
    alpha = [np.asarray(smooth.convert("L"))] if channels == 4 else []
    extra: dict[str, Any] = {"extrasamples": ["unassalpha"]} if alpha else {}
    signed = values ^ np.array([0, 128, 128], np.uint8)
    for name, numbers in (("cielab", signed), ("icclab", values)):
        tifffile.imwrite(
            tmp_path / f"{name}.tif",
            np.dstack([numbers, *alpha]),
            photometric=name,
            **extra,
            **options,
        )
        with open_picture(tmp_path / f"{name}.tif") as opened:
            assert "is converted to sRGB" in opened.facts.notes[0]
            assert opened.facts.icc is not None
            assert opened.facts.icc[16:20] == b"RGB "
        out = read(tmp_path / f"{name}.tif")
        assert out.shape[2] == channels
        assert np.abs(out[..., :3].astype(int) - expected).max() <= 1
        if alpha:
            np.testing.assert_array_equal(out[..., 3], alpha[0])


def test_lab_of_sixteen_bits_equals_that_of_eight(tmp_path: Path) -> None:
    lab = np.array([[[50, 20, -30], [0, 0, 0], [100, 0, 0], [80, -60, 40]]], float)
    eight = np.round(lab * [2.55, 1, 1]).astype(np.int16).astype(np.uint8)
    cie = np.round(lab * [655.35, 256, 256]).astype(np.int32).astype(np.uint16)
    icc = np.round((lab + np.array([0, 128, 128])) * [652.8, 256, 256]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "8.tif", eight, photometric="cielab")
    tifffile.imwrite(tmp_path / "16.tif", cie, photometric="cielab")
    tifffile.imwrite(tmp_path / "icc.tif", icc, photometric="icclab")
    small = read(tmp_path / "8.tif").astype(float)
    for name in ("16.tif", "icc.tif"):
        out = read(tmp_path / name)
        assert out.dtype == np.uint16
        np.testing.assert_allclose(out / 257, small, atol=2.5)
        assert out[0, 2].min() >= 65530
        assert out[0, 1].max() <= 5


def test_the_case_of_lab() -> None:
    path = CASES / "tif_lab8.tif"
    if not path.exists():
        pytest.skip("../shared/cases is not here")
    with Image.open(path) as image:
        expected = through_icc(image)
    assert np.abs(read(path).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize(
    "options", [{}, {"byteorder": ">"}, {"tile": (16, 16)}, {"compression": "zlib"}]
)
def test_floats_of_other_sizes(tmp_path: Path, dtype: Any, options: dict[str, Any]) -> None:
    values = (NOISE / 255).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", **options)
    out = read(tmp_path / "a.tif")
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, values.astype(np.float32))


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (np.uint32, "integers of 32 bits"),
        (np.int8, "signed integers of 8 bits"),
        (np.int16, "signed integers of 16 bits"),
        (np.int32, "signed integers of 32 bits"),
        (np.complex64, "complex numbers"),
    ],
)
def test_numbers_without_a_white_are_refused(tmp_path: Path, dtype: Any, words: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", NOISE[..., 0].astype(dtype), photometric="minisblack")
    why = refused(tmp_path / "a.tif")
    assert words in why
    assert "save" in why


def test_compressions_that_cannot_be_decoded_are_named() -> None:
    for codec, name in ((34887, "LERC"), (50002, "JPEG XL"), (34712, "JPEG 2000"), (34925, "LZMA")):
        data = tiff(4, 1, [bytes(64)], t258=[8] * 3, t262=2, t277=3, t259=codec)
        assert f"compressed with {name}" in refused(data)
    assert "(31337)" in refused(tiff(4, 1, [bytes(64)], t258=8, t262=1, t277=1, t259=31337))


def test_a_file_that_ends_within_the_depths_of_its_channels_is_refused() -> None:
    """The depths are known to be 8, 8 and 8 bits only if all of them are there."""
    data = tiff(4, 1, [bytes(12)], t258=[8] * 3, t262=2, t277=3)
    assert read(data).shape == (1, 4, 3)
    with pytest.raises(InputError, match="ends within the description of its pixels"):
        read(data[:-1])


def test_separate_planes_in_tiles_are_named(tmp_path: Path) -> None:
    planes = np.zeros((3, 32, 32), np.uint8)
    options: Any = {"photometric": "rgb", "planarconfig": "separate", "tile": (16, 16)}
    tifffile.imwrite(tmp_path / "a.tif", planes, **options)
    assert "tiles of their own" in refused(tmp_path / "a.tif")


def test_other_kinds_are_named() -> None:
    for tags, words in (
        ({"t262": 32803, "t277": 1, "t258": 8}, "raw data"),
        ({"t262": 4, "t277": 1, "t258": 1}, "transparency mask"),
        ({"t262": 32845, "t277": 3, "t258": [16] * 3}, "LogLuv"),
        ({"t262": 2, "t277": 3, "t258": [5, 6, 5]}, "5, 6, 5 bits"),
        ({"t262": 2, "t277": 5, "t258": [8] * 5, "t338": [0, 0]}, "5 channels"),
        ({"t262": 1, "t277": 1, "t258": 12, "t259": 7}, "12 bits"),
        ({"t262": 2, "t277": 3, "t258": [12] * 3, "t284": 2}, "12 bits"),
        ({"t262": 8, "t277": 1, "t258": 8}, "Lab in 1 channels"),
    ):
        assert words in refused(tiff(4, 1, [bytes(64)], **tags))


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0, 255, "got up to 255; divide them by the value of white"),
        (0, 65535, "got up to 65535; divide"),
        (-1, 1, "got down to -1; scale them"),
        (-2.1, 2.6, "expected values in [0, 1], got"),
        (0, np.nan, "NaN"),
        (0, np.inf, "infinity"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_out_of_range_are_refused_in_files_as_in_arrays(
    tmp_path: Path, low: float, high: float, words: str, dtype: Any
) -> None:
    values = np.full((64, 32, 3), 0.5, dtype)
    values[40, 0], values[50, 7] = low, high
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    assert words in refused(tmp_path / "a.tif")
    target = tmp_path / "b.tif"
    model = open_model("fast")
    with pytest.raises(InputError, match=re.escape(words)):
        model.upscale_file(tmp_path / "a.tif", target)
    for source in (tmp_path / "a.tif", values.astype(np.float32)):
        with pytest.raises(InputError, match=re.escape(words)):
            model.upscale(source)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_floats_a_little_out_of_range_are_clamped_in_both(tmp_path: Path) -> None:
    values = np.full((8, 8, 3), 0.5, np.float32)
    values[0, 0], values[7, 7] = -0.1, 1.4
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    out = read(tmp_path / "a.tif")
    assert (out.min(), out.max()) == (0, 1)
    large = upscale(values, model="fast", scale=2)
    assert large.shape == (16, 16, 3)


@pytest.mark.parametrize(("mark", "noted"), [("unspecified", True), ("unassalpha", False)])
@pytest.mark.parametrize("channels", [2, 4])
def test_a_channel_that_is_not_marked_as_transparency_is_reported(
    tmp_path: Path, channels: int, mark: str, noted: bool
) -> None:
    photometric = "rgb" if channels == 4 else "minisblack"
    values = np.dstack([NOISE, NOISE[..., 0]])[..., :channels]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric, extrasamples=[mark])
    with open_picture(tmp_path / "a.tif") as picture:
        notes = picture.facts.notes
    assert notes == (
        ("its last channel is used as transparency, although it is not marked as such",) * noted
    )


@pytest.mark.parametrize("length", [64, (64 << 20) + 2])
def test_layers_are_reported(tmp_path: Path, length: int) -> None:
    layers = [(37724, 7, length, b"Adobe Photoshop Document Data Block\0".ljust(length), True)]
    tifffile.imwrite(tmp_path / "a.tif", NOISE, photometric="rgb", extratags=layers, metadata=None)
    with open_picture(tmp_path / "a.tif") as picture:
        assert "layers" in picture.facts.notes[0]
        assert picture.metadata.exif is not None
        assert len(picture.metadata.exif) < 1000


def test_bits_in_the_other_order() -> None:
    """FillOrder 2: the lowest bit of each byte comes first."""
    values = np.arange(12).reshape(3, 4, 1) * 350
    rows = [bytes(int(f"{byte:08b}"[::-1], 2) for byte in row) for row in packed(values, 12)]
    data = tiff(4, 3, [b"".join(rows)], t258=12, t262=1, t277=1, t266=2)
    np.testing.assert_array_equal(read(data), np.floor(values * (65535 / 4095) + 0.5))
