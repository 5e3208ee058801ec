"""What a browser is shown: sizes, depths, bicubic, the canvas of a running job."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.app.frame import sample
from enlarge.app.viewer import is_valid_region
from enlarge.app.views import Box, Canvas, data_url, enlarge_bicubic, read_part, read_reduced, shown
from enlarge.media.resample import imresize
from enlarge.picture.hooks import Progress
from tests.conftest import ROOT


def noise(height: int, width: int, channels: int = 3) -> Any:
    return np.random.default_rng(4).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_the_sample_is_the_repositorys() -> None:
    assert sample().read_bytes() == (ROOT / "samples" / "photo.jpg").read_bytes()


def test_bicubic_is_imresize() -> None:
    pixels = noise(23, 31)
    whole = enlarge_bicubic(pixels, 124, 92)
    exact = imresize(pixels.astype(np.float64), 92, 124)
    assert np.abs(whole - np.clip(np.floor(exact + 0.5), 0, 255)).max() <= 1
    part = enlarge_bicubic(pixels, 124, 92, Box(40, 17, 50, 33))
    assert np.abs(part.astype(int) - whole[17:50, 40:90]).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_everything_can_be_shown(channels: int, dtype: Any) -> None:
    top = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    white = np.full((3, 5, channels), top, dtype)
    if channels in (2, 4):
        white[..., -1] = 0  # transparent, whatever lies under it: the page shows white
        white[..., :-1] = 0
    seen = shown(white)
    assert seen.shape == (3, 5, 3)
    assert seen.dtype == np.uint8
    assert (seen == 255).all()


def test_a_large_picture_is_reduced_by_blocks(tmp_path: Path) -> None:
    pixels = noise(61, 83)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    small, factor = read_reduced(tmp_path / "a.png", 61 * 83 // 9)
    assert factor == 4
    assert small.shape == (15, 20, 3)
    block = pixels[8:12, 16:20].reshape(-1, 3).mean(axis=0)
    assert np.abs(small[2, 4] - block).max() <= 0.5
    whole, factor = read_reduced(tmp_path / "a.png")
    assert factor == 1
    assert (whole == pixels).all()
    assert (read_part(tmp_path / "a.png", Box(5, 7, 11, 13)) == pixels[7:20, 5:16]).all()


@pytest.mark.parametrize(("side", "kind"), [(40, "png"), (1300, "jpeg")])
def test_a_url_holds_the_picture(side: int, kind: str) -> None:
    pixels = np.broadcast_to(np.arange(side, dtype=np.uint8)[:, None, None], (side, side, 3))
    head, _, content = data_url(np.ascontiguousarray(pixels)).partition(",")
    assert head == f"data:image/{kind};base64"
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    assert np.abs(back.astype(int) - pixels).max() <= (0 if kind == "png" else 3)


@pytest.mark.parametrize(("width", "height"), [(1600, 1200), (97, 61)])
def test_tiles_appear_where_they_belong(tmp_path: Path, width: int, height: int) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    canvas = Canvas(tmp_path / "a.png", width, height)
    assert not canvas.pixels.any()
    right, lower = width // 3, height // 2
    for x, y, wide, high in (
        *((0, 0, right, lower), (right, 0, width - right, lower)),
        *((0, lower, right, height - lower), (right, lower, width - right, height - lower)),
    ):
        tile = np.full((high, wide, 3), 1 + 2 * (y > 0) + (x > 0), np.uint8)
        canvas.paste(Progress(1, 4, x, y, tile, last=True))
    assert canvas.pixels.min() == 1
    assert canvas.pixels[0, 0, 0] == 1
    assert canvas.pixels[0, -1, 0] == 2
    assert canvas.pixels[-1, 0, 0] == 3
    assert canvas.pixels[-1, -1, 0] == 4


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Box(0, 0, 2000, 2000), True),
        (Box(3000, 3000, 1000, 1000), True),
        (Box(3001, 3000, 1000, 1000), False),
        (Box(-1, 0, 10, 10), False),
        (Box(0, 0, 4000, 4000), False),
        (Box(0, 0, 0, 10), False),
    ],
)
def test_a_browser_gets_no_more_than_a_screen_shows(box: Box, expected: bool) -> None:
    assert is_valid_region(box, 4000, 4000) is expected
