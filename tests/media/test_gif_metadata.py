"""Comments, XMP and profiles of a GIF, as ExifTool and Pillow write and read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageCms

from enlarge.media.reading import open_picture
from tests.media.exiftool import exiftool, positions, tags_of
from tests.media.test_previews import FORMS, doubled

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FRAMES = [Image.new("RGB", (48, 32), colour) for colour in ((200, 40, 30), (20, 50, 200))]


def gif(path: Path, *arguments: str, comment: bytes = b"hello") -> Path:
    FRAMES[0].save(path, save_all=True, append_images=FRAMES[1:], comment=comment)
    exiftool("-q", "-overwrite_original", *arguments, path)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_xmp_is_kept(tmp_path: Path, form: str) -> None:
    source = gif(tmp_path / "a.gif", "-XMP-dc:Title=Café", "-XMP-tiff:ImageWidth=48")
    target = tmp_path / f"b.{FORMS[form]}"
    doubled(source, target, form)
    assert tags_of(target)["XMP-dc:Title"] == "Café"
    assert tags_of(target)["XMP-tiff:ImageWidth"] == 96


def test_comments_are_kept(tmp_path: Path) -> None:
    doubled(gif(tmp_path / "a.gif", "-XMP-dc:Title=x"), tmp_path / "b.png", "png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["Comment"] == "hello"


def test_no_position_is_left(tmp_path: Path) -> None:
    place = b"lat=37.55 lon=126.98"
    source = gif(tmp_path / "a.gif", "-XMP-exif:GPSLatitude=37.55", "-XMP:Rating=4", comment=place)
    assert positions(source)
    doubled(source, tmp_path / "b.png", "png", keep="no-gps")
    assert positions(tmp_path / "b.png") == set()
    assert b"37.55" not in (tmp_path / "b.png").read_bytes()
    assert tags_of(tmp_path / "b.png")["XMP-xmp:Rating"] == 4


def test_a_profile(tmp_path: Path) -> None:
    data = gif(tmp_path / "a.gif", "-XMP-dc:Title=x").read_bytes()
    at = data.index(b"!\xfe")
    parts = [SRGB[start : start + 255] for start in range(0, len(SRGB), 255)]
    blocks = b"".join(bytes([len(part)]) + part for part in parts)
    block = b"!\xff\x0bICCRGBG1012" + blocks + b"\0"
    (tmp_path / "a.gif").write_bytes(data[:at] + block + data[at:])
    with open_picture(tmp_path / "a.gif") as picture:
        assert picture.metadata.icc == SRGB
        assert picture.metadata.text == (("Comment", "hello"),)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.9])
def test_what_is_cut_off_is_passed_over(tmp_path: Path, share: float) -> None:
    from enlarge.media.formats.gif_metadata import read_metadata

    data = gif(tmp_path / "a.gif", "-XMP-dc:Title=x").read_bytes()
    (tmp_path / "b.gif").write_bytes(data[: int(len(data) * share)])
    with (tmp_path / "b.gif").open("rb") as file:
        assert read_metadata(file).text in ((), (("Comment", "hello"),))
