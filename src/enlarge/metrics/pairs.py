"""Data sets to judge on: which low-resolution picture belongs to which original.

Understood: SET/x4 with HR/NAME.png and LR/NAME.png (or SET with a scale); DIV2K's own folders
(NAME_HR beside NAME_LR_bicubic/X4/0801x4.png); a csv with the columns LR,HR, paths relative to it;
and originals alone (a folder, or a csv with HR only) with a scale: their LR is then made by
MATLAB's bicubic.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from enlarge.errors import DataError, InputError
from enlarge.media.naming import PICTURES
from enlarge.media.reading import open_picture
from enlarge.media.resample import imresize
from enlarge.metrics.pictures import read_pixels


@dataclass(frozen=True)
class Pair:
    """An original and its low-resolution picture; `low` None: made by MATLAB's bicubic."""

    name: str
    high: Path
    low: Path | None = None


@dataclass(frozen=True)
class DataSet:
    """Pairs whose originals are all `factor` times as large."""

    name: str
    pairs: tuple[Pair, ...]
    factor: int


class Loaded(NamedTuple):
    """The pixels of a pair, (H, W, 3), `high` cropped to `factor` times `low`; and their digest."""

    low: NDArray[Any]
    high: NDArray[Any]
    digest: str


def find_set(path: str | Path, scale: int | None = None, *, modcrop: bool = False) -> DataSet:
    """The pairs at `path`, their sizes checked. `scale` chooses, or makes, the LR pictures.

    Raises `DataError` naming what is missing, or the sizes that do not fit (with `modcrop` the
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
    return DataSet(name, tuple(_told_apart(pairs)), factor)


def originals(name: str, paths: Sequence[Path], scale: int) -> DataSet:
    """A data set of originals alone: the LR pictures are MATLAB's bicubic."""
    return DataSet(name, tuple(Pair(path.stem, path) for path in paths), scale)


def load(pair: Pair, factor: int) -> Loaded:
    """The pixels of a pair. Raises `InputError`, or `DataError` where a file cannot be opened."""
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
    return Loaded(low, high, digest.hexdigest())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _label(path: Path) -> str:
    """The last two parts of a path: the name of a set, which is a relative path too."""
    return "/".join(part for part in (path.parent.name, path.name) if part)


def _from_csv(path: Path) -> list[Pair]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a csv ({error})") from error
    if not rows or "HR" not in rows[0]:
        found = ", ".join(map(str, rows[0])) if rows else "no rows"
        raise DataError(f"{path}: expected a csv with the columns LR,HR, got {found}")
    pairs = []
    for number, row in enumerate(rows, 2):
        names = [str(row.get(key) or "").strip() for key in ("HR", "LR")]
        if not names[0] or "\0" in "".join(names):
            raise DataError(f"{path}: row {number} names no HR picture, got {row}")
        high, low = (path.parent / name if name else None for name in names)
        assert high is not None
        pairs.append(Pair((low or high).stem, high, low))
    return pairs


def _told_apart(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs under names of their own: where stems are equal, by the originals' paths below
    their common folder, if need be with their suffixes or numbers.
    """
    paths = [pair.high.resolve() for pair in pairs]
    root = Path(os.path.commonpath([path.parent for path in paths]))
    whole = [path.relative_to(root).as_posix() for path in paths]
    numbered = [f"{name}-{number}" for number, name in enumerate(whole, 1)]
    bare = [path.relative_to(root).with_suffix("").as_posix() for path in paths]
    wishes = ([pair.name for pair in pairs], bare, whole, numbered)
    names = next(names for names in wishes if len(set(names)) == len(names))
    return [replace(pair, name=name) for pair, name in zip(pairs, names, strict=True)]


def _from_folder(folder: Path, scale: int | None) -> tuple[str, list[Pair]]:
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
    return label, [Pair(p.stem, p) for p in _pictures(folder)]


def _is_factor(name: str, folder: Path) -> bool:
    """Whether a folder holds a factor's pairs, x4/HR and x4/LR. (`--save` writes x4/METHOD.)"""
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


def _pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, by name, without the forks that macOS puts beside files."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURES and path.is_file() and not path.name.startswith("._")
    )


def _matched(highs: Path, lows: Path) -> list[Pair]:
    """Pairs by name, if need be without its ending; DIV2K's LR pictures carry their factor behind
    it (0801x4).
    """
    whole = {path.name: path for path in _pictures(lows)}
    by_stem: dict[str, list[Path]] = {}
    for path in whole.values():
        by_stem.setdefault(path.stem, []).append(path)
    mark = f"x{lows.name[1:]}" if lows.name[:1] in "xX" else ""
    pairs, missing = [], []
    for high in _pictures(highs):
        alike = by_stem.get(high.stem) or by_stem.get(high.stem + mark) or []
        low = whole.get(high.name) or next(iter(alike), None)
        if low is None:
            missing.append(high.name)
        elif low.name != high.name and len(alike) > 1:
            raise DataError(
                f"{high} could belong to {alike[0].name} or {alike[1].name} of {lows}; take one of "
                "them out"
            )
        else:
            pairs.append(Pair(high.stem, high, low))
    if missing:
        raise DataError(
            f"{len(missing)} pictures of {highs} have no partner in {lows}, first {missing[0]}"
        )
    return pairs


def _factor(path: Path, pairs: Sequence[Pair], scale: int | None, modcrop: bool) -> int:
    """The factor of all pairs; the offenders are named."""
    if all(pair.low is None for pair in pairs):
        if scale is None:
            raise DataError(
                f"{path} has originals only; --scale N makes their low-resolution pictures"
            )
        small = [pair.high for pair in pairs if min(_size(pair.high)) < scale]
        if small:
            raise DataError(
                f"{len(small)} originals of {path} have a side of less than {scale} pixels, which "
                f"leaves nothing at 1/{scale}, first {small[0]}; take them out"
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
        advice = "; --modcrop crops what a few pixels are too many" if cropped else ""
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
