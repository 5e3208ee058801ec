"""Maker notes: their previews and places go, and ExifTool still reads the rest."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enlarge.media.metadata.change import Change
from enlarge.media.metadata.exif import adapt_exif
from tests.media.exiftool import embedded_pictures, positions, tags_of
from tests.media.test_previews import doubled, exif_with, small_jpeg

Entries = Mapping[int, tuple[int, int, bytes]]
PREVIEW = small_jpeg()
LENGTH = struct.pack("<I", len(PREVIEW))


def long(value: int) -> tuple[int, int, bytes]:
    return 4, 1, struct.pack("<I", value)


def data(value: bytes) -> tuple[int, int, bytes]:
    return 7, len(value), value


def directory(entries: Entries, at: int) -> bytes:
    """A directory at an offset, and its values behind it."""
    place, table, values = at + 2 + 12 * len(entries) + 4, b"", b""
    for tag, (kind, count, value) in sorted(entries.items()):
        field = value.ljust(4, b"\0")
        if len(value) > 4:
            field = struct.pack("<I", place + len(values))
            values += value + b"\0" * (len(value) % 2)
        table += struct.pack("<HHI", tag, kind, count) + field
    return struct.pack("<H", len(entries)) + table + bytes(4) + values


def olympus(_: int) -> bytes:
    """Offsets count from the note; a second preview is that of the camera settings."""
    settings = {0: data(b"0100"), 0x100: long(1), 0x101: long(1400), 0x102: long(len(PREVIEW))}
    main = {
        0x100: data(PREVIEW),
        0x200: (4, 3, struct.pack("<III", 1, 2, 3)),
        0x2020: (13, 1, struct.pack("<I", 1200)),
    }
    note = b"OLYMPUS\0II\x03\0" + directory(main, 12)
    return (note.ljust(1200, b"\0") + directory(settings, 1200)).ljust(1400, b"\0") + PREVIEW


def canon(start: int) -> bytes:
    about = struct.pack("<6I", 6, 2, len(PREVIEW), 8, 8, start + 300)
    main = {
        0x06: (2, 8, b"IMG:EOS\0"), 0x13: (3, 4, struct.pack("<4H", 0, 7, 0, 7)),
        0xB6: (4, 6, about),
    }  # fmt: skip
    return directory(main, start).ljust(300, b"\0") + PREVIEW


def sony(start: int) -> bytes:
    main = {0x2001: data(PREVIEW), 0xB041: (3, 1, b"\1\0"), 0xB02C: (4, 2, bytes(8))}
    return b"SONY DSC \0\0\0" + directory(main, start + 12)


def casio(start: int) -> bytes:
    main = {
        2: (3, 2, b"\x08\0\x08\0"), 3: long(len(PREVIEW)), 4: long(start + 200),
        8: (3, 1, b"\1\0"),
    }  # fmt: skip
    return (b"QVC\0\0\0" + directory(main, start + 6)).ljust(200, b"\0") + PREVIEW


def pentax(start: int) -> bytes:
    main = {
        2: (3, 2, b"\x08\0\x08\0"), 3: long(len(PREVIEW)), 4: long(start + 300),
        **dict.fromkeys((1, 8, 13, 14, 18, 20), (3, 1, b"\x01\x00")),
    }  # fmt: skip
    return (b"AOC\0II" + directory(main, start + 6)).ljust(300, b"\0") + PREVIEW


def panasonic(start: int) -> bytes:
    places = {tag: data(b"SECRET\0\0") for tag in (0x67, 0x69, 0x6B, 0x6D, 0x6F)}
    return b"Panasonic\0\0\0" + directory({2: data(b"0102"), **places}, start + 12)


def samsung(start: int) -> bytes:
    main = {1: data(b"0100"), 0x30: (2, 8, b"SECRET\0\0"), 0x31: (2, 8, b"SECRET\0\0")}
    return directory(main, start)


CAMERAS = {
    "OLYMPUS IMAGING CORP.": (olympus, "Olympus:SpecialMode"),
    "Canon": (canon, "Canon:CanonImageType"),
    "SONY": (sony, "Sony:ExposureMode"),
    "CASIO COMPUTER CO.,LTD.": (casio, "Casio:QualityMode"),
    "PENTAX": (pentax, "Pentax:Quality"),
    "Panasonic": (panasonic, "Panasonic:FirmwareVersion"),
    "SAMSUNG": (samsung, "Samsung:MakerNoteVersion"),
}


def block_of(make: str) -> bytes:
    """An EXIF block whose maker note is that of a camera."""
    build: Callable[[int], bytes] = CAMERAS[make][0]
    word = make.encode() + b"\0"
    at = 8 + 2 + 36 + 4 + (len(word) + len(word) % 2)
    start = at + 2 + 12 + 4
    note = build(start)
    inner = struct.pack("<HHHII", 1, 0x927C, 7, len(note), start) + bytes(4) + note
    return exif_with(
        {0x010F: (2, len(word), word), 0x0112: (3, 1, b"\1\0"), 0x8769: long(at)}, inner
    )


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_notes_never_crash(drawn: st.DataObject) -> None:
    block = bytearray(block_of(drawn.draw(st.sampled_from(sorted(CAMERAS)))))
    for _ in range(drawn.draw(st.integers(1, 8))):
        at = drawn.draw(st.integers(0, min(len(block), 400) - 1))
        block[at] = drawn.draw(st.integers(0, 255))
    for change in (Change(9, 9), Change(99_999, 70_000, (9, 9), cropped=True)):
        for gps in (True, False):
            with suppress(ValueError):
                adapt_exif(bytes(block), change, gps=gps)


@pytest.mark.parametrize("form", ["jpeg", "png"])
@pytest.mark.parametrize("make", CAMERAS)
def test_previews_and_places_go(tmp_path: Path, make: str, form: str) -> None:
    segment = b"Exif\0\0" + block_of(make)
    head = b"\xff\xe1" + struct.pack(">H", len(segment) + 2)
    source, target = tmp_path / "a.jpg", tmp_path / "b"
    source.write_bytes(PREVIEW[:2] + head + segment + PREVIEW[2:])
    assert embedded_pictures(source) | positions(source)
    assert doubled(source, target, form, keep="no-gps") == []
    assert not embedded_pictures(target)
    assert not positions(target)
    assert b"SECRET" not in target.read_bytes()
    kept = CAMERAS[make][1]
    assert tags_of(target)[kept] == tags_of(source)[kept]
