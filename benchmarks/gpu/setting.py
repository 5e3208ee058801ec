"""What the parts share: where they run, how they measure, and their pictures."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
import torch
from numpy.typing import NDArray

import enlarge
from enlarge.data.photos import list_photos, read_rgb
from enlarge.metrics.pictures import read_pixels
from enlarge.training.config import data_root
from enlarge.upscaler import Upscaler

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "photo.jpg"
CARRIED = ROOT / "runs" / "carried"
"""What `benchmarks.gpu.carry` packed for a machine that has nothing but this tree."""
MODELS = ("fast", "photo", "quality")
UINT8 = np.dtype(np.uint8)
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Run:
    """A run of the parts: on which device of torch, and whether it is a rehearsal with little of
    everything. `folder` is for its files.
    """

    device: str
    small: bool
    folder: Path

    @property
    def is_cuda(self) -> bool:
        """Whether this is a GPU of NVIDIA's."""
        return self.device.startswith("cuda")

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose speed is measured."""
        return ("fast",) if self.small else MODELS

    def upscaler(self, model: str, precision: str = "auto") -> Upscaler:
        """A model in torch on the device."""
        return enlarge.open_model(model, engine="torch", device=self.device, precision=precision)

    def synchronize(self) -> None:
        """Wait until the device has done what it was given."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def seconds(self, call: Callable[[], Any], *, least: float = 0.25, most: int = 40) -> float:
        """Median seconds of a call until the device has finished it, after two that warm up; it
        is repeated for `least` seconds, or `most` times.
        """
        found: list[float] = []
        for number in range(2 if self.small else most + 2):
            self.synchronize()
            begun = time.perf_counter()
            call()
            self.synchronize()
            if number >= (1 if self.small else 2):
                found.append(time.perf_counter() - begun)
            if sum(found) > least and len(found) > 2:
                break
        return statistics.median(found)

    @cached_property
    def photos(self) -> list[Path]:
        """Photographs of the `valid` part, from the data folder or carried here; or the sample."""
        if (CARRIED / "photos").is_dir():
            found = list_photos(CARRIED / "photos", None)
        elif Path(os.environ.get("ENLARGE_DATA", "../shared/data")).is_dir():
            found = list_photos(data_root() / "photos", ["valid"])
        else:
            found = [SAMPLE]
        return found[: 1 if self.small else 8]


def photograph(height: int, width: int, seed: int = 0) -> Pixels:
    """A part of the sample photograph, (height, width, 3), mirrored where that is too small."""
    sample = read_rgb(SAMPLE)
    random = np.random.default_rng(seed)
    down, across = (
        int(random.integers(0, max(there - wanted, 0) + 1))
        for there, wanted in zip(sample.shape, (height, width), strict=False)
    )
    part = sample[down : down + height, across : across + width]
    more = ((0, height - part.shape[0]), (0, width - part.shape[1]), (0, 0))
    return np.ascontiguousarray(np.pad(part, more, mode="symmetric"))


def make_pictures(folder: Path, number: int, *, most: int, seed: int) -> list[Path]:
    """Write that many photographs of mixed sizes up to `most`, JPEG and PNG in turns."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    made = []
    for at in range(number):
        height, width = (int(side) for side in random.integers(most // 8, most + 1, 2))
        made.append(folder / f"{at:03}.{('jpg', 'png')[at % 2]}")
        save(photograph(height, width, at), made[-1])
    return made


def save(pixels: Pixels, path: Path) -> None:
    """Write a picture in the format of its name."""
    pyvips.Image.new_from_array(pixels).write_to_file(str(path))


def command(run: Run, *arguments: str | Path) -> list[str]:
    """The command `enlarge` with `fast` on the device, for `subprocess`."""
    place = ("--model", "fast", "--engine", "torch", "--device", run.device)
    return [sys.executable, "-m", "enlarge", *map(str, arguments), *place]


def most_levels(first: Path, second: Path) -> int:
    """The largest difference of two pictures of 8 bits; 255 where one is missing or of another
    size.
    """
    if not (first.is_file() and second.is_file()):
        return 255
    one, other = read_pixels(first).astype(np.int16), read_pixels(second)
    return int(np.abs(one - other).max()) if one.shape == other.shape else 255


class Watch:
    """While it is open, asks nvidia-smi twice a second how busy the GPU is.

    Afterwards `busy` is the mean share of time, 0 to 1, in which the GPU computed, and `memory` the
    most that all processes held, in MB; None where nvidia-smi says nothing.
    """

    def __init__(self, run: Run) -> None:
        program = shutil.which("nvidia-smi") if run.is_cuda else None
        self._line = [program or "", "-i", run.device.partition(":")[2] or "0"]
        self._line += ["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
        self._said: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True) if program else None
        self.busy: float | None = None
        self.memory: float | None = None

    def _ask(self) -> None:
        while not self._over.wait(0.5):
            done = subprocess.run(self._line, capture_output=True, text=True, check=False)
            self._said += done.stdout.splitlines()

    def __enter__(self) -> Watch:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()
        self.busy, self.memory = usage(self._said)


def usage(lines: Sequence[str]) -> tuple[float | None, float | None]:
    """The mean share, 0 to 1, and the most memory in MB, of lines with percent and MiB."""
    pairs = [
        [float(value) for value in line.split(",")]
        for line in lines
        if re.fullmatch(r" *\d+ *, *\d+ *", line)
    ]
    if not pairs:
        return None, None
    return sum(share for share, _ in pairs) / len(pairs) / 100, max(m for _, m in pairs) * 1.048576
