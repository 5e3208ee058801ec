"""Metadata of JPEG XL and JPEG 2000, which ExifTool writes into their boxes."""

from __future__ import annotations

import importlib
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.media.reading import open_picture
from tests.media.exiftool import embedded_pictures, exiftool, positions, tags_of
from tests.media.test_previews import doubled, small_jpeg


@pytest.mark.parametrize(("suffix", "plugin"), [("jxl", "pillow_jxl"), ("jp2", "PIL")])
def test_it_is_read_and_adapted(tmp_path: Path, suffix: str, plugin: str) -> None:
    pytest.importorskip(plugin, reason='pip install "enlarge[formats]"')
    importlib.import_module("PIL.Jpeg2KImagePlugin")
    source = tmp_path / f"a.{suffix}"
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(source)
    (tmp_path / "t.jpg").write_bytes(small_jpeg())
    exiftool(
        "-m", "-overwrite_original", "-n", "-XMP-xmp:Label=red", "-XMP-tiff:ImageWidth=48",
        "-XMP-photoshop:City=SECRET", "-XMP-exif:GPSLatitude=37.5", "-Artist=me",
        f"-XMP-xmp:ThumbnailImage<={tmp_path / 't.jpg'}", source,
    )  # fmt: skip
    assert positions(source)
    assert doubled(source, tmp_path / "b.jpg", "jpeg", keep="no-gps") == []
    tags = tags_of(tmp_path / "b.jpg")
    assert tags["XMP-xmp:Label"] == "red"
    assert tags["XMP-tiff:ImageWidth"] == 96
    assert tags["IFD0:Artist"] == "me"
    assert positions(tmp_path / "b.jpg") == set()
    assert embedded_pictures(tmp_path / "b.jpg") == set()


def test_what_is_compressed_is_said(tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl", reason='pip install "enlarge[formats]"')
    source = tmp_path / "a.jxl"
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(source)
    exiftool("-m", "-overwrite_original", "-XMP-xmp:Label=red", source)
    data = source.read_bytes()
    at = data.index(b"xml ") - 4
    size = int.from_bytes(data[at : at + 4])
    packed = struct.pack(">I4s4s", 13, b"brob", b"xml ") + b"\x06"  # the empty stream
    source.write_bytes(data[:at] + packed + data[at + size :])
    with open_picture(source) as picture:
        assert picture.facts.notes == ("XMP data compressed with Brotli is left out",)
        assert picture.rows().read(1).shape == (1, 48, 3)
