"""What a run learns from and is judged by: pictures and pairs, checked, split, and written down."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from enlarge.data.degradations import mixture
from enlarge.data.pairs import (
    Found,
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

_BICUBIC: Mapping[str, float] = {"bicubic": 1.0}


@dataclass(frozen=True)
class Material:
    """`train`: pairs, of which the first `favoured` come from `data.pairs`. `valid`: by part.
    `lists`: what went in, as (name, digest), by use.
    """

    train: Sequence[Pair]
    favoured: int
    valid: Mapping[str, Sequence[Pair]]
    lists: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Part:
    """Pairs not yet in memory: what they are called, what tells them apart, how to get them, and
    the bytes that they then take.
    """

    names: list[tuple[str, str]]
    load: Callable[[list[int]], Sequence[Pair]]
    weigh: Callable[[list[int]], int]

    def __len__(self) -> int:
        return len(self.names)


def gather(config: Config, scale: int, *, watch: Watch | None = None) -> Material:
    """All that a run needs, in memory or mapped.

    Raises `DataError` naming every picture that cannot be used, and where training and validation
    share one; `BudgetError` where they do not fit into memory; `OptionError` where keys contradict
    each other.
    """
    data = config.data
    least = config.train.patch
    pairs = [_pairs(_found_source(s), scale, least, watch, data.chain) for s in data.pairs]
    chosen, held, kept = _split(pairs, config)
    photos, folders = _photos(config, scale, watch)
    valid = dict(_valid(config, folders, scale, watch))
    if held:
        valid["split"] = held
    trained = [*chosen, *photos]
    if not any(len(part) for part, _ in trained):
        raise DataError("nothing to train on: give data.photos or data.pairs")
    lists = {"train": _listed(trained)}
    lists |= {f"valid: {name}": _listed(parts) for name, parts in valid.items()}
    _refuse_shared(lists)
    if kept:
        lists["test"] = _listed(kept)  # neither trained on nor judged by here
    _refuse_too_much([*trained, *(part for parts in valid.values() for part in parts)], config)
    first = _load(chosen)
    return Material(
        Joined([first, _load(photos)]),
        len(first),
        {name: found for name, parts in valid.items() if (found := _load(parts))},
        lists,
    )


def check_sources(config: Config) -> None:
    """Raise `DataError` where a folder, a csv or a store that is trained on or judged by is not
    there, or holds nothing. No picture is opened.
    """
    data = config.data
    sources = [s for s in data.valid if _is_source(s)] + list(data.pairs)
    for source in map(_found_source, sources):
        if isinstance(source, Mapping) or not is_store(source):
            find_pairs(source)
    for folder in _folders(config):
        if not is_store(folder):
            list_photos(folder, data.parts)


_Chosen = tuple[_Part, list[int]]
"""A part and which of its pairs are meant."""


def _listed(parts: Iterable[_Chosen]) -> list[tuple[str, str]]:
    return [part.names[i] for part, numbers in parts for i in numbers]


def _load(parts: Iterable[_Chosen]) -> Sequence[Pair]:
    return Joined([part.load(numbers) for part, numbers in parts if numbers])


class Joined(Pairs):
    """Several sequences of pairs as one; what is mapped stays mapped."""

    def __init__(self, parts: Sequence[Sequence[Pair]]) -> None:
        self.parts = parts
        self.ends = np.cumsum([len(part) for part in parts], dtype=int)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def at(self, index: int) -> Pair:
        """That of the part in which it lies."""
        part = int(np.searchsorted(self.ends, index, "right"))
        return self.parts[part][index - int(self.ends[part]) + len(self.parts[part])]


def _refuse_too_much(parts: Iterable[_Chosen], config: Config) -> None:
    """Raise `BudgetError` where the decoded pictures do not fit into this machine's memory."""
    limit, workers = 2 * default_budget(), config.data.workers
    copies = config.train.devices * (1 + workers + (workers > 0))  # the last: a buffer between them
    need = copies * sum(part.weigh(numbers) for part, numbers in parts if numbers)
    if need > limit:
        each = f" in {copies} copies, for processes and workers" if copies > 1 else ""
        raise BudgetError(
            f"the pictures take {format_size(need)} in memory{each}, this machine has "
            f"{format_size(limit)}; `enlarge prepare SRC -o STORE` lays them out on the disk, then "
            "data.pairs=STORE or data.photos=STORE"
        )


def _weight(files: Sequence[PairFiles], scale: int) -> int:
    """Bytes of the pairs once decoded; 0 where a header cannot be read, which loading will say."""
    try:
        return estimate(files, scale, 1).bytes
    except DataError:
        return 0


def _found_source(source: Any) -> Any:
    """A source as it is, or below the data folder of this workplace where it lies there."""
    if isinstance(source, Mapping):
        return {key: str(_found_source(path)) for key, path in source.items()}
    path = Path(str(source))
    if path.exists() or path.is_absolute():
        return path
    try:
        below = data_root() / path
    except DataError:
        return path
    return below if below.exists() else path


def _pairs(
    source: Any, scale: int, least: int, watch: Watch | None, chain: Mapping[str, float]
) -> _Part:
    """The pairs of one source, checked. Where it has no LR, the chain makes it."""
    if not isinstance(source, Mapping) and is_store(source):
        return _stored(source, scale)
    found: Found = find_pairs(source)
    offenders = check_pairs(found.pairs, scale, least=least, watch=watch)
    refuse([*found.orphans, *offenders], len(found.pairs) + len(found.orphans))
    files = found.pairs
    if all(pair.low is None for pair in files):
        return _originals([pair.high for pair in files], scale, chain, watch)
    names = list(zip((str(f.high) for f in files), _digests([f.high for f in files]), strict=True))
    return _Part(
        names,
        lambda numbers: load_files([files[i] for i in numbers], scale),
        lambda numbers: _weight([files[i] for i in numbers], scale),
    )


def _stored(store: Path, scale: int, chain: Mapping[str, float] | None = None) -> _Part:
    """The pairs of a store, mapped; with a chain their HR, and LR by that. (That of bicubic lies
    there already, where the store was made of pictures without a partner.)
    """
    stored = StoredPairs(store)
    if stored.scale != scale:
        raise DataError(f"{store} is a store of ×{stored.scale}, the network is ×{scale}")
    photographed = any(entry.of_two for entry in stored.entries)
    as_it_lies = chain is None or (_is_bicubic(chain) and not photographed)
    made = None if as_it_lies else mixture(chain or {})
    names = [(f"{store}/{entry.name}", entry.digest) for entry in stored.entries]
    return _Part(names, lambda numbers: stored.chosen(numbers, made), lambda numbers: 0)


def _is_bicubic(chain: Mapping[str, float]) -> bool:
    return set(chain) == set(_BICUBIC)


def _split(
    parts: Sequence[_Part], config: Config
) -> tuple[list[_Chosen], list[_Chosen], list[_Chosen]]:
    """What of the pairs is trained on, what is held back to judge by, and what for a test."""
    shares = config.data.split
    if not shares:
        return [(part, list(range(len(part)))) for part in parts], [], []
    if not parts:
        raise OptionError("data.split divides data.pairs, which is empty")
    if not 2 <= len(shares) <= 3:
        raise OptionError(
            f"data.split has two or three shares (train, valid, test), got {len(shares)}"
        )
    dealt: tuple[list[_Chosen], ...] = ([], [], [])
    for part in parts:
        for share, numbers in zip(
            dealt, split(len(part), shares, config.data.split_seed), strict=False
        ):
            share.append((part, numbers))
    chosen, held, kept = dealt
    return chosen, _if_any(held), _if_any(kept)


def _if_any(parts: list[_Chosen]) -> list[_Chosen]:
    return parts if any(numbers for _, numbers in parts) else []


def _photos(config: Config, scale: int, watch: Watch | None) -> tuple[list[_Chosen], list[Path]]:
    """The high-resolution pictures, and their folders."""
    data = config.data
    folders = _folders(config)
    chosen = []
    for folder in folders:
        if is_store(folder):
            part = _stored(folder, scale, data.chain)
        else:
            part = _originals(list_photos(folder, data.parts), scale, data.chain, watch)
        chosen.append((part, list(range(len(part)))))
    return chosen, folders


def _folders(config: Config) -> list[Path]:
    """Of the high-resolution pictures: those of this workplace, where the recipe names nothing."""
    if not config.data.photos and config.data.pairs:
        return []
    return [_found_source(f) for f in config.data.photos] or [data_root() / "photos"]


def _originals(
    paths: Sequence[Path], scale: int, chain: Mapping[str, float], watch: Watch | None
) -> _Part:
    """High-resolution pictures whose LR is bicubic, made now, or a chain's, made on the fly."""
    made = mixture(chain)
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

    def weigh(numbers: list[int]) -> int:
        return _weight([PairFiles(paths[i].stem, None, paths[i]) for i in numbers], scale)

    return _Part(names, load, weigh)


def _valid(
    config: Config, folders: Sequence[Path], scale: int, watch: Watch | None
) -> Iterable[tuple[str, list[_Chosen]]]:
    """Validation parts of the first folder's manifest, and sources of pairs, each under a name of
    its own.
    """
    taken: set[str] = set()
    for wish in config.data.valid:
        if _is_source(wish):
            source = _found_source(wish)
            part = _pairs(source, scale, 3, watch, _BICUBIC)
            path = Path(source["hr"]) if isinstance(source, Mapping) else source
            name = f"{path.resolve().parent.name}/{path.stem}"
        elif folders and (folders[0] / MANIFEST).is_file():
            part = _originals(list_photos(folders[0], [str(wish)]), scale, _BICUBIC, watch)
            name = str(wish)
        elif wish in Data().valid:
            continue  # a plain folder of pictures has no parts
        else:
            raise DataError(
                f"data.valid names {wish}, and no manifest has such a part; a folder is written "
                f"./{wish}"
            )
        numbered = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
        name = next(found for found in numbered if found not in taken)
        taken.add(name)
        yield name, [(part, list(range(len(part))))]


def _is_source(wish: Any) -> bool:
    """Whether an entry of `data.valid` is a source of pairs, and not a part of a manifest."""
    return isinstance(wish, Mapping) or "/" in str(wish) or str(wish).endswith(".csv")


def _digests(paths: Sequence[Path]) -> list[str]:
    with ThreadPoolExecutor(threads_for(len(paths))) as pool:
        return list(pool.map(digest_of, paths))


def _refuse_shared(lists: Mapping[str, list[tuple[str, str]]]) -> None:
    """Raise `DataError` where validation holds a picture that is trained on, also under another
    name.
    """
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


def first_crop(valid: Mapping[str, Sequence[Pair]], scale: int) -> dict[str, Sequence[Pair]]:
    """One validation part with one small crop: all that a trial run needs."""
    for part, pairs in valid.items():
        low, high = pairs[0].low[:48, :48], pairs[0].high[: 48 * scale, : 48 * scale]
        return {part: [Pair(pairs[0].name, low, high)]}
    return {}
