"""Profiles of a PNG that its decoder does not take: the loss is reported."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from tests.media.colour_files import copied, png, profile_in

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LINE = "the colour profile is damaged, or is not for this kind of picture, and is left out"


@pytest.mark.parametrize(
    ("mode", "data", "notes"),
    [
        ("RGB", zlib.compress(SRGB), []),
        ("RGB", zlib.compress(SRGB[:100]), [LINE]),
        ("RGB", b"no deflate", [LINE]),
        ("L", zlib.compress(SRGB), [LINE]),
    ],
    ids=["whole", "cut off", "not compressed", "of other channels"],
)
def test_a_profile_in_a_png(tmp_path: Path, mode: str, data: bytes, notes: list[str]) -> None:
    image = Image.new(mode, (32, 24))
    path = png(tmp_path / "a.png", image, (b"iCCP", b"name\0\0" + data))
    assert copied(path, tmp_path / "b.png") == notes
    assert profile_in(tmp_path / "b.png") == (None if notes else SRGB)
