"""Training and validation data of a run: find, check, split and load pictures and pairs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from enlarge.data.degradations import mixed_chain
from enlarge.data.pairs import (
    FoundPairs,
    Offender,
    PairFiles,
    Watch,
    check_pairs,
    digest_of,
    find_pairs,
    load_files,
    refuse,
    split,
    threads_for,
)
from enlarge.data.photos import (
    MANIFEST,
    Pair,
    Pairs,
    bicubic_pair,
    chained_pair,
    list_photos,
)
from enlarge.data.store import StoredPairs, estimate, is_store
from enlarge.errors import BudgetError, DataError, OptionError
from enlarge.memory import default_budget, format_size
from enlarge.training.config import Config, Data, data_root

VALID = "valid: "
"""Begins the use of a validation part's pictures in `TrainingData.lists`."""
_BICUBIC: Mapping[str, float] = {"bicubic": 1.0}


@dataclass(frozen=True)
class TrainingData:
    """`train`: pairs, of which the first `paired` come from `data.pairs`. `valid`: pairs by
    validation part. `lists`: (name, digest) of all pictures, by use.
    """

    train: Sequence[Pair]
    paired: int
    valid: Mapping[str, Sequence[Pair]]
    lists: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Source:
    """Pairs that are not loaded yet: their names and digests, a function that loads those of some
    indices, and one that gives the bytes that these take in memory.
    """

    names: list[tuple[str, str]]
    load: Callable[[list[int]], Sequence[Pair]]
    size: Callable[[list[int]], int]

    def __len__(self) -> int:
        return len(self.names)


def load_training_data(config: Config, scale: int, *, watch: Watch | None = None) -> TrainingData:
    """Load the pictures of a run into memory, or map those of stores.

    Raises `DataError` naming every unusable picture, or if training and validation share one;
    `BudgetError` if the pictures do not fit into memory; `OptionError` for contradicting keys.
    """
    data = config.data
    least = config.train.patch
    pairs = [_pair_source(_locate(s), scale, least, watch, data.chain) for s in data.pairs]
    chosen, held, kept = _split(pairs, config)
    photos, folders = _photos(config, scale, watch)
    valid = dict(_validation_sources(config, folders, scale, watch))
    if held:
        valid["split"] = held
    trained = [*chosen, *photos]
    if not any(len(part) for part, _ in trained):
        raise DataError("nothing to train on: give data.photos or data.pairs")
    lists = {"train": _listed(trained)}
    lists |= {f"{VALID}{name}": _listed(parts) for name, parts in valid.items()}
    _check_disjoint(lists)
    if kept:
        lists["test"] = _listed(kept)  # used for neither training nor validation
    _check_memory([*trained, *(part for parts in valid.values() for part in parts)], config)
    first = _load(chosen)
    return TrainingData(
        ConcatPairs([first, _load(photos)]),
        len(first),
        {name: found for name, parts in valid.items() if (found := _load(parts))},
        lists,
    )


def check_sources(config: Config) -> None:
    """Raise `DataError` if a folder, CSV or store of the config is missing or empty. No picture is
    opened.
    """
    data = config.data
    sources = [s for s in data.valid if _is_source(s)] + list(data.pairs)
    for source in map(_locate, sources):
        if isinstance(source, Mapping) or not is_store(source):
            find_pairs(source)
    for folder in _folders(config):
        if not is_store(folder):
            list_photos(folder, data.parts)


_Selection = tuple[_Source, list[int]]
"""A source and the indices of the chosen pairs."""


def _listed(parts: Iterable[_Selection]) -> list[tuple[str, str]]:
    return [part.names[i] for part, numbers in parts for i in numbers]


def _load(parts: Iterable[_Selection]) -> Sequence[Pair]:
    return ConcatPairs([part.load(numbers) for part, numbers in parts if numbers])


class ConcatPairs(Pairs):
    """Several sequences of pairs as one; mapped pairs stay mapped."""

    def __init__(self, parts: Sequence[Sequence[Pair]]) -> None:
        self.parts = parts
        self.ends = np.cumsum([len(part) for part in parts], dtype=int)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def at(self, index: int) -> Pair:
        """The pair at an index."""
        part = int(np.searchsorted(self.ends, index, "right"))
        return self.parts[part][index - int(self.ends[part]) + len(self.parts[part])]


def _check_memory(parts: Iterable[_Selection], config: Config) -> None:
    """Raise `BudgetError` if the decoded pictures do not fit into memory."""
    limit, workers = 2 * default_budget(), config.data.workers
    copies = config.train.devices * (1 + workers + (workers > 0))  # the last: the buffer in between
    need = copies * sum(part.size(numbers) for part, numbers in parts if numbers)
    if need > limit:
        each = f" in {copies} copies, for processes and workers" if copies > 1 else ""
        raise BudgetError(
            f"the pictures take {format_size(need)} in memory{each}, this machine has "
            f"{format_size(limit)}; `enlarge prepare SRC -o STORE` lays them out on the disk, then "
            "data.pairs=STORE or data.photos=STORE"
        )


def _decoded_size(files: Sequence[PairFiles], scale: int) -> int:
    """Bytes of the decoded pairs; 0 if a header cannot be read, which loading reports."""
    try:
        return estimate(files, scale, 1).bytes
    except DataError:
        return 0


def _locate(source: Any) -> Any:
    """A source as given, or below the data folder if it is there."""
    if isinstance(source, Mapping):
        return {key: str(_locate(path)) for key, path in source.items()}
    path = Path(str(source))
    if path.exists() or path.is_absolute():
        return path
    try:
        below = data_root() / path
    except DataError:
        return path
    return below if below.exists() else path


def _pair_source(
    source: Any, scale: int, least: int, watch: Watch | None, chain: Mapping[str, float]
) -> _Source:
    """The checked pairs of one source. The chain makes LR if the source has none."""
    if not isinstance(source, Mapping) and is_store(source):
        return _store_source(source, scale)
    found: FoundPairs = find_pairs(source)
    offenders = check_pairs(found.pairs, scale, least=least, watch=watch)
    refuse([*found.orphans, *offenders], len(found.pairs) + len(found.orphans))
    files = found.pairs
    if all(pair.low is None for pair in files):
        return _photo_source([pair.high for pair in files], scale, chain, watch)
    names = list(zip((str(f.high) for f in files), _digests([f.high for f in files]), strict=True))
    return _Source(
        names,
        lambda numbers: load_files([files[i] for i in numbers], scale),
        lambda numbers: _decoded_size([files[i] for i in numbers], scale),
    )


def _store_source(store: Path, scale: int, chain: Mapping[str, float] | None = None) -> _Source:
    """The mapped pairs of a store. With a chain, its HR and LR made by the chain; a store of
    single pictures already contains bicubic LR.
    """
    stored = StoredPairs(store)
    if stored.scale != scale:
        raise DataError(f"{store} is a store of ×{stored.scale}, the network is ×{scale}")
    photographed = any(entry.of_two for entry in stored.entries)
    as_it_lies = chain is None or (_is_bicubic(chain) and not photographed)
    made = None if as_it_lies else mixed_chain(chain or {})
    names = [(f"{store}/{entry.name}", entry.digest) for entry in stored.entries]
    return _Source(names, lambda numbers: stored.chosen(numbers, made), lambda numbers: 0)


def _is_bicubic(chain: Mapping[str, float]) -> bool:
    return set(chain) == set(_BICUBIC)


def _split(
    parts: Sequence[_Source], config: Config
) -> tuple[list[_Selection], list[_Selection], list[_Selection]]:
    """Split the pairs for training, validation and test."""
    shares = config.data.split
    if not shares:
        return [(part, list(range(len(part)))) for part in parts], [], []
    if not parts:
        raise OptionError("data.split divides data.pairs, which is empty")
    if not 2 <= len(shares) <= 3:
        raise OptionError(
            f"data.split has two or three shares (train, valid, test), got {len(shares)}"
        )
    dealt: tuple[list[_Selection], ...] = ([], [], [])
    for part in parts:
        for share, numbers in zip(
            dealt, split(len(part), shares, config.data.split_seed), strict=False
        ):
            share.append((part, numbers))
    chosen, held, kept = dealt
    return chosen, _if_any(held), _if_any(kept)


def _if_any(parts: list[_Selection]) -> list[_Selection]:
    return parts if any(numbers for _, numbers in parts) else []


def _photos(config: Config, scale: int, watch: Watch | None) -> tuple[list[_Selection], list[Path]]:
    """The high-resolution pictures and their folders."""
    data = config.data
    folders = _folders(config)
    chosen = []
    for folder in folders:
        if is_store(folder):
            part = _store_source(folder, scale, data.chain)
        else:
            part = _photo_source(list_photos(folder, data.parts), scale, data.chain, watch)
        chosen.append((part, list(range(len(part)))))
    return chosen, folders


def _folders(config: Config) -> list[Path]:
    """The folders of high-resolution pictures; the data folder's if the recipe names no data."""
    if not config.data.photos and config.data.pairs:
        return []
    return [_locate(f) for f in config.data.photos] or [data_root() / "photos"]


def _photo_source(
    paths: Sequence[Path], scale: int, chain: Mapping[str, float], watch: Watch | None
) -> _Source:
    """High-resolution pictures; bicubic LR is made now, that of other chains on the fly."""
    made = mixed_chain(chain)
    names = list(zip(map(str, paths), _digests(paths), strict=True))

    def one(path: Path) -> Pair | Offender:
        try:
            if _is_bicubic(chain):
                return bicubic_pair(path, scale)
            return chained_pair(path, scale, made)
        except DataError as error:
            return Offender(path.stem, str(error))

    def load(numbers: list[int]) -> Sequence[Pair]:
        pairs, offenders = [], []
        with ThreadPoolExecutor(threads_for(len(numbers))) as pool:
            for done, got in enumerate(pool.map(one, [paths[i] for i in numbers]), 1):
                if isinstance(got, Pair):
                    pairs.append(got)
                else:
                    offenders.append(got)
                if watch is not None:
                    watch(done, len(numbers))
        refuse(offenders, len(numbers))
        return pairs

    def size(numbers: list[int]) -> int:
        return _decoded_size([PairFiles(paths[i].stem, None, paths[i]) for i in numbers], scale)

    return _Source(names, load, size)


def _validation_sources(
    config: Config, folders: Sequence[Path], scale: int, watch: Watch | None
) -> Iterable[tuple[str, list[_Selection]]]:
    """The validation parts of the first folder's manifest and the sources of pairs, with unique
    names.
    """
    used: set[str] = set()
    for entry in config.data.valid:
        if _is_source(entry):
            source = _locate(entry)
            part = _pair_source(source, scale, 3, watch, _BICUBIC)
            path = Path(source["hr"]) if isinstance(source, Mapping) else source
            name = f"{path.resolve().parent.name}/{path.stem}"
        elif folders and (folders[0] / MANIFEST).is_file():
            part = _photo_source(list_photos(folders[0], [str(entry)]), scale, _BICUBIC, watch)
            name = str(entry)
        elif entry in Data().valid:
            continue  # a folder of pictures without a manifest has no parts
        else:
            raise DataError(
                f"data.valid names {entry}, and no manifest has such a part; a folder is written "
                f"./{entry}"
            )
        numbered = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
        name = next(found for found in numbered if found not in used)
        used.add(name)
        yield name, [(part, list(range(len(part))))]


def _is_source(entry: Any) -> bool:
    """Whether an entry of `data.valid` is a source of pairs, not a part of a manifest."""
    return isinstance(entry, Mapping) or "/" in str(entry) or str(entry).endswith(".csv")


def _digests(paths: Sequence[Path]) -> list[str]:
    with ThreadPoolExecutor(threads_for(len(paths))) as pool:
        return list(pool.map(digest_of, paths))


def _check_disjoint(lists: Mapping[str, list[tuple[str, str]]]) -> None:
    """Raise `DataError` if a validation picture is also a training picture, under any name."""
    trained = {digest: name for name, digest in lists["train"]}
    for use, names in lists.items():
        both = [(name, trained[digest]) for name, digest in names if digest in trained]
        if use != "train" and both:
            name, other = both[0]
            same = "" if name == other else f" (the same as {other})"
            raise DataError(
                f"{len(both)} pictures are in training and in {use}, "
                f"first {name}{same}; take them out of one of the two"
            )


def validation_crop(valid: Mapping[str, Sequence[Pair]], scale: int) -> dict[str, Sequence[Pair]]:
    """One small crop of one validation part, for a trial run."""
    for part, pairs in valid.items():
        low, high = pairs[0].low[:48, :48], pairs[0].high[: 48 * scale, : 48 * scale]
        return {part: [Pair(pairs[0].name, low, high)]}
    return {}
