"""Colours and edges through the whole way, compared with the enlarged still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import enlarge
from enlarge.video.colour import EXACT
from enlarge.video.facts import BT470BG, BT709, RED_AND_BLUE, SMPTE170M, ColourCode, complete_colour
from enlarge.video.probing import probe
from enlarge.video.reading import Excerpt, FrameReader
from tests.video.material import Recipe, frames_of, make

av = pytest.importorskip("av")
AT = 41
"""The column of the edge."""


def edges(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Red left of an odd column, green right of it: chroma has to be where luma is."""
    image = np.empty((height, width, 3), np.uint8)
    image[:, :AT] = (190, 40, 50)
    image[:, AT:] = (40, 150, 60)
    return image


WAYS: dict[str, tuple[str, Recipe]] = {
    "untagged": ("mp4", Recipe(picture=edges)),
    "bt709": ("mp4", Recipe(picture=edges, tags=(1, 1, 1), full_range=False)),
    "full": ("mp4", Recipe(picture=edges, tags=(1, 1, 1), full_range=True)),
    "mjpeg": ("avi", Recipe("mjpeg", "yuvj420p", {"q": "1"}, picture=edges)),
    "mpeg2": ("mpg", Recipe("mpeg2video", "yuv420p", {"b": "4M"}, picture=edges)),
    "high": ("mkv", Recipe("ffv1", "yuv420p10le", {}, picture=edges, tags=(1, 1, 1))),
    "wide": ("mkv", Recipe("ffv1", "yuv422p10le", {}, picture=edges)),
    "hdr": (
        "mkv",
        Recipe(
            "libx265",
            "yuv420p10le",
            {"crf": "2", "preset": "ultrafast", "x265-params": "log-level=none"},
            picture=edges,
            tags=(9, 9, 16),
            full_range=False,
        ),
    ),
}


def plain_frame(path: Path) -> NDArray[Any]:
    with FrameReader(path, probe(path), Excerpt()) as reader:
        return next(reader.frames()).pixels


def shown(path: Path) -> NDArray[Any]:
    """The first frame of a result as a player shows it: by its own tags, 8 bits."""
    from enlarge.video.graphs import Chain

    frame = frames_of(path)[0]
    if frame.format.is_rgb:
        return np.asarray(frame.reformat(format="rgb24").to_ndarray())
    matrix = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020"}[int(frame.colorspace)]
    span = "pc" if int(frame.color_range) == 2 else "tv"
    arguments = f"flags={EXACT}:in_color_matrix={matrix}:in_range={span}:in_chroma_loc=left"
    (found,) = Chain(frame, (("scale", f"{arguments}:out_range=pc"), ("format", "rgb24"))).push(
        frame
    )
    return np.asarray(found.to_ndarray())


def place_of_edge(row: NDArray[Any], channel: int) -> float:
    """Where a row crosses the middle between its two colours, in pixels."""
    values = row[:, channel].astype(float)
    middle = (values[20] + values[-20]) / 2
    sign = np.sign(values[-20] - values[20])
    after = int(np.flatnonzero(sign * (values - middle) > 0)[0])
    before, next_ = values[after - 1], values[after]
    return float(after - 1 + (middle - before) / (next_ - before))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("name", WAYS)
def test_edges_and_areas(tmp_path: Path, name: str, codec: str) -> None:
    """Areas within a level of the enlarged still, edges within a quarter of a pixel of the result,
    in every channel.
    """
    suffix, recipe = WAYS[name]
    given = make(tmp_path / f"given.{suffix}", recipe)
    plain = plain_frame(given)
    still = enlarge.upscale(plain, scale=2, model="fast")
    if still.dtype == np.uint16:
        still = np.rint(still / 257).astype(np.uint8)
    made = tmp_path / "made.mkv"
    enlarge.upscale_video(given, made, scale=2, model="fast", codec=codec, crf=4)
    found = shown(made)
    for column in (20, 60, 110, 170):
        area = found[30:90, column - 8 : column + 8].reshape(-1, 3).mean(0)
        wanted = still[30:90, column - 8 : column + 8].reshape(-1, 3).mean(0)
        assert np.abs(area - wanted).max() <= 1, (column, area, wanted)
    for channel in (0, 1):
        there = place_of_edge(found[64], channel)
        wanted_place = place_of_edge(still[64], channel)
        assert abs(there - wanted_place) <= 0.25, (channel, there, wanted_place)


@pytest.mark.parametrize("name", ["untagged", "bt709", "full", "mjpeg", "mpeg2", "high", "wide"])
def test_a_frame_has_the_colours_that_were_coded(tmp_path: Path, name: str) -> None:
    suffix, recipe = WAYS[name]
    plain = plain_frame(make(tmp_path / f"given.{suffix}", recipe)).astype(float)
    if plain.max() > 255:
        plain /= 257
    wanted = edges(0, 96, 64)
    for column in (10, 80):
        assert np.abs(plain[10:50, column] - wanted[10:50, column]).max() <= 1.6
    for channel in (0, 1):
        place = place_of_edge(plain[32], channel)
        assert abs(place - (AT - 0.5)) <= 0.3, (channel, place)


def test_what_was_assumed_is_tagged(tmp_path: Path) -> None:
    given = make(tmp_path / "given.mp4", Recipe())
    done = enlarge.upscale_video(given, tmp_path / "made.mp4", scale=2)
    assert any("the limited range, matrix BT.601 (525 lines)" in note for note in done.notes)
    frame = frames_of(tmp_path / "made.mp4")[0]
    tags = frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range
    assert tuple(map(int, tags)) == (6, 6, 6, 1)


@pytest.mark.parametrize(
    ("lines", "matrix"), [(480, SMPTE170M), (576, BT470BG), (719, SMPTE170M), (720, BT709)]
)
def test_the_matrix_of_untagged_streams(lines: int, matrix: int) -> None:
    found = complete_colour(ColourCode(2, 2, 2, False), lines, is_rgb=False)
    assert found.matrix == matrix
    assert len(found.assumed) == 1
    assert complete_colour(ColourCode(2, 9, 16, False), lines, is_rgb=False).matrix == 9
    assert not complete_colour(ColourCode(1, 1, 1, False), lines, is_rgb=False).assumed


def test_the_matrices_are_those_of_h273() -> None:
    """KR and KB by the chromaticities: BT.709 of its primaries, BT.601 of NTSC's of 1953."""
    for matrix, (red, blue) in RED_AND_BLUE.items():
        green = 1 - red - blue
        assert 0.5 < green < 0.75, matrix
    assert RED_AND_BLUE[BT709] == (0.2126, 0.0722)
    assert RED_AND_BLUE[SMPTE170M] == RED_AND_BLUE[BT470BG] == (0.299, 0.114)
    assert RED_AND_BLUE[9] == (0.2627, 0.0593)


HDR = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


@pytest.mark.parametrize(("codec", "suffix"), [("hevc", ".mkv"), ("h264", ".mp4"), ("av1", ".mkv")])
def test_static_metadata_of_hdr10_is_kept(tmp_path: Path, codec: str, suffix: str) -> None:
    params = f"log-level=none:hdr10=1:master-display={HDR}:max-cll=1000,400:repeat-headers=1"
    recipe = Recipe(
        "libx265",
        "yuv420p10le",
        {"crf": "4", "preset": "ultrafast", "x265-params": params},
        tags=(9, 9, 16),
        full_range=False,
    )
    given = make(tmp_path / "given.mkv", recipe)
    before = probe(given)
    assert before.light.content == (1000, 400)
    assert before.light.mastering is not None
    assert before.light.mastering[-2:] == (10_000_000, 1)
    made = tmp_path / f"made{suffix}"
    enlarge.upscale_video(given, made, scale=2, codec=codec)
    after = probe(made)
    assert (after.depth, after.colour.matrix, after.colour.transfer) == (10, 9, 16)
    assert after.light.content == before.light.content
    assert after.light.mastering is not None
    assert np.allclose(after.light.mastering, before.light.mastering, rtol=1e-3, atol=2)
