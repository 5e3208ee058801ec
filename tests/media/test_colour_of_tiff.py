"""TIFF's own tags of colour (TIFF 6.0, section 20), written by Pillow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from enlarge.media.colour.colour import ADOBE_RGB, Cicp, Colour
from enlarge.media.colour.profile_making import profile_of
from enlarge.media.reading import open_picture
from tests.media.colour_files import copied, profile_in

RGB = Image.new("RGB", (32, 24), (200, 40, 30))
Curve = Callable[[np.ndarray], np.ndarray]


def _tiff(path: Path, image: Image.Image, *, points: bool, curve: Curve | None = None) -> Path:
    tags = ImageFileDirectory_v2()
    red, green, blue, white = ADOBE_RGB
    if points:
        tags[318] = white
        tags[319] = (*red, *green, *blue)
    if curve is not None:
        tags[301] = tuple(np.round(curve(np.linspace(0, 1, 256)) * 65_535).astype(int).tolist())
        tags.tagtype[301] = 3
    image.save(path, tiffinfo=tags)
    return path


def _srgb(v: np.ndarray) -> np.ndarray:
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def test_chromaticities_and_gamma(tmp_path: Path) -> None:
    source = _tiff(tmp_path / "a.tif", RGB, points=True, curve=lambda v: v**2.2)
    with open_picture(source) as picture:
        colour = picture.metadata.colour
    assert colour is not None
    assert colour.gamma == pytest.approx(45455, abs=10)
    assert colour.chromaticities == (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
    assert copied(source, tmp_path / "b.tif") == []
    assert profile_in(tmp_path / "b.tif") == profile_of(colour, 3)


def test_linear_gray(tmp_path: Path) -> None:
    source = _tiff(tmp_path / "a.tif", Image.new("L", (32, 24), 9), points=False, curve=lambda v: v)
    assert copied(source, tmp_path / "b.png") == []
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["gamma"] == 1.0


@pytest.mark.parametrize("curve", [_srgb, lambda v: np.round(v), lambda v: v * 0, None])
def test_other_curves_say_nothing(tmp_path: Path, curve: Curve | None) -> None:
    source = _tiff(tmp_path / "a.tif", RGB, points=False, curve=curve)
    with open_picture(source) as picture:
        assert picture.metadata.colour is None


def test_a_profile_prevails(tmp_path: Path) -> None:
    p3 = profile_of(Colour(Cicp(12, 13)), 3)
    tags = ImageFileDirectory_v2()
    tags[318], tags[319] = ADOBE_RGB[3], tuple(v for point in ADOBE_RGB[:3] for v in point)
    RGB.save(tmp_path / "a.tif", tiffinfo=tags, icc_profile=p3)
    assert copied(tmp_path / "a.tif", tmp_path / "b.png") == []
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["icc_profile"] == p3
        assert "gamma" not in image.info
        assert "chromaticity" not in image.info
