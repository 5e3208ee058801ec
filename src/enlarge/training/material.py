"""What a run learns from and is judged by: pictures and pairs, checked, split, and written down."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from enlarge.data.degradations import mixture
from enlarge.data.pairs import (
    Found,
    Watch,
    check_pairs,
    find_pairs,
    load_files,
    refuse,
    split,
    threads_for,
)
from enlarge.data.photos import (
    MANIFEST,
    Pair,
    crop_to_multiple,
    list_photos,
    load_pairs,
    read_rgb,
)
from enlarge.data.store import StoredPairs, is_store
from enlarge.errors import DataError, OptionError
from enlarge.training.config import Config, data_root


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
    """Pairs not yet in memory: what they are called, what tells them apart, and how to get them."""

    names: list[tuple[str, str]]
    load: Callable[[list[int]], Sequence[Pair]]

    def __len__(self) -> int:
        return len(self.names)


def gather(config: Config, scale: int, *, watch: Watch | None = None) -> Material:
    """All that a run needs, in memory or mapped.

    Raises `DataError` naming every pair that cannot be used, and where training and validation
    share a picture; `OptionError` where keys contradict each other.
    """
    data = config.data
    least = config.train.patch
    pairs = [_pairs(_found_source(source), scale, least, watch) for source in data.pairs]
    chosen, held = _split(pairs, config)
    photos, folders = _photos(config, scale)
    valid = dict(_valid(config, folders, scale, watch))
    if held:
        valid["split"] = held
    trained = [*chosen, *photos]
    if not any(len(part) for part, _ in trained):
        raise DataError("nothing to train on: give data.photos or data.pairs")
    lists = {"train": _listed(trained)}
    lists |= {f"valid: {name}": _listed(parts) for name, parts in valid.items()}
    _refuse_shared(lists)
    loaded_pairs = _load(chosen)
    loaded = [*loaded_pairs, *_load(photos)]
    return Material(
        loaded,
        len(loaded_pairs),
        {name: found for name, parts in valid.items() if (found := _load(parts))},
        lists,
    )


_Chosen = tuple[_Part, list[int]]
"""A part and which of its pairs are meant."""


def _listed(parts: Iterable[_Chosen]) -> list[tuple[str, str]]:
    return [part.names[i] for part, numbers in parts for i in numbers]


def _load(parts: Iterable[_Chosen]) -> list[Pair]:
    return [pair for part, numbers in parts if numbers for pair in part.load(numbers)]


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


def _pairs(source: Any, scale: int, least: int, watch: Watch | None) -> _Part:
    """The pairs of one source, checked."""
    if not isinstance(source, Mapping) and is_store(source):
        stored = StoredPairs(source)
        if stored.scale != scale:
            raise DataError(f"{source} is a store of ×{stored.scale}, the network is ×{scale}")
        names = [(f"{source}/{entry.name}", entry.stamp) for entry in stored.entries]
        return _Part(names, lambda numbers: [stored[i] for i in numbers])
    found: Found = find_pairs(source)
    offenders = check_pairs(found.pairs, scale, least=least, watch=watch)
    refuse([*found.orphans, *offenders], len(found.pairs) + len(found.orphans))
    files = found.pairs
    names = list(zip((str(f.high) for f in files), _digests([f.high for f in files]), strict=True))
    return _Part(names, lambda numbers: load_files([files[i] for i in numbers], scale))


def _split(parts: Sequence[_Part], config: Config) -> tuple[list[_Chosen], list[_Chosen]]:
    """What of the pairs is trained on, and what is held back to judge by."""
    shares = config.data.split
    if not shares:
        return [(part, list(range(len(part)))) for part in parts], []
    if not parts:
        raise OptionError("data.split divides data.pairs, which is empty")
    if not 2 <= len(shares) <= 3:
        raise OptionError(
            f"data.split has two or three shares (train, valid, test), got {len(shares)}"
        )
    chosen, held = [], []
    for part in parts:
        numbers = split(len(part), shares, config.data.split_seed)
        chosen.append((part, numbers[0]))
        held.append((part, numbers[1]))
    return chosen, held if any(numbers for _, numbers in held) else []


def _photos(config: Config, scale: int) -> tuple[list[_Chosen], list[Path]]:
    """The high-resolution pictures, and their folders."""
    data = config.data
    if not data.photos and data.pairs:
        return [], []
    folders = [_found_source(f) for f in data.photos] or [data_root() / "photos"]
    chosen = []
    for folder in folders:
        if is_store(folder):
            part = _pairs(folder, scale, config.train.patch, None)
        else:
            part = _originals(list_photos(folder, data.parts), scale, data.chain)
        chosen.append((part, list(range(len(part)))))
    return chosen, folders


def _originals(paths: Sequence[Path], scale: int, chain: Mapping[str, float]) -> _Part:
    """High-resolution pictures whose LR is bicubic, made now, or a chain's, made on the fly."""
    made = mixture(chain)
    names = list(zip(map(str, paths), _digests(paths), strict=True))

    def lazy(path: Path) -> Pair:
        high = np.ascontiguousarray(crop_to_multiple(read_rgb(path), scale))
        sides = (high.shape[0] // scale, high.shape[1] // scale, 3)
        return Pair(path.stem, np.broadcast_to(np.uint8(0), sides), high, made)

    def load(numbers: list[int]) -> Sequence[Pair]:
        chosen = [paths[i] for i in numbers]
        if set(chain) == {"bicubic"}:
            return load_pairs(chosen, scale)
        with ThreadPoolExecutor(threads_for(len(chosen))) as pool:
            return list(pool.map(lazy, chosen))

    return _Part(names, load)


def _valid(
    config: Config, folders: Sequence[Path], scale: int, watch: Watch | None
) -> Iterable[tuple[str, list[_Chosen]]]:
    """Validation parts of the first folder's manifest, and sources of pairs."""
    for wish in config.data.valid:
        if isinstance(wish, Mapping) or "/" in str(wish) or str(wish).endswith(".csv"):
            source = _found_source(wish)
            part = _pairs(source, scale, 3, watch)
            path = Path(source["hr"]) if isinstance(source, Mapping) else source
            name = f"{path.resolve().parent.name}/{path.stem}"
        elif folders and (folders[0] / MANIFEST).is_file():
            part = _originals(list_photos(folders[0], [str(wish)]), scale, {"bicubic": 1.0})
            name = str(wish)
        else:
            continue  # a plain folder of pictures has no parts
        yield name, [(part, list(range(len(part))))]


def _digests(paths: Sequence[Path]) -> list[str]:
    with ThreadPoolExecutor(threads_for(len(paths))) as pool:
        return list(pool.map(_digest, paths))


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


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
