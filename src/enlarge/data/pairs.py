"""Photographed pairs: which files belong together, and whether they fit, before anything trains.

Understood: a csv with the columns LR,HR (paths relative to the csv, as in the Dacon archive); a
folder with HR/ and LR/; two folders, matched by stem; a folder of pictures, or a csv with HR
alone, whose LR pictures are then made. All pairs are checked and every offender is named.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips

from enlarge.data.photos import Pair, bicubic_pair, list_photos, read_rgb, upright_size
from enlarge.digests import file_digest
from enlarge.errors import DataError
from enlarge.media.formats import FORMATS
from enlarge.media.libvips import explain

Source = str | Path | Mapping[str, str]
"""Where pairs lie: a csv, a folder, or {"lr": FOLDER, "hr": FOLDER}."""

Watch = Callable[[int, int], None]
"""Called with how many are done, of how many."""

_SUFFIXES = frozenset(
    [*(suffix for form in FORMATS.values() for suffix in form.suffixes), ".gif", ".bmp"]
)


@dataclass(frozen=True)
class PairFiles:
    """The files of a pair; `low` None: made from `high` by MATLAB's bicubic."""

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
class Found:
    """What a source holds: pairs, and pictures without a partner."""

    pairs: tuple[PairFiles, ...]
    orphans: tuple[Offender, ...] = ()


def find_pairs(source: Source) -> Found:
    """The pairs of one source. Raises `DataError` where it is not one, or empty."""
    if isinstance(source, Mapping):
        if set(source) != {"lr", "hr"}:
            raise DataError(
                f"a source of two folders is written {{lr: FOLDER, hr: FOLDER}}, got {dict(source)}"
            )
        found = _matched(Path(source["lr"]), Path(source["hr"]))
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
            found = _matched(inside["lr"], inside["hr"])
        else:
            photos = list_photos(Path(source), None)
            found = Found(tuple(PairFiles(p.stem, None, p) for p in photos))
    else:
        raise DataError(f"{source}: no such folder or csv")
    if not found.pairs and not found.orphans:
        raise DataError(f"{source}: no pictures; expected a csv with LR,HR or folders of pictures")
    return found


def _from_csv(path: Path) -> Found:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a csv ({error})") from error
    if not rows or "HR" not in rows[0]:
        got = ",".join(map(str, rows[0])) if rows else "no rows"
        raise DataError(f"{path}: expected a csv with the columns LR,HR, got {got}")
    pairs, orphans = [], []
    for line, row in enumerate(rows, 2):
        low, high = (row.get("LR") or "").strip(), (row["HR"] or "").strip()
        if not high:
            orphans.append(Offender(low or f"line {line}", f"line {line} of {path} names no HR"))
            continue
        name = Path(low or high).stem
        pairs.append(PairFiles(name, path.parent / low if low else None, path.parent / high))
    if any(pair.low for pair in pairs):
        orphans += [Offender(str(p.high), "has no LR in the csv") for p in pairs if p.low is None]
        pairs = [pair for pair in pairs if pair.low]
    return Found(tuple(pairs), tuple(orphans))


def _matched(lows: Path, highs: Path) -> Found:
    low, high = _by_stem(lows), _by_stem(highs)
    names = sorted(low.keys() & high.keys())
    orphans = [Offender(str(low[n]), f"has no HR in {highs}") for n in sorted(low.keys() - high)]
    orphans += [Offender(str(high[n]), f"has no LR in {lows}") for n in sorted(high.keys() - low)]
    return Found(tuple(PairFiles(n, low[n], high[n]) for n in names), tuple(orphans))


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in _SUFFIXES}


def threads_for(count: int) -> int:
    """How many pictures are decoded at a time."""
    return max(1, min(count, os.cpu_count() or 1, 16))


def check_pairs(
    pairs: Sequence[PairFiles], scale: int, *, least: int = 1, watch: Watch | None = None
) -> list[Offender]:
    """Every pair that cannot be used, decoded in full and in parallel; in the order of the pairs.

    `least`: the shortest LR side, in pixels, that is of use (the side of a patch).
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
    """What is wrong with a pair; nothing, mostly."""
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
    """Width and height, upright, once every pixel was decoded. Raises `DataError`."""
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
    """Raise `DataError` with one line for every offender; do nothing where there is none."""
    found = list(offenders)
    if found:
        lines = "".join(f"\n  {offender}" for offender in found)
        raise DataError(
            f"{len(found)} of {total} pairs cannot be used; mend or leave them out:{lines}"
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
    """The numbers 0 … `count` − 1, shuffled by the seed and dealt out in the given shares.

    (0.6, 0.2, 0.2) of 1640 gives 984, 328 and 328. Each part is sorted. Raises `DataError` where
    the shares are not positive or do not add up to 1.
    """
    if any(share < 0 for share in shares) or abs(sum(shares) - 1.0) > 1e-6:
        raise DataError(f"the shares of a split must add up to 1, got {list(shares)}")
    order = np.random.default_rng((seed, count)).permutation(count)
    ends = [round(count * float(end)) for end in np.cumsum(shares)]
    starts = [0, *ends[:-1]]
    return [sorted(order[a:b].tolist()) for a, b in zip(starts, ends, strict=True)]
