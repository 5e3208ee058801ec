"""Several pictures in one file: how many there are, and each of them, as Pillow and libvips have
them.
"""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image, features

from enlarge.errors import InputError, OptionError
from enlarge.media.formats.heif_sequence import sequence_length
from enlarge.media.formats.png_chunks import SIGNATURE, png_chunk
from enlarge.media.reading import describe_picture, open_picture

FORMATS = 'pip install "enlarge[formats]"'
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def drawn(number: int, mode: str = "RGB", width: int = 60, height: int = 40) -> Image.Image:
    """A gradient that depends on `number`; with alpha, a moving edge is transparent."""
    y, x = np.mgrid[:height, :width]
    planes = [(x * 4 + number * 40) % 256, (y * 6 + number * 10) % 256, (x + y + number * 70) % 256]
    if mode in ("L", "LA"):
        planes = planes[:1]
    if mode in ("RGBA", "LA"):
        planes.append((x > 10 * number) * 255)
    pixels = np.stack(planes, axis=-1).astype(np.uint8)
    return Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0], mode)


def saved(form: str, frames: Sequence[Image.Image], **options: Any) -> bytes:
    """A file of several pictures, by Pillow."""
    if form == "HEIF":
        pytest.importorskip("pillow_heif", reason=FORMATS).register_heif_opener()
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    file = io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:], **options)
    return file.getvalue()


def read(data: bytes, page: int | None = None) -> NDArray[Any]:
    with open_picture(data, page=page) as picture:
        rows = picture.rows()
        assert (rows.width, rows.height) == (picture.facts.width, picture.facts.height)
        return rows.read(rows.height)


def by_pillow(data: bytes, number: int, channels: int) -> NDArray[Any]:
    """Frame `number`, from 1, as Pillow composes it."""
    image = Image.open(io.BytesIO(data))
    image.seek(number - 1)
    pixels = np.asarray(image.convert(MODES[channels]))
    return pixels.reshape(*pixels.shape[:2], channels)


def frames_in_pillow(data: bytes) -> int:
    image: Any = Image.open(io.BytesIO(data))
    return image.n_frames


def visible(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels without the colours of transparent ones."""
    if pixels.shape[2] not in (2, 4):
        return pixels
    return np.where(pixels[..., -1:] > 0, pixels, 0)


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("PNG", "RGB", {}),
        ("PNG", "L", {}),
        ("PNG", "RGBA", {"blend": 1, "disposal": 0}),
        ("PNG", "RGBA", {"blend": 1, "disposal": 1}),
        ("PNG", "RGBA", {"blend": 1, "disposal": 2}),
        ("PNG", "RGBA", {"blend": 0, "disposal": 2}),
        ("PNG", "LA", {"blend": 1, "disposal": 0}),
        ("PNG", "RGB", {"default_image": True}),
        ("GIF", "RGB", {}),
        ("GIF", "RGBA", {"disposal": 2}),
        ("GIF", "RGBA", {"disposal": 1}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("AVIF", "RGB", {}),
        ("AVIF", "RGBA", {}),
        ("TIFF", "RGB", {}),
        ("TIFF", "L", {}),
        ("MPO", "RGB", {}),
        ("HEIF", "RGB", {}),
    ],
)
def test_every_picture_of_a_file(form: str, mode: str, options: dict[str, Any]) -> None:
    data = saved(form, [drawn(number, mode) for number in range(3)], **options)
    word = {"TIFF": "page", "MPO": "picture", "HEIF": "picture"}.get(form, "frame")
    with open_picture(data) as picture:
        facts = picture.facts
    assert (facts.pages, facts.page) == (3, 1)
    assert facts.notes == (f"has 3 {word}s; only the first is used",)
    for number in (1, 2, 3):
        pixels = read(data, number)
        expected = by_pillow(data, number, pixels.shape[2])
        assert np.array_equal(visible(pixels), visible(expected)), number
        assert pixels.shape[2] == facts.channels
        with open_picture(data, page=number) as picture:
            assert (picture.facts.page, picture.facts.notes) == (number, ())
    for number in (0, 4):
        with pytest.raises(OptionError, match=rf"no page {number}: it has 3 {word}s; --page takes"):
            open_picture(data, page=number)


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP", "AVIF", "TIFF", "MPO", "JPEG", "BMP"])
def test_a_single_picture(form: str) -> None:
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    file = io.BytesIO()
    drawn(1).save(file, form)
    data = file.getvalue()
    assert describe_picture(data)["pages"] == 1
    assert np.array_equal(read(data, 1), read(data))
    with pytest.raises(OptionError, match="no page 2: it has one picture"):
        open_picture(data, page=2)


def test_inspect_of_a_page() -> None:
    sizes = [drawn(0), drawn(1, width=30, height=20)]
    data = saved("TIFF", sizes)
    assert describe_picture(data)["page"] == 1
    second = describe_picture(data, page=2)
    assert (second["page"], second["width"], second["height"]) == (2, 30, 20)
    assert np.array_equal(read(data, 2), np.asarray(sizes[1]))


def test_the_main_picture_of_a_heic_need_not_be_the_first() -> None:
    data = saved("HEIF", [drawn(number) for number in range(3)], primary_index=1)
    with open_picture(data) as picture:
        assert picture.facts.page == 2
        assert picture.facts.notes == ("has 3 pictures; only number 2, the main one, is used",)
    assert np.array_equal(read(data), by_pillow(data, 2, 3))
    assert np.array_equal(read(data, 1), by_pillow(data, 1, 3))


@pytest.mark.parametrize("page", [1, 2])
def test_a_heic_that_claims_a_huge_size_takes_no_memory_for_it(
    page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved("HEIF", [drawn(number, width=64, height=64) for number in range(2)])
    size = struct.pack(">II", 64, 64)
    assert size in data

    def taken(mode: str, size: tuple[int, int]) -> None:
        raise AssertionError(f"memory is taken for {size}")

    monkeypatch.setattr("PIL.Image.core.new", taken)
    with open_picture(data.replace(size, struct.pack(">II", 30_000, 30_000)), page=page) as picture:
        assert picture.facts.width == 30_000
        assert picture.facts.decode_bytes > 2_700_000_000


def test_a_heic_of_another_size_than_its_header_says() -> None:
    data = saved("HEIF", [drawn(0)])  # 60×40, cut out of 64×64
    wider = struct.pack(">II", 255, 1)
    size = struct.pack(">II", 60, 1)
    assert data.count(size) == 1
    with open_picture(data.replace(size, wider)) as picture:
        rows = picture.rows()
        with pytest.raises(InputError, match="damaged: its header says 255×40 pixels, and 64×40"):
            rows.read(40)


def test_thumbnails_and_alpha_of_heif_are_no_pictures() -> None:
    heif = pytest.importorskip("pillow_heif", reason=FORMATS)
    heif.register_heif_opener()
    file = io.BytesIO()
    drawn(0, "RGBA", 256, 256).save(file, "HEIF", thumbnails=[64])
    assert heif.open_heif(io.BytesIO(file.getvalue())).info["thumbnails"] == [64]
    assert describe_picture(file.getvalue())["pages"] == 1
    if features.check("avif"):
        avif = io.BytesIO()
        drawn(0, "RGBA").save(avif, "AVIF")
        assert describe_picture(avif.getvalue())["pages"] == 1


def test_several_pictures_in_an_avif() -> None:
    strips = [pyvips.Image.new_from_array(np.asarray(drawn(number))) for number in range(3)]
    joined = pyvips.Image.arrayjoin(strips, across=1).copy(interpretation="srgb")
    joined.set_type(pyvips.GValue.gint_type, "page-height", strips[0].height)
    data = joined.heifsave_buffer(compression="av1", lossless=True)
    with open_picture(data) as picture:
        assert (picture.facts.pages, picture.facts.page) == (3, 1)
        assert picture.facts.notes == ("has 3 pictures; only the first is used",)
    for number in (1, 2, 3):
        expected = pyvips.Image.heifload_buffer(data, page=number - 1).numpy()
        assert np.array_equal(read(data, number), expected)
        assert np.abs(expected.astype(int) - np.asarray(drawn(number - 1))).mean() < 8


def test_tiles_of_a_heic_are_no_pictures() -> None:
    heif = pytest.importorskip("pillow_heif", reason=FORMATS)
    heif.register_heif_opener()
    if not hasattr(heif.options, "GRID_TILE_SIZE"):
        pytest.skip("this pillow-heif writes no grids")
    file = io.BytesIO()
    try:
        heif.options.GRID_TILE_SIZE = 256
        drawn(0, "RGB", 600, 500).save(file, "HEIF")
    finally:
        heif.options.GRID_TILE_SIZE = 0
    data = file.getvalue()
    assert b"grid" in data
    assert describe_picture(data)["pages"] == 1


# Animated PNG


def png_header(width: int, height: int, depth: int, colour: int) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def frame_control(
    order: int, width: int, height: int, x: int, y: int, *, dispose: int = 0, over: bool
) -> bytes:
    body = struct.pack(">IIIIIHHBB", order, width, height, x, y, 1, 10, dispose, over)
    return png_chunk(b"fcTL", body)


def compressed(pixels: NDArray[Any]) -> bytes:
    """Rows of samples of 8 or 16 bits, each without a filter."""
    rows = pixels.astype(f">u{pixels.itemsize}").reshape(len(pixels), -1)
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))


def deep_animation(frames: int = 2, x: int = 3) -> tuple[bytes, NDArray[Any], NDArray[Any]]:
    """A 16-bit gray APNG with alpha whose second frame is a 4×2 part, over the first; the file and
    both parts.
    """
    generator = np.random.default_rng(5)
    first = generator.integers(0, 65536, (6, 8, 2), dtype=np.uint16)
    part = generator.integers(0, 65536, (2, 4, 2), dtype=np.uint16)
    first[..., 1] = 65535
    part[..., 1] = (0, 20_000, 65535, 40_000)
    data = SIGNATURE + png_header(8, 6, 16, 4) + png_chunk(b"acTL", struct.pack(">II", frames, 0))
    data += frame_control(0, 8, 6, 0, 0, over=False) + png_chunk(b"IDAT", compressed(first))
    data += frame_control(1, 4, 2, x, 1, over=True)
    data += png_chunk(b"fdAT", struct.pack(">I", 2) + compressed(part)) + png_chunk(b"IEND", b"")
    return data, first, part


def test_sixteen_bits_of_an_animated_png() -> None:
    data, first, part = deep_animation()
    assert np.array_equal(read(data, 1), first)
    opaque = part[..., 1:].astype(float) / 65535
    under = first[1:3, 3:7]
    mixed = part[..., :1] * opaque + under[..., :1] * (1 - opaque)
    expected = first.copy()
    expected[1:3, 3:7, :1] = np.rint(mixed)
    found = read(data, 2)
    assert found.dtype == np.uint16
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert np.array_equal(np.delete(found, (1, 2), axis=0), np.delete(first, (1, 2), axis=0))


@pytest.mark.parametrize("seed", range(12))
def test_frames_of_every_kind_lie_as_in_pillow(seed: int) -> None:
    """Parts and whole frames, blended or not, with every kind of disposal."""
    random = np.random.default_rng(seed)
    width, height, count = 9, 7, 6
    data = SIGNATURE + png_header(width, height, 8, 6)
    data += png_chunk(b"acTL", struct.pack(">II", count, 0))
    for number in range(count):
        x, y = random.integers(0, (width, height))
        if number == 0 or random.random() < 0.3:
            x = y = 0
            w, h = width, height
        else:
            w, h = int(random.integers(1, width - x + 1)), int(random.integers(1, height - y + 1))
        pixels = random.integers(0, 256, (h, w, 4), dtype=np.uint8)
        pixels[..., 3] = random.choice([0, 255], (h, w))
        dispose, over = int(random.integers(0, 3)), bool(random.integers(0, 2))
        order = max(0, 2 * number - 1)
        data += frame_control(order, w, h, int(x), int(y), dispose=dispose, over=over)
        if number == 0:
            data += png_chunk(b"IDAT", compressed(pixels))
        else:
            data += png_chunk(b"fdAT", struct.pack(">I", order + 1) + compressed(pixels))
    data += png_chunk(b"IEND", b"")
    for number in range(1, count + 1):
        assert np.array_equal(visible(read(data, number)), visible(by_pillow(data, number, 4)))


def test_frames_that_are_not_there_are_not_counted() -> None:
    facts = describe_picture(deep_animation(frames=1 << 30)[0])
    assert facts["pages"] == 2
    assert "claims to have 1,073,741,824 frames, but holds 2" in facts["notes"]


def test_a_frame_outside_the_picture_is_damage() -> None:
    data = deep_animation(x=6)[0]
    assert read(data, 1).shape == (6, 8, 2)
    with pytest.raises(InputError, match="frame 2 of this PNG is truncated or damaged"):
        read(data, 2)


def test_a_frame_of_an_animated_png_counts_its_memory() -> None:
    data = saved("PNG", [drawn(number, width=800, height=600) for number in range(2)])
    with open_picture(data, page=2) as picture:
        assert not picture.facts.in_order
        assert picture.facts.decode_bytes > 3 * 800 * 600 * 3


def test_palettes_of_an_animated_png() -> None:
    first = drawn(0).quantize(16)
    data = saved("PNG", [first, drawn(1).quantize(palette=first)])
    assert Image.open(io.BytesIO(data)).mode == "P"
    for number in (1, 2):
        pixels = read(data, number)
        assert np.array_equal(pixels, by_pillow(data, number, pixels.shape[2]))


# TIFF


def paged_tiff(*subfiles: int) -> bytes:
    """A TIFF of pages, each with its value of NewSubfileType; None leaves the tag out."""
    pixels = [drawn(number) for number in range(len(subfiles))]
    file = io.BytesIO()
    options = [{254: value} for value in subfiles]
    first, *others = pixels
    for image, tags in zip(others, options[1:], strict=True):
        image.encoderinfo = {"tiffinfo": tags}
    first.save(file, "TIFF", save_all=True, append_images=others, tiffinfo=options[0])
    return file.getvalue()


@pytest.mark.parametrize(
    ("subfiles", "pages", "used"),
    [
        ((0, 1), [0], 0),  # a thumbnail behind the picture
        ((1, 0), [1], 1),  # and before it
        ((2, 2, 2), [0, 1, 2], 0),  # pages of a document
        ((0, 4), [0], 0),  # a mask
        ((2, 3, 2, 3), [0, 2], 0),  # pages with their thumbnails
        ((1, 1), [0, 1], 0),  # nothing else
    ],
)
def test_smaller_copies_and_masks_in_a_tiff(
    subfiles: tuple[int, ...], pages: list[int], used: int
) -> None:
    data = paged_tiff(*subfiles)
    assert frames_in_pillow(data) == len(subfiles)
    assert describe_picture(data)["pages"] == len(pages)
    assert np.array_equal(read(data), np.asarray(drawn(used)))
    for number, page in enumerate(pages, 1):
        assert np.array_equal(read(data, number), np.asarray(drawn(page)))


@pytest.mark.parametrize("subifd", [False, True])
def test_levels_of_a_pyramid_are_no_pages(subifd: bool) -> None:
    image = pyvips.Image.black(600, 500)
    data = image.tiffsave_buffer(tile=True, pyramid=True, subifd=subifd)
    assert describe_picture(data)["pages"] == 1


def test_a_ring_of_directories_ends() -> None:
    data = bytearray(saved("TIFF", [drawn(0), drawn(1)]))
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    assert describe_picture(bytes(data))["pages"] == 1


# The Multi-Picture Format


def multi_picture(first: bytes, second: bytes, kind: int) -> bytes:
    """Two JPEGs, and an index that calls the second one `kind`."""
    index = 4 + 4
    entries = 2 + 3 * 12 + 4
    size = 4 + 8 + entries + 32
    offset = len(first) + 4 + size - (2 + 4 + 4)
    body = b"MPF\0" + b"II*\0" + struct.pack("<I", 8)
    body += struct.pack("<H", 3)
    body += struct.pack("<HHI4s", 0xB000, 7, 4, b"0100")
    body += struct.pack("<HHII", 0xB001, 4, 1, 2)
    body += struct.pack("<HHII", 0xB002, 7, 32, index + entries)
    body += struct.pack("<I", 0)
    body += struct.pack("<IIIHH", 0x030000 | 1 << 29, len(first) + 4 + size, 0, 0, 0)
    body += struct.pack("<IIIHH", kind, len(second), offset, 0, 0)
    assert len(body) == size
    segment = b"\xff\xe2" + struct.pack(">H", size + 2) + body
    return first[:2] + segment + first[2:] + second


def jpeg(image: Image.Image, xmp: bytes = b"") -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    data = file.getvalue()
    if not xmp:
        return data
    body = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


GAIN_MAP = (
    b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
)


@pytest.mark.parametrize(
    ("second", "kind", "pages"),
    [
        (jpeg(drawn(1)), 0x020002, 2),  # the other eye
        (jpeg(drawn(1)), 0x020001, 2),  # a part of a panorama
        (jpeg(drawn(1, width=30, height=20)), 0x020003, 2),  # another angle
        (jpeg(drawn(1)), 0x000000, 2),  # as Pillow writes them
        (jpeg(drawn(1, width=30, height=20)), 0x010001, 1),  # a preview
        (jpeg(drawn(1)), 0x010002, 1),  # a large one
        (jpeg(drawn(1, "L", 30, 20)), 0x000000, 1),  # undefined, and smaller
        (jpeg(drawn(1, "L"), GAIN_MAP), 0x000000, 1),  # a gain map of the picture's size
        (jpeg(drawn(1, "L"), b'apdi:AuxiliaryImageType="urn:com:apple:photo"'), 0x020002, 1),
    ],
)
def test_pictures_behind_a_jpeg(second: bytes, kind: int, pages: int) -> None:
    data = multi_picture(jpeg(drawn(0)), second, kind)
    assert frames_in_pillow(data) == 2
    assert describe_picture(data)["pages"] == pages
    assert np.array_equal(read(data), by_pillow(data, 1, 3))
    if pages == 2:
        assert np.array_equal(read(data, 2), by_pillow(data, 2, 3))
        with open_picture(data, page=2) as picture:
            assert picture.facts.decode_bytes >= len(second)


def test_an_index_that_ends_early_is_no_harm() -> None:
    data = multi_picture(jpeg(drawn(0)), jpeg(drawn(1)), 0x020002)
    at = data.index(b"MPF\0")
    for place in range(at + 4, at + 86):
        broken = data[:place] + b"\xff" + data[place + 1 :]
        assert read(broken).shape == (40, 60, 3)


# Sequences that only their headers are read of


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def track(handler: bytes, samples: int, *more: bytes) -> bytes:
    sizes = box(b"stsz", bytes(8), struct.pack(">I", samples))
    media = box(b"hdlr", bytes(8), handler, bytes(12)), box(b"minf", box(b"stbl", sizes))
    return box(b"trak", *more, box(b"mdia", *media))


def test_tracks_that_are_no_pictures_of_their_own() -> None:
    auxiliary = box(b"tref", box(b"auxl", bytes(4)))
    tracks = track(b"soun", 90), track(b"pict", 7), track(b"auxv", 7), track(b"pict", 9, auxiliary)
    assert sequence_length(io.BytesIO(box(b"ftyp", bytes(8)) + box(b"moov", *tracks))) == 7
    assert sequence_length(io.BytesIO(box(b"moov", track(b"soun", 90)))) == 0
    assert sequence_length(io.BytesIO(box(b"moov", track(b"pict", 1 << 31)))) == 0


def test_a_sequence_of_heic() -> None:
    still, animation = saved("HEIF", [drawn(0)]), saved("AVIF", [drawn(0), drawn(1), drawn(2)])
    start = animation.index(b"moov") - 4
    movie = animation[start : start + int.from_bytes(animation[start : start + 4])]
    data = still + movie
    with open_picture(data) as picture:
        assert picture.facts.pages == 3
        assert picture.facts.notes == ("has 3 frames; only the first is used",)
    assert np.array_equal(read(data), read(still))
    with pytest.raises(InputError, match=r"a sequence of 3 frames.*ffmpeg"):
        open_picture(data, page=2)
    alone = data.replace(b"meta", b"free", 1)
    with pytest.raises(InputError, match=r"a sequence of 3 frames without a still.*ffmpeg"):
        open_picture(alone)


def test_an_animation_in_jpeg_xl() -> None:
    pytest.importorskip("pillow_jxl", reason=FORMATS)
    with open_picture(ANIMATED_JXL) as picture:
        (note,) = picture.facts.notes
    assert note.startswith("is an animation; only its last frame is used (djxl ")
    assert read(ANIMATED_JXL)[0, 0].tolist() == [30, 30, 200]
    with pytest.raises(InputError, match=r"whose frames cannot be chosen.*djxl"):
        open_picture(ANIMATED_JXL, page=1)


ANIMATED_JXL = base64.b64decode(
    "/wrFBE0AICYIBAEAWABLGIsVANQfY4zxY/wDiACT5y1c8IYKCAQBAFgASxiLFQ"
    "DUH2OM8WP8AzgBU+As3AeGCggEBQBYAEsYixUA1B9jjPFj/AOIAVPgLNwHhgo="
)
"""Three frames of 32×24 in one colour each, (200, 30, 30), (30, 200, 30) and (30, 30, 200), by
`imagecodecs.jpegxl_encode(frames, lossless=True)`.
"""
