"""A large picture that goes on where it stopped: finished bands from the disk, the rest is made."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from enlarge.digests import file_digest
from enlarge.errors import InputError
from enlarge.media.parts import Parts, facts_of_parts
from enlarge.picture import EnlargedRows
from enlarge.tiling import Plan

Seal = Callable[[BinaryIO], None]


class Bands:
    """The bands of a picture from the first on, (n, width, channels); and what is to be done with
    the whole file before it appears. `notes`: a line on what was found.
    """

    def __init__(self, large: EnlargedRows, parts: Parts | None, source: _Source) -> None:
        self._large, self._parts, self._source = large, parts, source
        self.notes: list[str] = [] if parts is None else parts.notes

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Each band as it is there; one that was made is kept. Raises `EnlargeError`s."""
        parts = self._parts
        if parts is None:
            yield from self._large.bands()
            return
        count = rows = 0
        for band in parts.stored():
            count, rows = count + 1, rows + len(band)
            yield band
            del band
        self._large.skip(rows)
        for band in self._large.bands():
            self._source.check()
            parts.save(count, band)
            count += 1
            yield band
            del band

    def sealing(self, seal: Seal | None) -> Seal | None:
        """`seal`, and after it what the parts note of the file."""
        parts = self._parts
        if parts is None:
            return seal

        def both(file: BinaryIO) -> None:
            if seal is not None:
                seal(file)
            parts.sealed(file)

        return both


class _Source:
    """A file of which the bands are made. One that changes meanwhile gives none."""

    def __init__(self, source: Any) -> None:
        self._path = source if isinstance(source, Path) else None
        self._was = self._status()

    def _status(self) -> tuple[int, ...]:
        if self._path is None:
            return ()
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise InputError(f"{self._path}: cannot be read: {error.strerror}") from error
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def check(self) -> None:
        """Raise `InputError` where it is another by now, or out of reach."""
        if self._status() != self._was:
            raise InputError(f"{self._path}: changed while it was read; enlarge it again")


def can_resume(source: Any, target: Any, digest: str | None) -> bool:
    """Whether bands can be kept: the target is a file, and it is known what the source is."""
    return isinstance(target, Path) and (digest is not None or isinstance(source, Path | bytes))


@contextmanager
def resumable(
    large: EnlargedRows,
    source: Path | bytes | BinaryIO,
    target: Path | BinaryIO,
    facts: Mapping[str, Any] | None,
) -> Iterator[Bands]:
    """The bands of `large`, kept in `TARGET.parts/` until the block ends without an error.

    `facts`: what decides about the bands; None: they are not kept. What an error leaves is there
    for the next run, but for a source that cannot be read.
    """
    if facts is None or not isinstance(target, Path):
        yield Bands(large, None, _Source(None))
        return
    whole = _Source(source)
    shape = (large.width, large.channels, large.dtype)
    with Parts(target, facts, large.heights(), *shape) as parts:
        try:
            yield Bands(large, parts, whole)
        except InputError as error:
            if not isinstance(error.__cause__, OSError):  # a network drive may come back
                parts.remove()
            raise
        parts.remove()


def tiles_before(target: Any, about: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The tiles, (width, height) of each pass, of an earlier run on the same; else none.

    A budget that is just enough may give others in another run, and its bands would be of no use.
    """
    if not isinstance(target, Path):
        return []
    found = facts_of_parts(target)
    tiles = found.pop("tiles", [])
    found.pop("plans", None)
    same = json.loads(json.dumps(dict(about)))
    return [(int(width), int(height)) for width, height in tiles] if found == same else []


def facts_of_bands(about: Mapping[str, Any], plans: Sequence[Plan]) -> dict[str, Any]:
    """What decides about bands: `about` their input, model and settings, and the plan."""
    tiles = [[plan.tile_width, plan.tile_height] for plan in plans]
    return {**about, "plans": [repr(plan) for plan in plans], "tiles": tiles}


def source_digest(source: Any) -> str:
    """The SHA-256 of a file (or of bytes), in hexadecimal digits. Raises `InputError`."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    try:
        return file_digest(Path(os.fspath(source)))
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror}") from error
