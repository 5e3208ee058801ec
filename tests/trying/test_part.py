"""The part of a picture that models are tried on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.errors import OptionError
from enlarge.media.colour.colour import Cicp, Colour
from enlarge.media.colour.profile_making import profile_of
from enlarge.trying.part import CONTEXT, SIDE, Part, Region, cut_part


def saved(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def inside(part: Part) -> np.ndarray:
    x, y, width, height = part.inner
    return part.pixels[y : y + height, x : x + width]


def test_the_part_is_where_the_detail_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = np.full((400, 500, 3), 120, np.uint8)
    pixels[192:288, 320:416] = rng.integers(90, 150, (96, 96, 1))
    pixels[:, 60:] += 100  # one hard edge is not detail
    part = cut_part(saved(tmp_path / "a.png", pixels), None)
    assert part.region == Region(320, 192, SIDE, SIDE)
    assert part.size == (500, 400)
    assert part.pixels.shape == (SIDE + 2 * CONTEXT, SIDE + 2 * CONTEXT, 3)
    assert (inside(part) == pixels[192:288, 320:416]).all()


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (97, 96), (130, 17), (96, 96), (200, 333)])
def test_any_size_has_a_part(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    part = cut_part(saved(tmp_path / "a.png", pixels), None)
    x, y, across, down = part.region
    assert (across, down) == (min(SIDE, width), min(SIDE, height))
    assert (inside(part) == pixels[y : y + down, x : x + across]).all()


def test_a_given_part_at_the_corner(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (60, 80), dtype=np.uint8)
    part = cut_part(saved(tmp_path / "gray.png", pixels), Region(70, 50, 10, 10))
    assert part.inner == Region(CONTEXT, CONTEXT, 10, 10)
    assert (inside(part) == pixels[50:, 70:, None]).all()


def test_a_part_outside_is_refused(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.png", np.zeros((60, 80, 3), np.uint8))
    with pytest.raises(OptionError, match=r"--crop 70,50,11,10 is not inside .*a\.png, 80×60"):
        cut_part(source, Region(70, 50, 11, 10))


def test_sixteen_bits_and_transparency_become_eight_bits_over_white(tmp_path: Path) -> None:
    deep = np.random.default_rng(3).integers(0, 65536, (20, 30), dtype=np.uint16)
    part = cut_part(saved(tmp_path / "deep.png", deep), None)
    assert np.abs(inside(part)[..., 0] - deep / 257.0).max() <= 0.5
    clear = np.zeros((20, 30, 4), np.uint8)
    part = cut_part(saved(tmp_path / "clear.png", clear), None)
    assert (part.pixels == 255).all()


def test_colours_of_a_profile_become_srgb(tmp_path: Path) -> None:
    """(200, 40, 30) of Display P3 is (218, 0, 4) of sRGB."""
    profile = profile_of(Colour(Cicp(12, 13)), 3)
    flat = np.full((40, 40, 3), (200, 40, 30), np.uint8)
    part = cut_part(saved(tmp_path / "p3.png", flat, icc_profile=profile), None)
    assert np.abs(part.pixels.astype(int) - (218, 0, 4)).max() <= 1
