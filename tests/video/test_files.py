"""A video becomes a video: frames, times, colours, and everything else that the file holds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import enlarge
from tests.video.material import Recipe, frames_of, make, payloads, scene, times_of, turn

av = pytest.importorskip("av")

HDR = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
X265 = f"log-level=none:hdr10=1:master-display={HDR}:max-cll=1000,400:repeat-headers=1"
IRREGULAR = (0, 3000, 9000, 9100, 24000, 30010)
RECIPES: dict[str, tuple[str, Recipe]] = {
    "variable": ("mp4", Recipe(base=Fraction(1, 90000), times=IRREGULAR, audio=1)),
    "hdr": (
        "mkv",
        Recipe(
            codec="libx265",
            pixels="yuv420p10le",
            options={"crf": "4", "preset": "ultrafast", "x265-params": X265},
            tags=(9, 9, 16),
            full_range=False,
        ),
    ),
    "interlaced": (
        "mpg",
        Recipe(
            codec="mpeg2video",
            options={"flags": "+ildct+ilme", "b": "4M", "maxrate": "6M", "bufsize": "2M"},
            fields=True,
        ),
    ),
    "anamorphic": ("mp4", Recipe(aspect=Fraction(16, 15))),
    "mjpeg": ("avi", Recipe(codec="mjpeg", pixels="yuvj422p", options={"q": "2"})),
    "odd": ("mkv", Recipe(codec="ffv1", options={}, size=(95, 63))),
    "wide_chroma": ("mkv", Recipe(codec="ffv1", pixels="yuv422p10le", options={})),
    "untagged": ("mp4", Recipe(audio=1)),
    "tagged": ("mkv", Recipe(tags=(1, 1, 1), full_range=False, audio=1, subtitles=True)),
    "full_range": ("mp4", Recipe(tags=(1, 1, 1), full_range=True)),
    "single": ("mp4", Recipe(times=(0,))),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("videos")
    for name, (suffix, recipe) in RECIPES.items():
        make(place / f"{name}.{suffix}", recipe)
    return place


def source(folder: Path, name: str) -> Path:
    return folder / f"{name}.{RECIPES[name][0]}"


@pytest.mark.parametrize("name", RECIPES)
def test_frames_and_their_times_stay(folder: Path, tmp_path: Path, name: str) -> None:
    given, made = source(folder, name), tmp_path / "made.mkv"
    done = enlarge.upscale_video(given, made, model="fast", scale=2)
    before, after = times_of(given), times_of(made)
    assert len(after) == len(before) == done.frames == len(RECIPES[name][1].times)
    # Matroska holds no negative times, as those before a sound's first sample: with FFmpeg 8, all
    # begin later.
    shift = before[0] - after[0]
    late = Fraction(-21, 1000) if RECIPES[name][1].audio and given.suffix == ".mp4" else 0
    assert shift in (0, late)
    assert max(abs(a + shift - b) for a, b in zip(after, before, strict=True)) <= Fraction(1, 2000)
    assert done.broken is None


@pytest.mark.parametrize("name", ["variable", "untagged", "anamorphic", "single"])
def test_mp4_keeps_times_exactly(folder: Path, tmp_path: Path, name: str) -> None:
    made = tmp_path / "made.mp4"
    enlarge.upscale_video(source(folder, name), made, model="fast", scale=2)
    assert times_of(made) == times_of(source(folder, name))


@pytest.mark.parametrize("name", ["tagged", "odd", "wide_chroma", "hdr", "full_range", "untagged"])
def test_a_frame_is_what_it_would_be_as_a_picture(folder: Path, tmp_path: Path, name: str) -> None:
    """Through FFV1, which loses nothing of 8 bits, and of more only what is beyond 10."""
    given, made = source(folder, name), tmp_path / "made.mkv"
    enlarge.upscale_video(given, made, model="fast", codec="ffv1")
    stored = frames_of(made)
    model = enlarge.open_model("fast")
    for number, frame in enumerate(plain_frames(given)):
        wanted = model.upscale(frame)
        kept = stored[number]
        if frame.dtype == np.uint8:
            found = kept.reformat(format="rgb24").to_ndarray()
            assert np.array_equal(found, wanted)
        else:
            found = np.stack([plane_of(kept, place) for place in (2, 0, 1)], axis=2)
            assert np.abs(found - wanted * (1023 / 65535)).max() <= 0.5001
        if number == 1:
            break
    assert len(stored) == len(RECIPES[name][1].times)


def plain_frames(path: Path) -> list[Any]:
    """The frames of a video as the reader gives them."""
    from enlarge.video.probing import probe
    from enlarge.video.reading import Excerpt, FrameReader

    with FrameReader(path, probe(path), Excerpt()) as reader:
        return [frame.pixels for frame in reader.frames()]


def plane_of(frame: Any, number: int) -> Any:
    plane = frame.planes[number]
    raw = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return raw[:, : plane.width * 2].view("<u2").astype(float)


@pytest.mark.parametrize("name", ["tagged", "full_range", "untagged", "anamorphic"])
def test_colours_are_read_as_they_were_meant(folder: Path, name: str) -> None:
    """In the middle of each block, the colours of the scene within what coding at crf 4 loses."""
    frame = plain_frames(source(folder, name))[0].astype(int)
    wanted = scene(0).astype(int)
    for row, column in ((8, 30), (56, 10), (50, 80), (10, 85)):
        assert np.abs(frame[row, column] - wanted[row, column]).max() <= 3, (row, column)


@pytest.mark.parametrize("name", ["tagged", "untagged"])
def test_other_streams_are_copied_byte_for_byte(folder: Path, tmp_path: Path, name: str) -> None:
    given = source(folder, name)
    made = tmp_path / f"made{given.suffix}"
    enlarge.upscale_video(given, made, model="fast", scale=2)
    before, after = payloads(given), payloads(made)
    assert before
    assert {key: [data for _, data in value] for key, value in after.items()} == {
        key: [data for _, data in value] for key, value in before.items()
    }
    for key, packets in before.items():
        shift = before[key][0][0] - after[key][0][0]
        assert abs(shift) <= Fraction(1, 2000) + Fraction(1024, 48000) * (given.suffix == ".mkv")
        for (one, _), (other, _) in zip(packets, after[key], strict=True):
            assert abs(one - other - shift) <= Fraction(1, 1000)


def test_a_turned_video_is_upright(tmp_path: Path) -> None:
    given = turn(make(tmp_path / "phone.mp4", Recipe()), 90)
    with av.open(str(given)) as file:
        angle = next(file.decode(file.streams.video[0])).rotation
    frame = plain_frames(given)[0].astype(int)
    assert frame.shape == (96, 64, 3)
    assert angle in (90, -90)
    wanted = np.rot90(scene(0), angle // 90).astype(int)
    for row, column in ((20, 10), (20, 55), (80, 10), (80, 55)):
        assert np.abs(frame[row, column] - wanted[row, column]).max() <= 3
