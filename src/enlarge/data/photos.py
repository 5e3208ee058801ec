"""Photographs for training: high-resolution pictures, and LR made from them."""

from __future__ import annotations

import csv
import os
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
from enlarge.media.naming import is_named_as_result, is_output_folder
from enlarge.media.resample import imresize

Pixels = NDArray[np.uint8]

MANIFEST = "MANIFEST.tsv"
_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True)
class Pair:
    """A low-resolution picture and its high-resolution partner, aligned: uint8 H×W×3 RGB.

    With a `chain`, LR patches are made from `high` on the fly, and `low` has only the right shape.
    `taught`: what a teacher made of `low`, of the size of `high`.
    """

    name: str
    low: Pixels
    high: Pixels
    chain: Chain | None = None
    taught: Pixels | None = None


class Pairs(Sequence[Pair]):
    """A sequence of pairs that are made or read when they are used, by `at`."""

    @abstractmethod
    def at(self, index: int) -> Pair:
        """The pair at an index from 0 to the length − 1."""

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        if isinstance(index, slice):
            return [self.at(i) for i in range(*index.indices(len(self)))]
        return self.at(range(len(self))[index])


def list_photos(
    folder: Path, parts: Sequence[str] | None, *, without: Path | None = None
) -> list[Path]:
    """The pictures of a folder: by its MANIFEST.tsv, or all in it and in its subfolders.

    With a manifest: those whose `part` is one of `parts` (None: `free`). Without one, results of
    enlarge beside their inputs, and the folder `without`, are left out. Raises `DataError` if there
    are none, or if a folder holds low-resolution pictures, according to its name.
    """
    manifest = folder / MANIFEST
    if manifest.is_file():
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        wanted = set(parts or ["free"])
        found = [folder / row["file"] for row in rows if row.get("part", "free") in wanted]
    else:
        found = _scanned(folder, without)
    if not found:
        if not manifest.is_file():
            raise DataError(f"no photographs in {folder}; expected {', '.join(_SUFFIXES)}")
        there = ", ".join(sorted({row.get("part", "free") for row in rows}))
        raise DataError(
            f"no photographs in {folder} whose part is one of {sorted(wanted)}; its manifest has: "
            f"{there or 'nothing'}"
        )
    return found


def _scanned(folder: Path, without: Path | None) -> list[Path]:
    found = []
    for where, folders, names in os.walk(folder):
        here = Path(where)
        folders[:] = sorted(
            name
            for name in folders
            if not is_output_folder(here / name)
            and (without is None or (here / name).resolve() != without.resolve())
        )
        for name in folders:
            if name.lower() == "lr" or "_lr_" in f"{name.lower()}_":
                raise DataError(
                    f"{here / name} contains low-resolution pictures, to judge by its name; "
                    "name the folder of the originals, or give both to data.pairs"
                )
        for path in map(here.joinpath, sorted(names)):
            is_picture = path.suffix.lower() in _SUFFIXES and not path.name.startswith("._")
            if is_picture and not is_named_as_result(path):
                found.append(path)
    return sorted(found)


def find_pictures(source: Path, *, without: Path | None = None) -> list[Path]:
    """A picture, or those of a folder by `list_photos`. Raises `DataError`."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise DataError(f"{source}: no such picture or folder")
    return list_photos(source, None, without=without)


def read_rgb(path: Path) -> Pixels:
    """A picture as uint8 H×W×3 sRGB, upright, without alpha. Raises `DataError`."""
    try:
        image = pyvips.Image.new_from_file(str(path), fail_on="error").autorot()
        image = image.colourspace("srgb")
        if image.hasalpha():
            image = image.flatten()
        pixels: Pixels = image.cast("uchar").numpy()
    except pyvips.Error as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from error
    return pixels


def upright_size(image: pyvips.Image) -> tuple[int, int]:
    """Width and height of a picture after it is rotated according to its EXIF."""
    turned = image.get_typeof("orientation") and 5 <= image.get("orientation") <= 8
    return (image.height, image.width) if turned else (image.width, image.height)


def crop_to_multiple(high: Pixels, factor: int) -> Pixels:
    """The picture, cropped at the right and the bottom to multiples of the factor."""
    height, width = (side - side % factor for side in high.shape[:2])
    return high[:height, :width]


def to_degrade(name: str, high: Pixels, scale: int, chain: Chain) -> Pair:
    """The pair of a high-resolution picture whose low-resolution patches a chain makes."""
    sides = (high.shape[0] // scale, high.shape[1] // scale, 3)
    return Pair(name, np.broadcast_to(np.uint8(0), sides), high, chain)


def bicubic_pair(path: Path, scale: int) -> Pair:
    """The usual pair of the field: HR, and LR by MATLAB's bicubic."""
    high = np.ascontiguousarray(crop_to_multiple(read_rgb(path), scale))
    height, width = (side // scale for side in high.shape[:2])
    if not height or not width:  # less than a pixel: too small for any patch
        return Pair(path.stem, np.zeros((height, width, 3), np.uint8), high)
    return Pair(path.stem, imresize(high, height, width), high)


def chained_pair(path: Path, scale: int, chain: Chain) -> Pair:
    """The pair of a picture whose low-resolution patches a chain makes."""
    high = np.ascontiguousarray(crop_to_multiple(read_rgb(path), scale))
    return to_degrade(path.stem, high, scale, chain)
