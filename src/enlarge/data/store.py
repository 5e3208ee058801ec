"""A store: pairs decoded once, raw in two files that many processes and machines map.

    STORE/store.json    {"format": 2, "scale": 4, "pairs": 1640}
    STORE/index.jsonl   a line for each pair, in order: name, heights and widths, byte offsets, the
                        size and time of the files that it was decoded from, and HR's SHA-256
    STORE/low.bin, STORE/high.bin    uint8 RGB rows, one picture after the other

The index is written last, so a pair exists once its line is complete, and an interrupted run
resumes after the last complete pair. One process at a time writes; it holds a lock on store.json.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyvips

from enlarge.data.degradations import Chain
from enlarge.data.pairs import PairFiles, Watch, digest_of, load_pair, threads_for
from enlarge.data.patches import grid_starts
from enlarge.data.photos import Pair, Pairs, Pixels, to_degrade, upright_size
from enlarge.errors import DataError
from enlarge.media.libvips import explain
from enlarge.media.temporary import take_lock

HEAD, INDEX, LOW, HIGH = "store.json", "index.jsonl", "low.bin", "high.bin"
_FORMAT = 2


@dataclass(frozen=True)
class Entry:
    """A pair in the store: sizes (height, width), offsets in bytes, sizes and times of its files,
    and the SHA-256 of its HR file.
    """

    name: str
    low: tuple[int, int]
    high: tuple[int, int]
    low_at: int
    high_at: int
    stamp: str
    digest: str

    @property
    def of_two(self) -> bool:
        """Whether it was decoded from two files; otherwise LR was made from HR."""
        return " " in self.stamp


@dataclass(frozen=True)
class Estimate:
    """The size of a store: pairs, bytes on disk, and patches of the grid."""

    pairs: int
    bytes: int
    patches: int


def is_store(path: Path) -> bool:
    """Whether a folder is a store."""
    return (path / HEAD).is_file()


def estimate(pairs: Sequence[PairFiles], scale: int, patch: int) -> Estimate:
    """The size of the store, and the number of `patch`² grid patches, from the files' headers.

    Raises `DataError` for a file whose header cannot be read.
    """
    with ThreadPoolExecutor(threads_for(len(pairs))) as pool:
        sizes = list(pool.map(lambda pair: _low_size(pair, scale), pairs))
    area = sum(height * width for height, width in sizes)
    patches = sum(
        len(grid_starts(height, patch)) * len(grid_starts(width, patch)) for height, width in sizes
    )
    return Estimate(len(pairs), 3 * area * (1 + scale * scale), patches)


def _low_size(pair: PairFiles, scale: int) -> tuple[int, int]:
    path = pair.low or pair.high
    try:
        image = pyvips.Image.new_from_file(str(path))
    except pyvips.Error as error:
        raise DataError(f"{path} cannot be read as a picture: {explain(error)}") from error
    shrink = 1 if pair.low else scale
    width, height = upright_size(image)
    return height // shrink, width // shrink


def write_store(
    pairs: Sequence[PairFiles], store: Path, scale: int, *, watch: Watch | None = None
) -> int:
    """Decode pairs into a new store, or resume one of the same pairs.

    Returns the number of pairs decoded now. Raises `DataError` if the folder holds something else,
    another process is writing it, the disk is too small, or a picture cannot be decoded.
    """
    _make(store, scale, len(pairs))
    with (store / HEAD).open("r+b") as head:
        if not take_lock(head):
            raise DataError(f"another process is writing {store}; wait for it")
        return _write(pairs, store, scale, watch)


def _write(pairs: Sequence[PairFiles], store: Path, scale: int, watch: Watch | None) -> int:
    done = _prepare(pairs, store, scale)
    need = estimate(pairs[done:], scale, 1).bytes
    free = shutil.disk_usage(store).free
    if need > free:
        raise DataError(f"the store needs {need:,} more bytes, {store} has {free:,} free")
    if watch is not None:
        watch(done, len(pairs))
    with (
        (store / LOW).open("ab") as low,
        (store / HIGH).open("ab") as high,
        (store / INDEX).open("a", encoding="utf-8") as index,
    ):
        for number, (pair, digest) in enumerate(_decoded(pairs[done:], scale), done):
            files = pairs[number]
            entry = Entry(
                files.name,
                _sides(pair.low),
                _sides(pair.high),
                low.tell(),
                high.tell(),
                _stamp(files),
                digest,
            )
            low.write(np.ascontiguousarray(pair.low).data)
            high.write(np.ascontiguousarray(pair.high).data)
            for file in (low, high):
                file.flush()
                os.fsync(file.fileno())
            index.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
            index.flush()
            if watch is not None:
                watch(number + 1, len(pairs))
    return len(pairs) - done


def _make(store: Path, scale: int, pairs: int) -> None:
    """Make the folder, unless it is a store already."""
    if is_store(store):
        return
    if store.exists() and (not store.is_dir() or any(store.iterdir())):
        raise DataError(f"{store} exists and is not a store; choose a new folder with -o")
    store.mkdir(parents=True, exist_ok=True)
    for name in (LOW, HIGH, INDEX):
        (store / name).touch()
    _write_head(store, scale, pairs)


def _write_head(store: Path, scale: int, pairs: int) -> None:
    """Write store.json in place, because the lock is on the file."""
    head = {"format": _FORMAT, "scale": scale, "pairs": pairs}
    (store / HEAD).write_text(json.dumps(head) + "\n", encoding="utf-8")


def _read_head(store: Path) -> dict[str, int]:
    """The contents of store.json. Raises `DataError` if it is missing or of another format."""
    if not is_store(store):
        raise DataError(f"{store} is not a store; `enlarge prepare SRC -o {store}` makes one")
    try:
        found = json.loads((store / HEAD).read_text(encoding="utf-8"))
        head = {key: int(found[key]) for key in ("format", "scale", "pairs")}
    except (OSError, ValueError, KeyError, TypeError):
        head = {"format": 0}
    if head["format"] != _FORMAT:
        raise DataError(
            f"{store / HEAD} is not of format {_FORMAT}, which this version of enlarge reads; "
            "delete the store and prepare it again"
        )
    return head


def _prepare(pairs: Sequence[PairFiles], store: Path, scale: int) -> int:
    """Truncate the files after the last complete pair. Returns the number of complete pairs."""
    head = _read_head(store)
    if head["scale"] != scale:
        raise DataError(
            f"{store} is a store of ×{head['scale']}, not ×{scale}; choose a new folder"
        )
    entries = _entries(store)
    same = [(entry.name, entry.stamp) for entry in entries]
    if same != [(pair.name, _stamp(pair)) for pair in pairs[: len(entries)]]:
        raise DataError(
            f"{store} contains other pairs, or earlier versions of these; "
            "choose a new folder, or delete it"
        )
    _write_head(store, scale, len(pairs))
    text = "".join(json.dumps(asdict(e), ensure_ascii=False) + "\n" for e in entries)
    (store / INDEX).write_text(text, encoding="utf-8")
    ends = [0, 0]
    if entries:
        last = entries[-1]
        ends = [last.low_at + 3 * last.low[0] * last.low[1]]
        ends.append(last.high_at + 3 * last.high[0] * last.high[1])
    for name, end in zip((LOW, HIGH), ends, strict=True):
        if (store / name).stat().st_size < end:
            raise DataError(f"{store / name} is shorter than its index says; delete {store}")
        os.truncate(store / name, end)
    return len(entries)


def _decoded(pairs: Sequence[PairFiles], scale: int) -> Iterator[tuple[Pair, str]]:
    """The pairs and the digests of their HR, in order; a few are decoded ahead."""
    ahead = threads_for(len(pairs))
    with ThreadPoolExecutor(ahead) as pool:
        for first in range(0, len(pairs), 2 * ahead):
            part = pairs[first : first + 2 * ahead]
            yield from pool.map(lambda pair: (load_pair(pair, scale), digest_of(pair.high)), part)


def _entries(store: Path) -> list[Entry]:
    """The complete lines of the index."""
    entries = []
    for line in (store / INDEX).read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            values = json.loads(line) if line.endswith("\n") else None
        except ValueError:
            values = None
        if values is None:
            break  # an incomplete line of a run that was killed
        entries.append(
            Entry(**{**values, "low": tuple(values["low"]), "high": tuple(values["high"])})
        )
    return entries


def _sides(pixels: Pixels) -> tuple[int, int]:
    return int(pixels.shape[0]), int(pixels.shape[1])


def _stamp(pair: PairFiles) -> str:
    """Size and modification time of the files."""
    stats = [path.stat() for path in (pair.low, pair.high) if path is not None]
    return " ".join(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)


class StoredPairs(Pairs):
    """The pairs of a store, as views of the mapped files. Copies in other processes map them again.

    `scale`: LR to HR. Raises `DataError` if the folder is not a store, or it is incomplete.
    """

    def __init__(self, store: Path) -> None:
        head = _read_head(store)
        self.store, self.scale = store, head["scale"]
        self.entries = _entries(store)
        if not self.entries or len(self.entries) < head["pairs"]:
            raise DataError(
                f"{store} holds {len(self.entries)} of {head['pairs']} pairs; "
                "rerun `enlarge prepare` to finish it"
            )
        self.chain: Chain | None = None
        self._map()

    def chosen(self, numbers: Sequence[int], chain: Chain | None = None) -> StoredPairs:
        """Some of the pairs, by number. With a `chain`, LR is made from HR on the fly."""
        found = copy(self)
        found.entries = [self.entries[i] for i in numbers]
        found.chain = chain
        return found

    def _map(self) -> None:
        self._low = np.memmap(self.store / LOW, np.uint8, "r")
        self._high = np.memmap(self.store / HIGH, np.uint8, "r")

    def __getstate__(self) -> dict[str, object]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_low", "_high")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._map()

    def __len__(self) -> int:
        return len(self.entries)

    def at(self, index: int) -> Pair:
        """One pair, as views."""
        entry = self.entries[index]
        high = _view(self._high, entry.high_at, entry.high)
        if self.chain is not None:
            return to_degrade(entry.name, high, self.scale, self.chain)
        return Pair(entry.name, _view(self._low, entry.low_at, entry.low), high)


def _view(pixels: Pixels, at: int, sides: tuple[int, int]) -> Pixels:
    size = 3 * sides[0] * sides[1]
    view: Pixels = np.asarray(pixels[at : at + size]).reshape(*sides, 3)
    return view
