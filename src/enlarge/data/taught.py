"""What a teacher makes of training pictures, computed once: regions with LR, HR and its result.

    FOLDER/taught.json    {"format": 1, "scale": 4, "side": 96}
    FOLDER/low.bin, high.bin, taught.bin    uint8 RGB, one square region after the other

Of each region the teacher's result is written last, so a region exists once that is complete, and
an interrupted run goes on after the last one. One process at a time writes; it holds a lock on
taught.json.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from enlarge.data.pairs import Watch
from enlarge.data.patches import Patches
from enlarge.data.photos import Pair, Pairs, Pixels
from enlarge.errors import DataError
from enlarge.media.temporary import take_lock

HEAD, LOW, HIGH, TAUGHT = "taught.json", "low.bin", "high.bin", "taught.bin"
_FORMAT = 1
_WAIT = 1.0
"""Seconds between two looks at a lock that another process holds."""

Teach = Callable[[Pixels], Pixels]
"""LR (h, w, 3) uint8 → what the teacher makes of it, (scale·h, scale·w, 3) uint8."""


def make_taught(
    patches: Patches, folder: Path, regions: int, teach: Teach, *, watch: Watch | None = None
) -> TaughtPairs:
    """Write what is missing of `regions` regions, and open them.

    Region i is the first patch of batch i of `patches`, so its side and all else depends on their
    sampling alone. Raises `DataError` if the disk is too small, or the folder holds regions of
    another size.
    """
    side, scale = patches.patch, patches.scale
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / HEAD).open("a+b") as head:
        while not take_lock(head):  # of a run of several processes the first writes for all
            time.sleep(_WAIT)
        _check_head(folder, scale, side)
        found = _complete(folder, scale, side)
        _check_disk(folder, max(0, regions - found) * 3 * side * side * (1 + 2 * scale * scale))
        sizes = _sizes(scale, side)
        for name, size in sizes.items():
            (folder / name).touch()
            os.truncate(folder / name, found * size)
        with (
            (folder / LOW).open("ab") as lows,
            (folder / HIGH).open("ab") as highs,
            (folder / TAUGHT).open("ab") as results,
        ):
            for number in range(found, regions):
                low, high, _ = patches.batch(number, 1)
                for file, pixels in ((lows, low), (highs, high), (results, teach(low[0]))):
                    file.write(np.ascontiguousarray(pixels).data)
                    file.flush()
                if watch is not None:
                    watch(number + 1, regions)
    return TaughtPairs(folder, scale, side, regions)


def _sizes(scale: int, side: int) -> dict[str, int]:
    """Bytes of a region in each of the files."""
    low = 3 * side * side
    return {LOW: low, HIGH: low * scale * scale, TAUGHT: low * scale * scale}


def _complete(folder: Path, scale: int, side: int) -> int:
    """The number of complete regions."""
    sizes = _sizes(scale, side)
    lengths = [
        (folder / name).stat().st_size // size if (folder / name).exists() else 0
        for name, size in sizes.items()
    ]
    return min(lengths)


def _check_head(folder: Path, scale: int, side: int) -> None:
    """Write the head of a new folder; raise `DataError` if that of an old one differs."""
    head = {"format": _FORMAT, "scale": scale, "side": side}
    text = (folder / HEAD).read_text(encoding="utf-8")
    if not text:
        (folder / HEAD).write_text(json.dumps(head) + "\n", encoding="utf-8")
    elif text != json.dumps(head) + "\n":
        raise DataError(
            f"{folder / HEAD} says {text.strip()}, expected {json.dumps(head)}; delete {folder}"
        )


def _check_disk(folder: Path, need: int) -> None:
    free = shutil.disk_usage(folder).free
    if need > free:
        raise DataError(
            f"the teacher's results take {need:,} bytes, {folder} has {free:,} free; "
            "take fewer, teacher.regions"
        )


class TaughtPairs(Pairs):
    """The first `regions` regions of a folder, as views of the mapped files, each with what the
    teacher made of it. Copies in other processes map the files again.
    """

    def __init__(self, folder: Path, scale: int, side: int, regions: int) -> None:
        self.folder, self.scale, self.side, self.regions = folder, scale, side, regions
        self._map()

    def _map(self) -> None:
        low, high = self.side, self.side * self.scale
        self._files = [
            np.memmap(self.folder / name, np.uint8, "r", shape=(self.regions, side, side, 3))
            for name, side in ((LOW, low), (HIGH, high), (TAUGHT, high))
        ]

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key != "_files"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._map()

    def __len__(self) -> int:
        return self.regions

    def at(self, index: int) -> Pair:
        """One region."""
        low, high, taught = (np.asarray(file[index]) for file in self._files)
        return Pair(f"region {index}", low, high, taught=taught)
