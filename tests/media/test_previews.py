"""Pictures inside pictures: none of them survives a change of the picture."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.media.metadata.change import Change
from enlarge.media.metadata.exif import adapt_exif
from enlarge.media.metadata.exif_block import ExifBlock
from enlarge.media.metadata.metadata import Keep
from enlarge.media.metadata.photoshop import adapt_resources, iim_of
from enlarge.media.reading import open_picture
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture
from tests.media.exiftool import case, embedded_pictures, tags_of

FORMS = {"jpeg": "jpg", "png": "png", "webp": "webp", "tiff": "tif", "avif": "avif"}
CAPTION = b"\x1c\x02\x78\x00\x07caption"


def small_jpeg() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(out, "JPEG")
    return out.getvalue()


def doubled(
    source: Path | bytes,
    target: Path,
    form: str,
    *,
    cropped: bool = False,
    keep: Keep = "keep",
) -> list[str]:
    """Every pixel twice in both directions, of the whole picture or of its left upper quarter."""
    with open_picture(source) as picture:
        rows = picture.rows().read(99_999)
        if cropped:
            rows = rows[: len(rows) // 2, : rows.shape[1] // 2]
        large = np.ascontiguousarray(rows.repeat(2, 0).repeat(2, 1))
        height, width, channels = large.shape
        with create_picture(
            target,
            PictureSpec(width, height, channels, large.dtype),
            WriteOptions(form, keep=keep),
            metadata=picture.metadata,
            change=Change(
                width,
                height,
                (width // 2, height // 2),
                cropped=cropped,
                turned=picture.facts.orientation != 1,
            ),
        ) as sink:
            sink.write(large)
            sink.finish()
    return [*picture.facts.notes, *sink.notes]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cropped", [False, True])
def test_photoshops_thumbnail_goes_and_the_caption_stays(
    tmp_path: Path, form: str, cropped: bool
) -> None:
    path = tmp_path / f"a.{FORMS[form]}"
    notes = doubled(case("ps_thumb.jpg"), path, form, cropped=cropped)
    assert not embedded_pictures(path)
    if form in ("jpeg", "png", "tiff"):
        assert tags_of(path)["IPTC:Caption-Abstract"] == "caption"
    else:
        assert any("IPTC data" in note for note in notes)


def test_resources_in_two_segments_and_with_two_thumbnails(tmp_path: Path) -> None:
    thumbnail = struct.pack(">IIIIIIHH", 1, 8, 8, 24, 192, 9, 24, 1) + small_jpeg()
    resources = b"".join(
        b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + b"\0" * (len(data) % 2)
        for number, data in ((0x0409, thumbnail), (0x040C, thumbnail), (0x0404, CAPTION))
    )
    halves = (resources[:300], resources[300:])
    segments = b"".join(
        b"\xff\xed" + struct.pack(">H", 16 + len(half)) + b"Photoshop 3.0\0" + half
        for half in halves
    )
    plain = small_jpeg()
    (tmp_path / "a.jpg").write_bytes(plain[:2] + segments + plain[2:])
    assert embedded_pictures(tmp_path / "a.jpg")
    assert doubled(tmp_path / "a.jpg", tmp_path / "b.jpg", "jpeg") == []
    assert not embedded_pictures(tmp_path / "b.jpg")
    assert tags_of(tmp_path / "b.jpg")["IPTC:Caption-Abstract"] == "caption"


def test_damaged_resources_are_kept_up_to_the_damage() -> None:
    whole = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(CAPTION)) + CAPTION
    cut = whole + b"8BIM\x04\x0c\0\0\x7f\xff\xff\xffFF"
    kept, notes = adapt_resources(cut, moved=False, positions=True)
    assert kept == whole
    assert len(notes) == 1
    for length in range(len(cut)):
        adapt_resources(cut[:length], moved=False, positions=False)


def exif_with(entries: dict[int, tuple[int, int, bytes]], then: bytes = b"") -> bytes:
    """A block (little endian) whose IFD0 has entries (type, count, bytes), followed by bytes."""
    head = 8 + 2 + 12 * len(entries) + 4
    table, values = b"", b""
    for tag, (kind, count, data) in sorted(entries.items()):
        if len(data) <= 4:
            field = data.ljust(4, b"\0")
        else:
            field = struct.pack("<I", head + len(values))
            values += data + b"\0" * (len(data) % 2)
        table += struct.pack("<HHI", tag, kind, count) + field
    return (
        b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + b"\0\0\0\0" + values + then
    )


@pytest.mark.parametrize("maker", [b"OLYMP\0\1\0", b"NOBODY\0\0"])
def test_a_preview_in_a_maker_note_is_zeroed_where_it_stands(maker: bytes) -> None:
    """The note keeps its length and everything else: its offsets count from anywhere."""
    preview = small_jpeg()
    note = maker + b"\0" * 20 + b"SETTINGS" + preview + b"AFTER"
    at = 8 + 2 + 24 + 4 + 8
    inner = struct.pack("<HHHII", 1, 0x927C, 7, len(note), at + 18) + bytes(4) + note
    block = exif_with({0x010F: (2, 8, b"OLYMPUS\0"), 0x8769: (4, 1, struct.pack("<I", at))}, inner)
    adapted = adapt_exif(block, Change(16, 16))
    assert adapted == block.replace(preview, bytes(len(preview)))


def test_nikons_preview_directory_goes() -> None:
    """Its offsets count from a header of its own in the note."""
    preview = small_jpeg()
    inner = exif_with({
        0x0002: (3, 2, struct.pack("<HH", 0, 400)),
        0x0011: (4, 1, struct.pack("<I", 38)),
    })  # fmt: skip
    at = 38 + 2 + 24 + 4
    inner += struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, at, 0x0202, 4, 1, len(preview), 0)
    note = b"Nikon\0\2\x10\0\0" + inner + preview
    start = 8 + 2 + 24 + 4 + 6
    exposure = struct.pack("<HHHII", 1, 0x927C, 7, len(note), start + 18) + bytes(4) + note
    block = exif_with(
        {0x010F: (2, 6, b"NIKON\0"), 0x8769: (4, 1, struct.pack("<I", start))}, exposure
    )
    adapted = adapt_exif(block, Change(16, 16))
    assert preview not in adapted
    assert len(adapted) == len(block)
    found = ExifBlock(bytearray(adapted), base=start + 18 + 10)
    assert [entry.tag for entry in found.entries(8)] == [0x0002]


def test_iim_comes_out_of_resources() -> None:
    assert iim_of(b"8BIM\x04\x04\0\0" + struct.pack(">I", len(CAPTION)) + CAPTION) == CAPTION
