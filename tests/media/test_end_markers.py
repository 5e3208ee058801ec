"""Files that lack only their end are taken with a line that says so."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image

from enlarge.errors import InputError
from enlarge.media.reading import describe_picture, open_picture

_SMALL = np.random.default_rng(7).integers(0, 256, (12, 10, 3), dtype=np.uint8)
IMAGE = Image.fromarray(_SMALL).resize((101, 83), Image.Resampling.BICUBIC)
VIPS = pyvips.Image.new_from_array(np.asarray(IMAGE))


def saved(form: str, image: Image.Image = IMAGE, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def without_adler(data: bytes) -> bytes:
    """A PNG whose last chunk of pixels ends before the checksum of its stream."""
    at = data.rindex(b"IDAT")
    (length,) = struct.unpack_from(">I", data, at - 4)
    return data[: at + 4 + length - 4]


def without_two(data: bytes) -> bytes:
    return data[:-2]


def without_one(data: bytes) -> bytes:
    return data[:-1]


CASES: dict[str, tuple[bytes, Callable[[bytes], bytes], str]] = {
    "jpeg": (saved("JPEG", quality=90), without_two, "lacks its end marker (EOI)"),
    "jpeg one byte": (saved("JPEG"), without_one, "lacks its end marker (EOI)"),
    "jpeg gray": (saved("JPEG", IMAGE.convert("L")), without_two, "lacks its end marker (EOI)"),
    "jpeg progressive": (saved("JPEG", progressive=True), without_two, "end marker (EOI)"),
    "jpeg restarts": (VIPS.jpegsave_buffer(restart_interval=4), without_two, "end marker (EOI)"),
    "png": (saved("PNG"), lambda data: data[:-12], "lacks its last chunk (IEND)"),
    "png half an IEND": (saved("PNG"), lambda data: data[:-7], "lacks its last chunk (IEND)"),
    "png wrong checksum": (saved("PNG"), lambda data: data[:-4] + b"oops", "chunk (IEND)"),
    "png no adler": (saved("PNG"), without_adler, "lacks its last chunk (IEND)"),
    "png interlaced": (VIPS.pngsave_buffer(interlace=True), lambda data: data[:-12], "IEND"),
    "gif trailer": (saved("GIF", IMAGE.quantize(32)), without_one, "lacks its trailer"),
    "gif block end": (saved("GIF", IMAGE.quantize(32)), without_two, "lacks its trailer"),
    "jp2": (saved("JPEG2000"), without_two, "lacks its end marker (EOC)"),
}


def pixels(data: bytes, *, salvage: bool = False) -> tuple[NDArray[Any], tuple[str, ...]]:
    with open_picture(data, salvage=salvage) as picture:
        return np.array(picture.rows().read(10_000)), picture.notes


@pytest.mark.parametrize("salvage", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_taken_with_a_line(case: str, salvage: bool) -> None:
    whole, cut, words = CASES[case]
    expected, notes = pixels(whole, salvage=salvage)
    assert notes == ()
    got, notes = pixels(cut(whole), salvage=salvage)
    np.testing.assert_array_equal(got, expected)
    (note,) = notes
    assert words in note
    assert "all of its pixels are there" in note


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_that_claims_a_byte_of_padding(lossless: bool) -> None:
    data = saved("WEBP", lossless=lossless)
    (claimed,) = struct.unpack_from("<I", data, 4)
    expected, _ = pixels(data)
    got, (note,) = pixels(data[:4] + struct.pack("<I", claimed + 1) + data[8:])
    np.testing.assert_array_equal(got, expected)
    assert "lacks its last bytes" in note


def test_a_bmp_whose_last_row_has_no_padding() -> None:
    data = saved("BMP")  # rows of 303 bytes are padded to 304
    expected, _ = pixels(data)
    got, notes = pixels(data[:-1])
    np.testing.assert_array_equal(got, expected)
    assert notes == ()


def test_metadata_behind_the_pixels_of_a_webp_may_be_cut_off() -> None:
    data = saved("WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0", quality=80)
    expected, _ = pixels(data)
    got, (note,) = pixels(data[:-6])
    np.testing.assert_array_equal(got, expected)
    assert "lacks its last bytes" in note


@pytest.mark.parametrize("lacking", [3, 5, 40])
@pytest.mark.parametrize("case", ["jpeg", "jpeg gray", "jpeg progressive", "jpeg restarts"])
def test_a_jpeg_that_lacks_pixels_is_refused(case: str, lacking: int) -> None:
    whole = CASES[case][0]
    with pytest.raises(
        InputError, match="copy or download it again, or enlarge what is left of it with --salvage"
    ):
        open_picture(whole[: -2 - lacking])


def test_a_progressive_jpeg_without_its_last_scan_is_refused() -> None:
    """It would decode without a complaint, and look coarse."""
    whole = saved("JPEG", progressive=True)
    last_scan = whole.rindex(b"\xff\xda")
    cut = whole[: whole.rindex(b"\xff\xc4", 0, last_scan)]
    with pytest.raises(InputError, match="--salvage"):
        open_picture(cut)


def test_what_follows_the_end_is_no_damage() -> None:
    for form in ("JPEG", "PNG"):
        data = saved(form)
        expected, _ = pixels(data)
        got, notes = pixels(data + b"trailing data of a camera" * 9)
        np.testing.assert_array_equal(got, expected)
        assert notes == ()


def test_refused_when_it_is_opened_and_described_all_the_same() -> None:
    data = saved("PNG")[:3000]
    with pytest.raises(InputError, match="--salvage"):
        open_picture(data)
    facts = describe_picture(data)
    assert (facts["width"], facts["height"]) == IMAGE.size
    assert "missing" in facts["notes"][0]


@pytest.mark.parametrize(
    "case", ["jpeg", "jpeg progressive", "jpeg restarts", "png", "png interlaced"]
)
def test_zeros_in_place_of_what_is_missing(case: str) -> None:
    """A download into a file that had its full size from the beginning."""
    whole = CASES[case][0]
    middle = len(whole) // 2
    zeroed = whole[:middle] + bytes(len(whole) - middle)
    with pytest.raises(InputError, match="--salvage"):
        open_picture(zeroed)
    expected, _ = pixels(whole[:middle], salvage=True)
    got, notes = pixels(zeroed, salvage=True)
    assert "is damaged" in notes[-1]
    different = (got != expected).any(axis=(1, 2)).mean()
    assert different < 0.1


@pytest.mark.parametrize("case", ["jpeg", "jpeg gray", "jpeg progressive"])
def test_zeros_in_place_of_the_end_marker(case: str) -> None:
    whole = CASES[case][0]
    expected, _ = pixels(whole)
    got, (note,) = pixels(whole[:-2] + bytes(500))
    np.testing.assert_array_equal(got, expected)
    assert "lacks its end marker (EOI)" in note


def test_wrong_pixels_are_not_all_there() -> None:
    """The data of a PNG can be inflated to the end, but are not those that were written."""
    data = bytearray(saved("PNG", compress_level=0)[:-12])  # stored, not compressed
    data[len(data) // 2] ^= 0x55
    with pytest.raises(InputError, match="--salvage"):
        open_picture(bytes(data))
