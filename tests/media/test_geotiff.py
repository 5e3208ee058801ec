"""GeoTIFF: every place on the map stays where it was, by the standard's own formulas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from enlarge import upscale
from enlarge.media.metadata.metadata import Keep
from enlarge.media.reading import open_picture

NOISE = np.random.default_rng(5).integers(0, 256, (40, 56, 3), dtype=np.uint8)
POINT = {1025: 2}
KEYS = {1024: 1, 1025: 1, 3072: 32652}
SCALE, TIES, MATRIX = 33550, 33922, 34264
MAP = (0.5, 0.25, 0.0)
TIE = (3.0, 5.0, 0.0, 500_000.0, 4_100_000.0, 0.0)
TURNED = (0.4, 0.3, 0, 500_000, 0.3, -0.4, 0, 4_100_000, 0, 0, 0, 0, 0, 0, 0, 1)


def write(path: Path, *tags: tuple[int, Any], keys: dict[int, int] = KEYS, **options: Any) -> Path:
    directory = [1, 1, 0, len(keys)]
    for key, value in sorted(keys.items()):
        directory += [key, 0, 1, value]
    extra: list[Any] = [
        (tag, 12, len(value), tuple(map(float, value)), True) for tag, value in tags
    ]
    extra.append((34735, 3, len(directory), tuple(directory), True))
    gdal = '<GDALMetadata>\n  <Item name="who">me</Item>\n'
    gdal += '  <Item name="STATISTICS_MEAN" sample="0">12.5</Item>\n</GDALMetadata>'
    extra += [(42112, 2, 0, gdal, True), (42113, 2, 0, "0", True), (271, 2, 0, "Canon", True)]
    tifffile.imwrite(path, NOISE, photometric="rgb", extratags=extra, metadata=None, **options)
    return path


def tags(path: Path) -> dict[int, Any]:
    with tifffile.TiffFile(path) as file:
        return {tag.code: tag.value for tag in file.pages[0].tags}  # type: ignore[union-attr]


def on_the_map(found: dict[int, Any], column: float, row: float) -> tuple[float, float]:
    """Where a corner of a pixel lies (OGC 19-008r4, 7.1.2.3 and annex C.2)."""
    keys = np.reshape(found[34735][4:], (-1, 4))
    half = 0.5 if any(key == 1025 and value == 2 for key, _, _, value in keys) else 0.0
    column, row = column - half, row - half
    if MATRIX in found:
        matrix = np.reshape(found[MATRIX], (4, 4))
        x, y = (matrix @ [column, row, 0, 1])[:2]
        return float(x), float(y)
    across, down = found[SCALE][:2]
    i, j, _, x, y, _ = found[TIES][:6]
    return x + (column - i) * across, y - (row - j) * down


@pytest.mark.parametrize("keys", [KEYS, KEYS | POINT])
@pytest.mark.parametrize("form", [((SCALE, MAP), (TIES, TIE)), ((MATRIX, TURNED),)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "options",
    [
        {"scale": 2},
        {"scale": 3},
        {"scale": 2, "crop": (8, 4, 30, 20)},
        {"width": 80, "height": 100},
    ],
)
def test_corners_stay_where_they_were(
    tmp_path: Path, keys: dict[int, int], form: Any, order: str, options: dict[str, Any]
) -> None:
    start = write(tmp_path / "a.tif", *form, keys=keys, byteorder=order)
    upscale(start, output=tmp_path / "b.tif", model="fast", **options)
    before, after = tags(start), tags(tmp_path / "b.tif")
    width, height = after[256], after[257]
    left, top, wide, high = options.get("crop", (0, 0, 56, 40))
    for column, row in ((0, 0), (1, 0), (0, 1), (0.3, 0.8)):
        old = on_the_map(before, left + column * wide, top + row * high)
        assert on_the_map(after, column * width, row * height) == pytest.approx(old, abs=1e-6)
    assert after[34735] == before[34735]
    assert after[42113] == before[42113]
    assert "who" in after[42112]
    assert "STATISTICS" not in after[42112]
    if SCALE in after and options == {"scale": 2}:
        assert after[SCALE] == (0.25, 0.125, 0.0)


def test_rational_functions_follow_the_pixels(tmp_path: Path) -> None:
    numbers = [0.5, 0.1, 19.5, 27.5, 37, 127, 100, 20.0, 28.0, 0.1, 0.2, 500, *range(80)]
    start = write(tmp_path / "a.tif", (50844, numbers))
    upscale(start, output=tmp_path / "b.tif", model="fast", scale=2, crop=(8, 4, 30, 20))
    after = list(tags(tmp_path / "b.tif")[50844])
    # The middle of row 19.5 is 20 below the upper edge, 16 below that of the cut: 32 in the result.
    assert after[2:4] == [31.5, 39.5]
    assert after[7:9] == [40, 56]
    assert after[:2] + after[4:7] + after[9:] == numbers[:2] + numbers[4:7] + numbers[9:]


def test_several_tie_points(tmp_path: Path) -> None:
    start = write(
        tmp_path / "a.tif", (TIES, (0, 0, 0, 1, 2, 0, 56, 0, 0, 3, 4, 0, 0, 40, 0, 5, 6, 0))
    )
    upscale(start, output=tmp_path / "b.tif", model="fast", scale=2)
    after = tags(tmp_path / "b.tif")[TIES]
    assert after == (0, 0, 0, 1, 2, 0, 112, 0, 0, 3, 4, 0, 0, 80, 0, 5, 6, 0)


@pytest.mark.parametrize("keep", ["no-gps", "none"])
def test_a_position_can_be_dropped(tmp_path: Path, keep: Keep) -> None:
    start = write(tmp_path / "a.tif", (SCALE, MAP), (TIES, TIE))
    upscale(start, output=tmp_path / "b.tif", model="fast", scale=2, metadata=keep)
    after = tags(tmp_path / "b.tif")
    assert not {SCALE, TIES, 34735, 42112} & after.keys()
    assert (271 in after) == (keep == "no-gps")
    assert (after.get(42113) == "0") == (keep == "no-gps")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_other_formats_say_that_they_cannot_hold_it(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / "a.tif", (SCALE, MAP), (TIES, TIE))
    done = subprocess.run(
        [sys.executable, "-m", "enlarge", "a.tif", "-o", f"b.{suffix}", "--model", "fast"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "GeoTIFF" in line]
    assert len(lines) == 1
    assert "position on the map (GeoTIFF)" in lines[0]


def test_a_picture_that_is_stored_turned_says_what_it_loses(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    extra = [(SCALE, 12, 3, MAP, True), (TIES, 12, 6, TIE, True), (274, 3, 1, 6, True)]
    tifffile.imwrite(path, NOISE, photometric="rgb", extratags=extra, metadata=None)
    with open_picture(path) as picture:
        assert picture.metadata.geo is None
        assert "GeoTIFF" in picture.facts.notes[0]


def test_a_pyramid_keeps_it(tmp_path: Path) -> None:
    start = write(tmp_path / "a.tif", (SCALE, MAP), (TIES, TIE))
    upscale(start, output=tmp_path / "b.tif", model="fast", scale=8, pyramid=True)
    after = tags(tmp_path / "b.tif")
    assert after[SCALE] == (0.0625, 0.03125, 0.0)
    assert after[TIES] == (24.0, 40.0, *TIE[2:])
