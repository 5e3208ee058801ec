"""What the command and the API do with metadata: the same on every way to a result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import enlarge
from enlarge.cli import run
from tests.media.exiftool import case, embedded_pictures, exiftool, positions, tags_of
from tests.media.test_previews import small_jpeg


def test_a_thumbnail_of_the_whole_goes_with_a_crop(here: Path) -> None:
    for name in ("c.jpg", "c.png", "c.tif", "c.webp", "c.avif"):
        options = ["--crop", "0,0,40,40", "--quiet"]
        assert run([str(case("ps_thumb.jpg")), "-o", name, *options]) == 0
        assert not embedded_pictures(here / name)


def test_no_place_is_left(here: Path) -> None:
    assert run([str(case("places.png")), "-o", "p.png", "--metadata", "no-gps"]) == 0
    assert not positions(here / "p.png")
    assert b"SECRET" not in (here / "p.png").read_bytes()


def test_a_panorama_follows_the_picture(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(case("pano.jpg")), "-o", "p.jpg"]) == 0
    assert capsys.readouterr().err == ""
    tags = tags_of(here / "p.jpg")
    assert tags["XMP-GPano:FullPanoWidthPixels"] == 4 * 96
    assert tags["XMP-GPano:CroppedAreaImageHeightPixels"] == 4 * 48
    crop = ["--crop", "0,0,40,40"]
    assert run([str(case("pano.jpg")), "-o", "c.jpg", *crop]) == 0
    assert "the panorama's position is left out" in capsys.readouterr().err
    assert run([str(case("pano.jpg")), "-o", "d.jpg", *crop, "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert any("panorama" in note for note in result["notes"])


def test_a_pillow_image_keeps_exif_that_is_true(here: Path) -> None:
    Image.fromarray(np.full((12, 16, 3), 90, np.uint8)).save("a.jpg")
    Path("t.jpg").write_bytes(small_jpeg())
    exiftool(
        "-overwrite_original", "-n", "-ThumbnailImage<=t.jpg", "-Orientation=6", "-Artist=me",
        "-ExifImageWidth=16", "-GPSLatitude=37.5", "-GPSLatitudeRef=N", "a.jpg",
    )  # fmt: skip
    with Image.open("a.jpg") as image:
        kept = enlarge.upscale(image, scale=2)
    assert kept.size == (32, 24)
    kept.save("b.jpg", exif=kept.info["exif"])
    tags = tags_of(here / "b.jpg")
    assert tags["IFD0:Orientation"] == 6
    assert (tags["IFD0:Artist"], tags["ExifIFD:ExifImageWidth"]) == ("me", 32)
    assert not embedded_pictures(here / "b.jpg")
    assert positions(here / "b.jpg")
