"""Photographed pairs: which files belong together, and whether they fit.

A source is a csv with the columns LR,HR (paths relative to the csv); a folder with HR/ and LR/; two
folders, matched by name; or a folder of pictures or a csv with HR alone, whose LR pictures are then
made. All pairs are checked before training, and every one that cannot be used is reported.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyvips

from enlarge.cores import usable_cores
from enlarge.data.photos import Pair, bicubic_pair, list_photos, read_rgb, upright_size
from enlarge.digests import file_digest
from enlarge.errors import DataError
from enlarge.media.libvips import explain
from enlarge.media.naming import PICTURES

Source = str | Path | Mapping[str, str]
"""A source of pairs: a csv, a folder, or {"lr": FOLDER, "hr": FOLDER}."""

Watch = Callable[[int, int], None]
"""Called with the number done, and the total."""


@dataclass(frozen=True)
class PairFiles:
    """The files of a pair. `low` None: LR is made from `high` by MATLAB's bicubic."""

    name: str
    low: Path | None
    high: Path


@dataclass(frozen=True)
class Offender:
    """A pair, or half of one, that cannot be used, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True)
class FoundPairs:
    """The pairs of a source, and the pictures without a partner."""

    pairs: tuple[PairFiles, ...]
    orphans: tuple[Offender, ...] = ()


def find_pairs(source: Source) -> FoundPairs:
    """The pairs of one source. Raises `DataError` if it is none, or is empty."""
    if isinstance(source, Mapping):
        if set(source) != {"lr", "hr"}:
            raise DataError(
                f"a source of two folders is written {{lr: FOLDER, hr: FOLDER}}, got {dict(source)}"
            )
        found = _from_folders(Path(source["lr"]), Path(source["hr"]))
    elif Path(source).suffix.lower() == ".csv":
        if not Path(source).exists():
            raise DataError(
                f"{source}: no such csv; name yours, data.pairs=CSV, or only pictures, "
                "data.photos=FOLDER 'data.pairs=[]'"
            )
        found = _from_csv(Path(source))
    elif Path(source).is_dir():
        inside = {p.name.lower(): p for p in Path(source).iterdir() if p.is_dir()}
        if "lr" in inside and "hr" in inside:
            found = _from_folders(inside["lr"], inside["hr"])
        else:
            photos = list_photos(Path(source), None)
            found = FoundPairs(tuple(PairFiles(p.stem, None, p) for p in photos))
    else:
        raise DataError(f"{source}: no such folder or csv")
    if not found.pairs and not found.orphans:
        raise DataError(f"{source}: no pictures; expected a csv with LR,HR or folders of pictures")
    return found


class CsvRow(NamedTuple):
    """A row of a csv of pairs: its line number, and the paths in it ("" where there is none)."""

    line: int
    low: str
    high: str


def read_csv(path: Path) -> list[CsvRow]:
    """The rows of a csv with the columns LR,HR or HR alone. Raises `DataError`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a csv ({error})") from error
    if not rows or "HR" not in rows[0]:
        found = ", ".join(map(str, rows[0])) if rows else "no rows"
        raise DataError(f"{path}: expected a csv with the columns LR,HR, got {found}")
    return [
        CsvRow(line, *(str(row.get(key) or "").strip() for key in ("LR", "HR")))
        for line, row in enumerate(rows, 2)
    ]


def _from_csv(path: Path) -> FoundPairs:
    pairs, orphans = [], []
    for line, low, high in read_csv(path):
        if not high:
            orphans.append(Offender(low or f"line {line}", f"line {line} of {path} names no HR"))
            continue
        name = Path(low or high).stem
        pairs.append(PairFiles(name, path.parent / low if low else None, path.parent / high))
    if any(pair.low for pair in pairs):
        orphans += [Offender(str(p.high), "has no LR in the csv") for p in pairs if p.low is None]
        pairs = [pair for pair in pairs if pair.low]
    return FoundPairs(tuple(pairs), tuple(orphans))


class MatchedFolders(NamedTuple):
    """The pictures of two folders: pairs, and those without a partner."""

    pairs: tuple[PairFiles, ...]
    lows: tuple[Path, ...]
    highs: tuple[Path, ...]


def match_folders(lows: Path, highs: Path) -> MatchedFolders:
    """Match the pictures of two folders by name, or by name without its extension.

    In DIV2K's folders (X4) the names of LR pictures end in their factor (0801x4). Raises
    `DataError` if an HR picture could belong to several LR pictures, or a folder is missing.
    """
    by_name = {path.name: path for path in pictures_in(lows)}
    by_stem: dict[str, list[Path]] = {}
    for path in by_name.values():
        by_stem.setdefault(path.stem, []).append(path)
    factor = f"x{lows.name[1:]}" if lows.name[:1] in "xX" else ""
    pairs, alone = [], []
    for high in pictures_in(highs):
        alike = by_stem.get(high.stem) or by_stem.get(high.stem + factor) or []
        low = by_name.get(high.name) or next(iter(alike), None)
        if low is None:
            alone.append(high)
        elif low.name != high.name and len(alike) > 1:
            raise DataError(
                f"{high} could belong to {alike[0].name} or {alike[1].name} of {lows}; take one of "
                "them out"
            )
        else:
            pairs.append(PairFiles(high.stem, low, high))
    used = {pair.low for pair in pairs}
    rest = tuple(path for path in by_name.values() if path not in used)
    return MatchedFolders(tuple(pairs), rest, tuple(alone))


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder by name, without macOS' resource forks. Raises `DataError`."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURES and path.is_file() and not path.name.startswith("._")
    )


def _from_folders(lows: Path, highs: Path) -> FoundPairs:
    pairs, low, high = match_folders(lows, highs)
    orphans = [Offender(str(path), f"has no HR in {highs}") for path in low]
    orphans += [Offender(str(path), f"has no LR in {lows}") for path in high]
    # By name: runs and stores that are resumed depend on the order.
    return FoundPairs(tuple(sorted(pairs, key=lambda pair: pair.name)), tuple(orphans))


def threads_for(count: int) -> int:
    """The number of pictures to decode at a time."""
    return max(1, min(count, usable_cores(), 16))


def check_pairs(
    pairs: Sequence[PairFiles], scale: int, *, least: int = 1, watch: Watch | None = None
) -> list[Offender]:
    """Every pair that cannot be used, in the order of the pairs. All are decoded, in parallel.

    `least`: the smallest LR side that can be used, in pixels (the side of a patch).
    """
    offenders: list[Offender] = []
    with ThreadPoolExecutor(threads_for(len(pairs))) as pool:
        results = pool.map(lambda pair: _check(pair, scale, least), pairs)
        for done, reason in enumerate(results, 1):
            if reason:
                offenders.append(Offender(pairs[done - 1].name, reason))
            if watch is not None:
                watch(done, len(pairs))
    return offenders


def _check(pair: PairFiles, scale: int, least: int) -> str:
    """Why a pair cannot be used; "" if it can."""
    try:
        high = _facts(pair.high, strict=pair.low is not None)
        low = _facts(pair.low, strict=True) if pair.low else (high[0] // scale, high[1] // scale)
    except DataError as error:
        return str(error)
    if pair.low and low[0] * low[1] > high[0] * high[1]:
        return f"LR {_size(low)} is larger than HR {_size(high)}: are they swapped?"
    if pair.low and (low[0] * scale, low[1] * scale) != high:
        factor = f"{high[0] / low[0]:.3g}×"
        if abs(high[0] / low[0] - high[1] / low[1]) > 0.01:
            factor = f"{high[0] / low[0]:.3g}× wide and {high[1] / low[1]:.3g}× high"
        wanted = _size((low[0] * scale, low[1] * scale))
        return (
            f"HR {_size(high)} is {factor} its LR {_size(low)}, expected exactly ×{scale}, {wanted}"
        )
    if min(low) < least:
        return f"LR {_size(low)} is smaller than a patch of {least}×{least}"
    return ""


def _facts(path: Path, *, strict: bool) -> tuple[int, int]:
    """Width and height, upright, after decoding every pixel. Raises `DataError`."""
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    try:
        image = pyvips.Image.new_from_file(str(path), access="sequential", fail_on="error")
        kind = f"{image.bands} channels of {image.format}"
        if strict and (image.bands != 3 or image.format != "uchar"):
            raise DataError(f"{path} is not 8-bit RGB: it has {kind}; convert it first")
        image.avg()
    except pyvips.Error as error:
        raise DataError(f"{path} cannot be read as a picture: {explain(error)}") from error
    return upright_size(image)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def refuse(offenders: Iterable[Offender], total: int) -> None:
    """Raise `DataError` with one line for every offender, if there are any."""
    found = list(offenders)
    if found:
        raise DataError(
            f"{len(found)} of {total} pairs cannot be used; repair them or leave them out:",
            [str(offender) for offender in found],
        )


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex. Raises `DataError` where it cannot be read."""
    try:
        return file_digest(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def load_pair(files: PairFiles, scale: int) -> Pair:
    """The pixels of a checked pair."""
    if files.low is None:
        return bicubic_pair(files.high, scale)
    return Pair(files.name, read_rgb(files.low), read_rgb(files.high))


def load_files(files: Sequence[PairFiles], scale: int) -> list[Pair]:
    """`load_pair` of every pair, in order, decoded in parallel."""
    with ThreadPoolExecutor(threads_for(len(files))) as pool:
        return list(pool.map(lambda each: load_pair(each, scale), files))


def split(count: int, shares: Sequence[float], seed: int) -> list[list[int]]:
    """The numbers 0 … `count` − 1, shuffled by the seed and split into the given shares.

    (0.6, 0.2, 0.2) of 1640 gives 984, 328 and 328. Each part is sorted. Raises `DataError` if the
    shares are negative or do not add up to 1.
    """
    if any(share < 0 for share in shares) or abs(sum(shares) - 1.0) > 1e-6:
        raise DataError(f"the shares of a split must add up to 1, got {list(shares)}")
    order = np.random.default_rng((seed, count)).permutation(count)
    ends = [round(count * float(end)) for end in np.cumsum(shares)]
    starts = [0, *ends[:-1]]
    return [sorted(order[a:b].tolist()) for a, b in zip(starts, ends, strict=True)]
