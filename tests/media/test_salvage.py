"""What there is of damaged pictures, and gray where there is nothing."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image

from enlarge.errors import InputError
from enlarge.media.reading import Picture, open_picture

_SMALL = np.random.default_rng(7).integers(0, 256, (12, 10, 3), dtype=np.uint8)
IMAGE = Image.fromarray(_SMALL).resize((200, 160), Image.Resampling.BICUBIC)
VIPS = pyvips.Image.new_from_array(np.asarray(IMAGE))
GRAY = 128


def saved(form: str, image: Image.Image = IMAGE, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def tiff(compression: str, rows: int) -> bytes:
    """A TIFF whose directory comes first, so that a cut leaves it."""
    data = saved("TIFF", compression=compression, tiffinfo={278: rows})
    (at,) = struct.unpack_from("<I", data, 4)
    block = bytearray(data[at:])
    for entry in range(2, 2 + 12 * struct.unpack_from("<H", block)[0], 12):
        tag, kind, count = struct.unpack_from("<HHI", block, entry)
        size = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}[kind] * count
        place = entry + 8
        if size > 4:
            (far,) = struct.unpack_from("<I", block, place)
            struct.pack_into("<I", block, place, far - at + 8)
            place = far - at
        if tag == 273:
            for number in range(count):
                (offset,) = struct.unpack_from("<I", block, place + 4 * number)
                struct.pack_into("<I", block, place + 4 * number, offset + len(block))
    return data[:4] + struct.pack("<I", 8) + bytes(block) + data[8:at]


def rows_of(picture: Picture) -> NDArray[Any]:
    return np.array(picture.rows().read(10_000))


def whole(data: bytes) -> NDArray[Any]:
    with open_picture(data) as picture:
        return rows_of(picture)


def salvaged(data: bytes | Path) -> tuple[NDArray[Any], float, tuple[str, ...]]:
    with open_picture(data, salvage=True) as picture:
        pixels = rows_of(picture)
        assert picture.salvage is not None
        return pixels, picture.salvage.missing, picture.notes


CUT = {
    "jpeg": saved("JPEG", quality=90),
    "jpeg gray": saved("JPEG", IMAGE.convert("L"), quality=90),
    "jpeg restarts": VIPS.jpegsave_buffer(restart_interval=5, Q=90),
    "png": saved("PNG"),
    "png palette": saved("PNG", IMAGE.quantize(64)),
    "png alpha": saved("PNG", IMAGE.convert("RGBA")),
    "png deep": ((VIPS.cast("ushort") * 257).cast("ushort")).copy(
        interpretation="rgb16").pngsave_buffer(),
    "gif": saved("GIF", IMAGE.quantize(64), interlace=0),
    "webp": saved("WEBP", quality=90),
    "webp lossless": saved("WEBP", lossless=True),
    "bmp": saved("BMP"),
    "tiff": saved("TIFF"),
    "tiff lzw": tiff("tiff_lzw", 16),
    "tiff one strip": tiff("tiff_lzw", 160),
    "tiff deflate": tiff("tiff_adobe_deflate", 16),
}  # fmt: skip
HIDDEN = {"jpeg": 24, "jpeg gray": 16, "jpeg restarts": 24, "webp": 40}
"""Rows above the gray that depend on what is missing: blocks, and filters between them."""


@pytest.mark.parametrize("share", [0.35, 0.6, 0.9])
@pytest.mark.parametrize("case", CUT)
def test_rows_before_the_cut_and_gray_after_it(case: str, share: float) -> None:
    data = CUT[case]
    expected = whole(data)
    cut = data[: int(len(data) * share)]
    with pytest.raises(InputError, match="again, or enlarge what is left of it with --salvage"):
        whole(cut)
    got, missing, notes = salvaged(cut)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    gray = GRAY if got.dtype == np.uint8 else 32768
    colours = got[:, :, : 3 if got.shape[2] >= 3 else 1]
    is_gray = (colours == gray).all(axis=(1, 2))
    count = int(is_gray.sum())
    assert abs(count / len(got) - missing) < 0.02 + 1 / len(got)
    assert abs((1 - share) - missing) < 0.3
    # A BMP is stored upside down.
    kept = slice(count, None) if case == "bmp" else slice(0, len(got) - count)
    assert is_gray[:count].all() if case == "bmp" else is_gray[len(got) - count :].all()
    known = slice(kept.start, kept.stop and max(kept.stop - HIDDEN.get(case, 1), 0))
    np.testing.assert_array_equal(got[known], expected[known])
    (note,) = notes
    assert f"{missing:.1%} of it is missing, and gray in the result" in note


def test_alpha_is_opaque_where_nothing_is() -> None:
    data = CUT["png alpha"]
    got, _, _ = salvaged(data[: len(data) // 2])
    assert (got[-1] == (GRAY, GRAY, GRAY, 255)).all()


def test_a_rotated_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is at the right
    data = saved("JPEG", quality=90, exif=exif)
    path = tmp_path / "cut.jpg"
    path.write_bytes(data[: len(data) // 2])
    got, missing, _ = salvaged(path)
    assert got.shape == (200, 160, 3)
    columns = int(missing * 160)
    assert (got[:, :columns] == GRAY).all()
    assert not (got[:, -8:] == GRAY).all(axis=(0, 2)).any()


def test_what_a_damaged_chunk_of_a_png_hides() -> None:
    data = bytearray(CUT["png"])
    middle = len(data) // 2
    data[middle : middle + 30] = b"\x55" * 30
    expected = whole(CUT["png"])
    got, missing, _ = salvaged(bytes(data))
    assert 0.3 < missing < 0.7
    np.testing.assert_array_equal(got[:60], expected[:60])
    assert (got[-1] == GRAY).all()


def test_a_wrong_checksum_alone_loses_nothing_of_a_png() -> None:
    data = bytearray(CUT["png"])
    data[-13] ^= 0xFF  # of the last chunk of pixels
    with pytest.raises(InputError, match="--salvage"):
        whole(bytes(data))
    got, missing, (note,) = salvaged(bytes(data))
    np.testing.assert_array_equal(got, whole(CUT["png"]))
    assert missing == 0
    assert "all of it could be decoded" in note


def test_an_interlaced_png_is_coarse_before_it_is_gray() -> None:
    data = VIPS.pngsave_buffer(interlace=True)
    expected = whole(data)
    got, missing, _ = salvaged(data[: int(len(data) * 0.4)])
    assert missing == 0
    np.testing.assert_array_equal(got[::8, ::8], expected[::8, ::8])
    assert np.abs(got.astype(int) - expected).mean() < 20  # not black in between
    got, missing, _ = salvaged(data[: data.index(b"IDAT") + 300])
    assert 0.1 < missing < 0.99
    assert (got[-8:] == GRAY).all()


def test_a_jpeg_that_goes_on_behind_the_damage() -> None:
    data = bytearray(CUT["jpeg restarts"])
    middle = len(data) // 2
    while b"\xff" in data[middle - 2 : middle + 12]:
        middle += 1
    data[middle : middle + 10] = b"\x55" * 10
    expected = whole(CUT["jpeg restarts"])
    got, missing, (note,) = salvaged(bytes(data))
    assert missing < 0.3
    assert "is damaged" in note
    np.testing.assert_array_equal(got[:40], expected[:40])
    np.testing.assert_array_equal(got[-16:], expected[-16:])


def test_a_progressive_jpeg_is_coarse_first() -> None:
    data = saved("JPEG", progressive=True, quality=90)
    expected = whole(data)
    got, missing, _ = salvaged(data[: len(data) // 2])
    assert missing == 0
    assert np.abs(got.astype(int) - expected).mean() < 25


def test_the_tiles_that_a_tiff_lacks() -> None:
    tiles = VIPS.tiffsave_buffer(tile=True, tile_width=32, tile_height=32, compression="deflate")
    expected = whole(tiles)
    order = "<"
    (at,) = struct.unpack_from("<I", tiles, 4)
    data = bytearray(tiles)
    for entry in range(at + 2, at + 2 + 12 * struct.unpack_from("<H", data, at)[0], 12):
        tag, _, count = struct.unpack_from(order + "HHI", data, entry)
        if tag == 324:
            (place,) = struct.unpack_from("<I", data, entry + 8)
            assert count == 35
            for number in (3, 8):  # two tiles lie behind the end
                struct.pack_into("<I", data, place + 4 * number, len(data) + 1000)
    with pytest.raises(InputError, match="--salvage"):
        whole(bytes(data))
    got, missing, _ = salvaged(bytes(data))
    assert missing == pytest.approx(2 * 32 * 32 / (200 * 160))
    mask = np.zeros((160, 200), bool)
    mask[:32, 96:128] = mask[32:64, 32:64] = True
    assert (got[mask] == GRAY).all()
    np.testing.assert_array_equal(got[~mask], expected[~mask])


def test_a_tile_of_a_tiff_that_cannot_be_decoded() -> None:
    """libvips would give black, and no error."""
    data = bytearray(
        VIPS.tiffsave_buffer(tile=True, tile_width=32, tile_height=32, compression="deflate")
    )
    expected = whole(bytes(data))
    (at,) = struct.unpack_from("<I", data, 4)
    for entry in range(at + 2, at + 2 + 12 * struct.unpack_from("<H", data, at)[0], 12):
        tag, _, _, place = struct.unpack_from("<HHII", data, entry)
        if tag == 324:
            (offset,) = struct.unpack_from("<I", data, place + 4 * 8)
            data[offset : offset + 60] = b"\x55" * 60
    with pytest.raises(InputError, match="--salvage"):
        whole(bytes(data))
    got, missing, _ = salvaged(bytes(data))
    assert missing == pytest.approx(32 * 32 / (200 * 160))
    mask = np.zeros((160, 200), bool)
    mask[32:64, 32:64] = True
    assert (got[mask] == GRAY).all()
    np.testing.assert_array_equal(got[~mask], expected[~mask])


def test_the_tiles_that_a_jpeg_2000_lacks() -> None:
    pytest.importorskip("PIL.Jpeg2KImagePlugin")
    data = saved("JPEG2000", tile_size=(64, 64))
    expected = whole(data)
    got, missing, _ = salvaged(data[: len(data) // 2])
    assert 0.2 < missing < 0.6
    np.testing.assert_array_equal(got[:64], expected[:64])
    assert (got[-32:, -8:] == GRAY).all()


def test_a_heic_that_was_cut_off() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    data = saved("HEIF", quality=90)
    expected = whole(data)
    got, missing, _ = salvaged(data[: int(len(data) * 0.7)])
    assert 0.2 < missing < 0.7
    first = int((got != GRAY).any(axis=(1, 2)).nonzero()[0][-1])
    np.testing.assert_array_equal(got[: first - 32], expected[: first - 32])


@pytest.mark.parametrize("form", ["AVIF", "JXL"])
def test_what_their_decoders_give_nothing_of(form: str) -> None:
    if form == "JXL":
        pytest.importorskip("pillow_jxl")
    data = saved(form)
    for salvage in (False, True):
        with (
            pytest.raises(InputError) as caught,
            open_picture(data[: len(data) // 2], salvage=salvage) as picture,
        ):
            rows_of(picture)
        message = str(caught.value)
        assert "--salvage" not in message
        assert message.endswith("copy or download it again")
        assert "\n" not in message


@pytest.mark.parametrize("case", CUT)
def test_nothing_left(case: str) -> None:
    """Cut within the header: refused, whatever is asked."""
    with pytest.raises(InputError):
        whole(CUT[case][:30])
    with pytest.raises(InputError), open_picture(CUT[case][:30], salvage=True) as picture:
        rows_of(picture)


@pytest.mark.parametrize("case", CUT)
def test_sound_pictures_stay_as_they_are(case: str) -> None:
    with open_picture(CUT[case], salvage=True) as picture:
        got = rows_of(picture)
        assert picture.salvage is None
        assert picture.notes == ()
    np.testing.assert_array_equal(got, whole(CUT[case]))


def test_streams(tmp_path: Path) -> None:
    data = CUT["jpeg"][: len(CUT["jpeg"]) // 2]
    path = tmp_path / "cut.jpg"
    path.write_bytes(data)
    expected = salvaged(path)[0]
    np.testing.assert_array_equal(salvaged(data)[0], expected)
    with open_picture(io.BytesIO(data), salvage=True) as picture:
        np.testing.assert_array_equal(rows_of(picture), expected)
