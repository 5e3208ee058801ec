"""Photographs for training: high-resolution pictures in memory, with low-resolution partners.

The low-resolution picture is made from the high-resolution one by MATLAB's bicubic `imresize`.
"""

from __future__ import annotations

import csv
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import pyvips
from numpy.typing import NDArray

from enlarge.data.degradations import Chain
from enlarge.errors import DataError
from enlarge.media.resample import imresize

Pixels = NDArray[np.uint8]

MANIFEST = "MANIFEST.tsv"
_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True)
class Pair:
    """A low-resolution picture and its high-resolution partner, aligned: uint8 H×W×3 RGB.

    With a `chain` the low-resolution patches are made on the fly, and `low` is a shape only.
    """

    name: str
    low: Pixels
    high: Pixels
    chain: Chain | None = None


class Pairs(Sequence[Pair]):
    """Pairs that are made, or looked up, when they are asked for: by `at`."""

    @abstractmethod
    def at(self, index: int) -> Pair:
        """The pair of a number from 0 to the length."""

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        if isinstance(index, slice):
            return [self.at(i) for i in range(*index.indices(len(self)))]
        return self.at(range(len(self))[index])


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


def find_pictures(source: Path) -> list[Path]:
    """A picture, or all those of a folder by name, whatever a manifest says. Raises `DataError`."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise DataError(f"{source}: no such picture or folder")
    found = sorted(p for p in source.iterdir() if p.suffix.lower() in _SUFFIXES)
    if not found:
        raise DataError(f"{source} holds no pictures ({', '.join(_SUFFIXES)})")
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


def to_degrade(name: str, high: Pixels, scale: int, chain: Chain) -> Pair:
    """The pair of a high-resolution picture whose low-resolution patches a chain makes."""
    sides = (high.shape[0] // scale, high.shape[1] // scale, 3)
    return Pair(name, np.broadcast_to(np.uint8(0), sides), high, chain)


def bicubic_pair(path: Path, scale: int) -> Pair:
    """The pair that the field trains on: HR as it is, LR by MATLAB's bicubic."""
    high = np.ascontiguousarray(crop_to_multiple(read_rgb(path), scale))
    height, width = high.shape[:2]
    return Pair(path.stem, imresize(high, height // scale, width // scale), high)


def chained_pair(path: Path, scale: int, chain: Chain) -> Pair:
    """The pair of a picture whose low-resolution patches a chain makes."""
    high = np.ascontiguousarray(crop_to_multiple(read_rgb(path), scale))
    return to_degrade(path.stem, high, scale, chain)
