"""Photographs for training: high-resolution tiles in memory, with their low-resolution partners.

The low-resolution picture is made from the high-resolution one by MATLAB's bicubic `imresize`.
What a step samples is a function of the seed and the step alone, so a resumed run repeats itself.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips
from numpy.typing import NDArray

from enlarge.errors import DataError
from enlarge.media.resample import imresize

Pixels = NDArray[np.uint8]

MANIFEST = "MANIFEST.tsv"
_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True)
class Pair:
    """A low-resolution picture and its high-resolution partner, aligned: uint8 H×W×3 RGB."""

    name: str
    low: Pixels
    high: Pixels


def list_photos(folder: Path, parts: Sequence[str] | None) -> list[Path]:
    """The pictures of a folder; of those in its MANIFEST.tsv, only the named parts.

    With a manifest that has a `part` column, `parts` None means `free`. Raises `DataError` when
    nothing is left.
    """
    manifest = folder / MANIFEST
    if manifest.is_file():
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        wanted = set(parts or ["free"])
        found = [folder / row["file"] for row in rows if row.get("part", "free") in wanted]
    else:
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)
    if not found:
        raise DataError(
            f"no photographs in {folder}"
            + (f" whose part is one of {sorted(wanted)}" if manifest.is_file() else "")
            + "; give data.photos a folder of pictures (and data.parts names of its manifest)"
        )
    return found


def read_rgb(path: Path) -> Pixels:
    """A picture as uint8 H×W×3 sRGB; alpha is dropped. Raises `DataError` naming the file."""
    try:
        image = pyvips.Image.new_from_file(str(path), fail_on="error").colourspace("srgb")
        if image.hasalpha():
            image = image.flatten()
        pixels: Pixels = image.cast("uchar").numpy()
    except pyvips.Error as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from error
    return pixels


def crop_to_multiple(high: Pixels, factor: int) -> Pixels:
    """The picture without the last rows and columns that the factor does not divide."""
    height, width = (side - side % factor for side in high.shape[:2])
    return high[:height, :width]


def bicubic_pair(path: Path, scale: int) -> Pair:
    """The pair that the field trains on: HR as it is, LR by MATLAB's bicubic."""
    high = np.ascontiguousarray(crop_to_multiple(read_rgb(path), scale))
    height, width = high.shape[:2]
    return Pair(path.stem, imresize(high, height // scale, width // scale), high)


def load_pairs(paths: Sequence[Path], scale: int, threads: int = 2) -> list[Pair]:
    """`bicubic_pair` of every path, in order."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda path: bicubic_pair(path, scale), paths))


class Patches:
    """Random aligned crops, flipped and rotated; pictures are drawn in proportion to their area.

    The share `flat` of them is of one colour, a quarter of those black and a quarter white: no
    photograph shows pure white up to its corners, yet users' pictures do.
    """

    def __init__(
        self, pairs: Sequence[Pair], *, scale: int, patch: int, seed: int, flat: float = 0.0
    ) -> None:
        self.pairs = [p for p in pairs if min(p.low.shape[:2]) >= patch]
        if not self.pairs:
            raise DataError(f"no picture is at least {patch} low-resolution pixels a side")
        self.scale, self.patch, self.seed, self.flat = scale, patch, seed, flat
        areas = np.array([p.low.shape[0] * p.low.shape[1] for p in self.pairs], float)
        self.chances = areas / areas.sum()

    def batch(self, step: int, size: int) -> tuple[Pixels, Pixels]:
        """LR (size, p, p, 3) and HR (size, sp, sp, 3) of this step."""
        random = np.random.default_rng((self.seed, step))
        p, s = self.patch, self.scale
        low = np.empty((size, p, p, 3), np.uint8)
        high = np.empty((size, p * s, p * s, 3), np.uint8)
        for i, choice in enumerate(random.choice(len(self.pairs), size, p=self.chances)):
            pair = self.pairs[choice]
            y = int(random.integers(pair.low.shape[0] - p + 1))
            x = int(random.integers(pair.low.shape[1] - p + 1))
            turn = int(random.integers(8))
            low[i] = dihedral(pair.low[y : y + p, x : x + p], turn)
            high[i] = dihedral(pair.high[y * s : (y + p) * s, x * s : (x + p) * s], turn)
            if random.random() < self.flat:
                kinds = (np.zeros(3), np.full(3, 255), *random.integers(0, 256, (2, 3)))
                low[i] = high[i] = kinds[int(random.integers(4))]
        return low, high


def dihedral(pixels: Pixels, turn: int) -> Pixels:
    """One of the eight flips and rotations of a picture (`turn` 0 is the picture itself)."""
    if turn & 4:
        pixels = pixels[:, ::-1]
    return np.rot90(pixels, turn & 3)
