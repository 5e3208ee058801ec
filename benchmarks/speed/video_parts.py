"""A video's pace against that of its parts, its memory, and tiles that do not change."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from enlarge.picture.hooks import Hooks
from enlarge.picture.resuming import Transfer
from enlarge.picture.run import NO_HOOKS
from enlarge.picture.timings import Timings
from enlarge.settings import Settings
from enlarge.upscaler import Upscaler, open_model
from enlarge.video.encoding import SegmentEncoder
from enlarge.video.enlarging import FrameEnlarger
from enlarge.video.outlook import forecast_video
from enlarge.video.reading import FrameReader
from enlarge.video.run import enlarge_video

Pixels = NDArray[np.uint8]
Scene = Callable[[int], Pixels]
"""The frame of a number: (H, W, 3), RGB."""
PHOTO = Path(__file__).parents[2] / "samples" / "photo.jpg"
RATE = 25


def photo(width: int, height: int) -> Pixels:
    """The photograph, at least that large."""
    with Image.open(PHOTO) as image:
        rgb = image.convert("RGB")
        factor = max(1.0, width / rgb.width, height / rgb.height)
        size = round(rgb.width * factor), round(rgb.height * factor)
        return np.asarray(rgb.resize(size, Image.Resampling.BICUBIC))


def pan(width: int, height: int) -> Scene:
    """The camera moves along the photograph, to and fro, and every pixel changes."""
    whole = photo(width + 100, height + 40)
    across, down = whole.shape[1] - width, whole.shape[0] - height

    def frame(number: int) -> Pixels:
        x, y = _to_and_fro(2 * number, across), _to_and_fro(number, down)
        return np.ascontiguousarray(whole[y : y + height, x : x + width])

    return frame


def _to_and_fro(value: int, most: int) -> int:
    return most - abs(value % (2 * most) - most)


def fixed(width: int, height: int, noise: float) -> Scene:
    """A fixed camera; a bright block moves in a corner. `noise`: the sensor's σ, in levels."""
    whole = photo(width, height)[:height, :width]

    def frame(number: int) -> Pixels:
        image = whole.astype(np.float32)
        x = _to_and_fro(3 * number, width // 5)
        image[-80:-20, x : x + 40] = (220, 210, 90)
        random = np.random.default_rng(number)
        image += random.normal(0, noise, image.shape) if noise else 0
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)

    return frame


def film(path: Path, scene: Scene, count: int, options: dict[str, str]) -> Path:
    """Write a video of H.264 with these options of x264, and without sound."""
    import av

    height, width, _ = scene(0).shape
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(scene(number), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def _spent(do: Callable[[], Any]) -> float:
    """Seconds of processor time that something takes, in all threads."""
    begun = time.process_time()
    do()
    return time.process_time() - begun


def pace(folder: Path, trial: bool) -> dict[str, Any]:
    """Seconds a frame of a whole video, and core-seconds a frame of its parts."""
    count, warm = (6, 2) if trial else (72, 4)
    source = film(folder / "pan.mp4", pan(640, 360), count, {"crf": "23"})
    settings, model = Settings(model="fast", resume=False), open_model("fast")
    first = Settings(model="fast", resume=False, end=Fraction(warm, RATE))
    enlarge_video(Transfer(source, folder / "warm.mp4"), first, model)
    done = enlarge_video(Transfer(source, folder / "whole.mp4"), settings, model)
    outlook = forecast_video(source, settings, model)
    given: list[NDArray[Any]] = []
    large: list[NDArray[Any]] = []

    def decode() -> None:
        with FrameReader(source, outlook.facts, outlook.part) as reader:
            given.extend(frame.pixels for frame in reader.frames())

    enlarger = FrameEnlarger(outlook.frame, timings=Timings())
    enlarger(np.zeros((360, 640, 3), np.uint8), NO_HOOKS, count)  # compiles

    def encode() -> None:
        encoder = SegmentEncoder(outlook.encoding)
        for image in large:
            encoder.add(image)
        encoder.finish()

    seconds = {"decoder and conversion to RGB": _spent(decode)}
    network = coding = 0.0
    step = outlook.segment_frames
    for at in range(0, count, step):
        batch = given[at : at + step]
        network += _spent(
            lambda batch=batch: large.extend(  # type: ignore[misc]
                enlarger(image, NO_HOOKS, count) for image in batch
            )
        )
        coding += _spent(encode)
        large.clear()
    seconds |= {"network, with its tiles": network, "conversion and encoder": coding}
    cores = len(os.sched_getaffinity(0))
    ideal, wall = sum(seconds.values()) / count / cores, done.seconds / count
    parts = {name: value / count for name, value in seconds.items()}
    return {
        "frames": count, "cores": cores, "parts": parts, "ideal": ideal, "wall": wall,
        "ratio": wall / ideal, "stages": done.stages,
    }  # fmt: skip


def _peak(source: Path, target: Path) -> float:
    """The peak of a whole command in megabytes."""
    line = [sys.executable, "-m", "enlarge", str(source), "-o", str(target), "--model", "fast"]
    ran = subprocess.run([*line, "--json", "--no-resume"], capture_output=True, check=True)
    (made,) = json.loads(ran.stdout)["results"]
    return float(made["peak_memory"]) / 1e6


def memory(folder: Path, trial: bool) -> dict[str, Any]:
    """Peaks in megabytes, of few and many frames (medians, in turn), and of large ones."""
    few, many, large, times = (5, 20, 4, 1) if trial else (200, 2000, 40, 3)
    small, tries = pan(128, 96), {few: list[float](), many: list[float]()}
    for count in tries:
        film(folder / f"{count}.mp4", small, count, {"crf": "23"})
    for number in range(times):
        for count, found in tries.items():
            target = folder / f"{count}_{number}.mp4"
            found.append(_peak(folder / f"{count}.mp4", target))
    peaks = {count: statistics.median(found) for count, found in tries.items()}
    source = film(folder / "sd.mp4", pan(720, 576), large, {"crf": "23"})
    return {
        "few": {"frames": few, "megabytes": peaks[few]},
        "many": {"frames": many, "megabytes": peaks[many]},
        "tries": {str(count): found for count, found in tries.items()},
        "growth": peaks[many] / peaks[few] - 1,
        "large": {"frames": large, "megabytes": _peak(source, folder / "sd_large.mp4")},
    }


class _Forgetful(FrameEnlarger):
    """Compares nothing: every tile is computed."""

    def __call__(self, image: NDArray[Any], hooks: Hooks, frames: int) -> NDArray[Any]:
        for step in self._passes:
            step._given = step._made = None
        return super().__call__(image, hooks, frames)


def static(folder: Path, trial: bool) -> dict[str, Any]:
    """Tiles that did not change, and what comparing them costs and saves."""
    skipped, count = (2, 2) if trial else (25, 20)
    model = open_model("fast")
    found: dict[str, Any] = {"frames": count}
    for name, noise in (("clean", 0.0), ("noisy", 3.0)):
        options = {"b": "1M", "maxrate": "1M", "bufsize": "2M"}
        scene = fixed(720, 576, noise)
        source = film(folder / f"{name}.mp4", scene, skipped + count, options)
        found[name] = _compared(source, model, skipped)
    return found


def _compared(source: Path, model: Upscaler, skipped: int) -> dict[str, float]:
    """Every frame after the first ones, with and without comparing, in turn."""
    outlook = forecast_video(source, Settings(model="fast"), model)
    one = FrameEnlarger(outlook.frame, timings=Timings())
    other = _Forgetful(outlook.frame, timings=Timings())
    seconds: dict[str, list[float]] = {"comparing": [], "without": []}
    tiles = reused = 0
    before: NDArray[Any] | None = None
    for number, image in enumerate(_frames(source, outlook)):
        if number < skipped:
            before = image
            continue
        if before is not None:
            one(before, NO_HOOKS, 1)
            other(before, NO_HOOKS, 1)
            tiles, reused, before = one.tiles, one.reused, None
        order = (("comparing", one), ("without", other))
        made = []
        for name, enlarger in order if number % 2 else order[::-1]:
            begun = time.perf_counter()
            made.append(enlarger(image, NO_HOOKS, 1))
            seconds[name].append(time.perf_counter() - begun)
        if not np.array_equal(made[0], made[1]):
            raise SystemExit(f"frame {number} differs")
    share = (one.reused - reused) / (one.tiles - tiles)
    return {"share": share} | {name: float(np.mean(each)) for name, each in seconds.items()}


def _frames(source: Path, outlook: Any) -> Iterator[NDArray[Any]]:
    with FrameReader(source, outlook.facts, outlook.part) as reader:
        for frame in reader.frames():
            yield frame.pixels
