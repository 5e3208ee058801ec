"""Interlaced videos: a frame stays a frame, and the comb goes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from enlarge.settings import Settings
from enlarge.upscaler import open_model
from enlarge.video.containers import Coding
from enlarge.video.encoding import LOOK_AHEAD_BYTES, plan_encoding
from enlarge.video.outlook import plan_video
from enlarge.video.probing import probe
from enlarge.video.reading import Excerpt, FrameReader
from tests.video.material import Recipe, make

av = pytest.importorskip("av")


def combed(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """A bar that moves eight pixels from one field to the next, over a plain ground."""
    image = np.full((height, width, 3), 90, np.uint8)
    for field in (0, 1):
        at = 6 + 8 * (2 * (number % 4) + field)
        image[field::2, at : at + 16] = 200
    return image


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = {"flags": "+ildct+ilme", "b": "6M", "maxrate": "9M", "bufsize": "3M"}
    recipe = Recipe("mpeg2video", "yuv420p", options, fields=True, picture=combed)
    return make(tmp_path_factory.mktemp("tape") / "tape.mpg", recipe)


def comb(frame: NDArray[Any]) -> float:
    """How much a row differs from the mean of its neighbours, the highest frequency there is."""
    luma = frame.astype(float).mean(2)
    return float(np.abs(luma[1:-1] - (luma[:-2] + luma[2:]) / 2).mean())


def frames(path: Path, deinterlace: str) -> list[NDArray[Any]]:
    with FrameReader(path, probe(path), Excerpt(deinterlace=deinterlace)) as reader:
        return [frame.pixels for frame in reader.frames()]


def test_the_comb_goes(tape: Path) -> None:
    assert probe(tape).is_interlaced
    before, after = frames(tape, "off"), frames(tape, "auto")
    assert len(before) == len(after) == 8
    assert comb(before[3]) > 10
    assert comb(after[3]) < comb(before[3]) / 4


def test_unmarked_frames_need_on(tmp_path: Path) -> None:
    recipe = Recipe("mpeg2video", "yuv420p", {"b": "6M"}, picture=combed)
    path = make(tmp_path / "tape.mpg", recipe)
    assert not probe(path).is_interlaced
    assert comb(frames(path, "auto")[3]) > 10
    assert comb(frames(path, "on")[3]) < 3


def test_a_part_has_the_frames_of_the_whole(tape: Path) -> None:
    """Also where it begins: the deinterlacer sees the frames before."""
    whole = frames(tape, "auto")
    with FrameReader(tape, probe(tape), Excerpt(start=Fraction(4, 25))) as reader:
        part = [frame.pixels for frame in reader.frames()]
    assert len(part) == 4
    assert all(np.array_equal(one, other) for one, other in zip(part, whole[4:], strict=True))


def test_memory_counts_what_the_encoder_looks_ahead_at(tape: Path) -> None:
    facts = probe(tape)
    coding = Coding("mp4", "h264", 18, "yuv420p")
    small = plan_encoding(facts, coding, (384, 256), (96, 64))
    large = plan_encoding(facts, coding, (3840, 2560), (96, 64))
    assert small.look_ahead == 40
    assert large.look_ahead < 20
    assert large.memory < 4 * LOOK_AHEAD_BYTES
    outlook = plan_video(facts, Settings(), open_model("fast"), source=".mpg", target=None)
    assert outlook.frame.buffers > outlook.encoding.memory
