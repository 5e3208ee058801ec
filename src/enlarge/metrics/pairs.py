"""Data sets for evaluation: originals and their low-resolution pictures.

A data set is SET/x4 with HR/NAME.png and LR/NAME.png (or SET, with a scale); DIV2K's folders
(NAME_HR beside NAME_LR_bicubic/X4/0801x4.png); a csv with the columns LR,HR, paths relative to it;
or originals alone (a folder, or a csv with HR only) with a scale. For these, LR pictures are made
by MATLAB's bicubic.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from enlarge.data.pairs import PairFiles, match_folders, pictures_in, read_csv
from enlarge.errors import DataError, InputError
from enlarge.media.reading import open_picture
from enlarge.media.resample import imresize
from enlarge.metrics.pictures import read_pixels


@dataclass(frozen=True)
class DataSet:
    """Pairs whose originals are all `factor` times as large."""

    name: str
    pairs: tuple[PairFiles, ...]
    factor: int


class PairPixels(NamedTuple):
    """The pixels of a pair, (H, W, 3), `high` cropped to the factor times `low`; and a digest."""

    low: NDArray[Any]
    high: NDArray[Any]
    digest: str


def find_set(path: str | Path, scale: int | None = None, *, modcrop: bool = False) -> DataSet:
    """The pairs at `path`, with their sizes checked.

    `scale`: which LR pictures to use if there are several, or the factor of those to be made.
    Raises `DataError` naming what is missing, or the sizes that do not fit (with `modcrop`,
    originals are cropped instead).
    """
    path = Path(path)
    if path.suffix.lower() == ".csv":
        name, pairs = _label(path.resolve().with_suffix("")), _from_csv(path)
    elif path.is_dir():
        name, pairs = _from_folder(path, scale)
    elif path.exists():
        raise DataError(f"{path}: expected a folder or a csv of pairs; this is neither")
    else:
        raise DataError(f"{path}: no such folder or csv")
    if not pairs:
        raise DataError(f"no pictures in {path}")
    factor = _factor(path, pairs, scale, modcrop)
    return DataSet(name, tuple(_with_unique_names(pairs)), factor)


def originals(name: str, paths: Sequence[Path], scale: int) -> DataSet:
    """A data set of originals alone; LR pictures are made by MATLAB's bicubic."""
    return DataSet(name, tuple(PairFiles(path.stem, None, path) for path in paths), scale)


def read_pair(pair: PairFiles, factor: int) -> PairPixels:
    """Read a pair. Raises `InputError`, or `DataError` if a file cannot be opened."""
    content = _content(pair.high)
    digest = hashlib.sha256(content)
    high = read_pixels(content, str(pair.high))
    if pair.low is None:
        height, width = (side // factor for side in high.shape[:2])
        high = high[: height * factor, : width * factor]
        low = imresize(high, height, width)
        digest.update(b"bicubic")
    else:
        content = _content(pair.low)
        digest.update(content)
        low = read_pixels(content, str(pair.low))
        height, width = (
            min(h // factor, n) for h, n in zip(high.shape, low.shape[:2], strict=False)
        )
        high = high[: height * factor, : width * factor]
    return PairPixels(low, high, digest.hexdigest())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _label(path: Path) -> str:
    """The last two parts of a path: the name of a set, which is also a relative path."""
    return "/".join(part for part in (path.parent.name, path.name) if part)


def _from_csv(path: Path) -> list[PairFiles]:
    pairs = []
    for line, low, high in read_csv(path):
        if not high or "\0" in low + high:
            raise DataError(f"{path}: row {line} names no HR picture, got LR {low!r}, HR {high!r}")
        files = [path.parent / name for name in (low, high) if name]
        pairs.append(PairFiles(files[0].stem, files[0] if low else None, files[-1]))
    return pairs


def _with_unique_names(pairs: Sequence[PairFiles]) -> list[PairFiles]:
    """The pairs with unique names.

    If stems are equal, the names are the originals' paths below their common folder, if necessary
    with extensions or numbers.
    """
    paths = [pair.high.resolve() for pair in pairs]
    root = Path(os.path.commonpath([path.parent for path in paths]))
    whole = [path.relative_to(root).as_posix() for path in paths]
    numbered = [f"{name}-{number}" for number, name in enumerate(whole, 1)]
    bare = [path.relative_to(root).with_suffix("").as_posix() for path in paths]
    wishes = ([pair.name for pair in pairs], bare, whole, numbered)
    names = next(names for names in wishes if len(set(names)) == len(names))
    return [replace(pair, name=name) for pair, name in zip(pairs, names, strict=True)]


def _from_folder(folder: Path, scale: int | None) -> tuple[str, list[PairFiles]]:
    here = folder.resolve()
    inside = {p.name.lower(): p for p in folder.iterdir() if p.is_dir()}
    if "hr" in inside and "lr" in inside:
        return _label(here), _matched(inside["hr"], inside["lr"])
    scales = {key[1:]: p for key, p in inside.items() if _is_factor(key, p)}
    if scales:
        chosen = _chosen(folder, scales, scale)
        return _from_folder(chosen, None)
    if here.name.endswith("HR"):
        lows = {
            p.name[1:]: p
            for p in here.parent.glob(f"{here.name[:-2]}LR_bicubic/X*")
            if p.is_dir() and p.name[1:].isdigit()
        }
        if lows:
            low = _chosen(folder, lows, scale)
            return f"{here.name}/{low.name.lower()}", _matched(folder, low)
    if high := [p for key, p in inside.items() if key.endswith("_hr")]:
        if len(high) > 1:
            names = ", ".join(sorted(p.name for p in high))
            raise DataError(f"{folder} holds several sets; name one of its folders: {names}")
        return _from_folder(high[0], scale)
    label = f"{here.name}/x{scale}" if scale else here.name
    return label, [PairFiles(p.stem, None, p) for p in pictures_in(folder)]


def _is_factor(name: str, folder: Path) -> bool:
    """Whether a folder has the pairs of a factor: x4/HR and x4/LR. (`--save` writes x4/METHOD.)"""
    inside = {p.name.lower() for p in folder.iterdir() if p.is_dir()}
    return name[:1] == "x" and name[1:].isdigit() and {"hr", "lr"} <= inside


def _chosen(folder: Path, scales: dict[str, Path], scale: int | None) -> Path:
    if scale is None and len(scales) == 1:
        return next(iter(scales.values()))
    if str(scale) not in scales:
        there = ", ".join(sorted(scales))
        wish = f"no pictures for --scale {scale}" if scale else "pictures for several scales"
        raise DataError(f"{folder} has {wish}; choose with --scale: {there}")
    return scales[str(scale)]


def _matched(highs: Path, lows: Path) -> list[PairFiles]:
    """The pairs of two folders. Raises `DataError` if an original has no LR picture."""
    found = match_folders(lows, highs)
    if found.highs:
        raise DataError(
            f"{len(found.highs)} pictures of {highs} have no partner in {lows}, first "
            f"{found.highs[0].name}"
        )
    return list(found.pairs)


def _factor(path: Path, pairs: Sequence[PairFiles], scale: int | None, modcrop: bool) -> int:
    """The common factor of all pairs. Raises `DataError` naming those that do not fit."""
    if all(pair.low is None for pair in pairs):
        if scale is None:
            raise DataError(
                f"{path} has originals only; --scale N makes their low-resolution pictures"
            )
        small = [pair.high for pair in pairs if min(_size(pair.high)) < scale]
        if small:
            raise DataError(
                f"{len(small)} originals of {path} have a side of less than {scale} pixels, which "
                f"leaves nothing at 1/{scale}, first {small[0]}; remove them"
            )
        return scale
    factor, wrong, cropped = scale, [], False
    for pair in pairs:
        if pair.low is None:
            raise DataError(f"{path}: {pair.name} has no low-resolution picture, others have one")
        low, high = _size(pair.low), _size(pair.high)
        if max(low) > max(high):
            raise DataError(
                f"{path}: {pair.name}: the LR picture is {low[0]}×{low[1]}, the HR picture "
                f"{high[0]}×{high[1]}; LR and HR seem to be swapped"
            )
        factor = factor or max(1, round(high[0] / low[0]))
        fits = high == (low[0] * factor, low[1] * factor)
        near = all(abs(h - n * factor) < factor for h, n in zip(high, low, strict=True))
        if not fits and not (modcrop and near):
            cropped = cropped or near
            wrong.append(f"{pair.name}: LR {low[0]}×{low[1]}, HR {high[0]}×{high[1]}")
    assert factor is not None
    if wrong:
        advice = "; --modcrop crops originals that are a few pixels too large" if cropped else ""
        raise DataError(
            f"{path}: {len(wrong)} of {len(pairs)} pairs do not fit factor {factor}, "
            f"first {wrong[0]}{advice}"
        )
    return factor


def _size(path: Path) -> tuple[int, int]:
    try:
        with open_picture(path) as picture:
            return picture.facts.width, picture.facts.height
    except InputError as error:
        raise DataError(str(error)) from error
