from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.errors import InputError
from enlarge.media.reading import open_picture

RANDOM = np.random.default_rng(3)
COLOUR = Image.fromarray(RANDOM.integers(0, 256, (19, 13, 3), dtype=np.uint8))


def read(data: bytes) -> np.ndarray:
    with open_picture(data) as picture:
        rows = picture.rows()
        return np.concatenate([rows.read(4) for _ in range(5)])


def saved(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "BMP")
    return out.getvalue()


def made(bits: int, pixels: bytes, height: int, masks: tuple[int, ...] = ()) -> bytes:
    """A BMP 5 pixels wide, written by hand."""
    masked = struct.pack(f"<{len(masks)}I", *masks)
    size = 56 if len(masks) == 4 else 40
    head = struct.pack(
        "<IiiHHIIiiII", size, 5, height, 1, bits, 3 if masks else 0, 0, 2835, 2835, 0, 0
    )
    at = 14 + 40 + len(masked)
    return struct.pack("<2sIHHI", b"BM", at + len(pixels), 0, 0, at) + head + masked + pixels


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_equals_pillow(mode: str) -> None:
    image = COLOUR.convert(mode)
    expected = np.asarray(image.convert("L" if mode in ("1", "L") else "RGB"))
    np.testing.assert_array_equal(read(saved(image)).squeeze(), expected)


def test_four_bits_and_a_short_palette() -> None:
    index = RANDOM.integers(0, 3, (4, 6), dtype=np.uint8)
    table = np.array([(9, 8, 7), (250, 0, 3), (0, 255, 1)], np.uint8)
    packed = (index[:, ::2] << 4 | index[:, 1::2])[::-1]
    rows = b"".join(row.tobytes() + b"\0" for row in packed)
    palette = b"".join(bytes((*colour[::-1], 0)) for colour in table)
    head = struct.pack("<IiiHHIIiiII", 40, 6, 4, 1, 4, 0, 0, 0, 0, 3, 0)
    data = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 54 + 12) + head + palette + rows
    np.testing.assert_array_equal(read(data), table[index])
    np.testing.assert_array_equal(
        read(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    )


@pytest.mark.parametrize("height", [4, -4])
def test_thirty_two_bits_in_both_row_orders(height: int) -> None:
    pixels = RANDOM.integers(0, 256, (4, 5, 4), dtype=np.uint8)
    data = made(32, pixels.tobytes(), height)
    ordered = pixels if height < 0 else pixels[::-1]
    np.testing.assert_array_equal(read(data), ordered[..., 2::-1])


def test_masks_with_alpha() -> None:
    pixels = RANDOM.integers(0, 256, (4, 5, 4), dtype=np.uint8)
    data = made(32, pixels.tobytes(), -4, (0xFF, 0xFF00, 0xFF0000, 0xFF000000))
    np.testing.assert_array_equal(read(data), pixels)


def test_sixteen_bits_are_stretched() -> None:
    words = np.array([[0x7FFF, 0, 0x7C00, 0x1F, 0x3E0]], "<u2")
    data = made(16, words.tobytes() + b"\0\0", -1)
    expected = [[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255], [0, 255, 0]]
    np.testing.assert_array_equal(read(data)[0], expected)


def test_what_is_not_read_is_said(tmp_path: Path) -> None:
    data = bytearray(saved(COLOUR))
    struct.pack_into("<I", data, 30, 1)
    path = tmp_path / "rle.bmp"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"rle\.bmp: this BMP is compressed \(run-length\)"):
        open_picture(path)


@pytest.mark.parametrize("cut", [10, 40, 200])
def test_cut_off(cut: int) -> None:
    with pytest.raises(InputError, match="copy or download it again"):
        open_picture(saved(COLOUR)[:cut])
