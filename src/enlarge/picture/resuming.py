"""Resuming a large picture: its finished bands come from the disk, the rest is made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from enlarge.digests import file_digest
from enlarge.errors import InputError
from enlarge.media.parts import Parts
from enlarge.media.parts_folder import facts_of_parts
from enlarge.picture.bands import EnlargedRows
from enlarge.picture.hooks import Seal
from enlarge.tiling import Plan


@dataclass(frozen=True)
class Transfer:
    """From what to what: a file, its bytes or a stream, to a file or a stream. `digest`: identifies
    the source's content, where it is known. `overwrite`: the target may be replaced.
    """

    source: Path | bytes | BinaryIO
    target: Path | BinaryIO
    digest: str | None = None
    overwrite: bool = False

    @property
    def path(self) -> Path | None:
        """The target, where it is a file."""
        return self.target if isinstance(self.target, Path) else None

    @property
    def can_resume(self) -> bool:
        """Whether finished bands can be kept: the target is a file, and the source is known."""
        is_known = self.digest is not None or isinstance(self.source, Path | bytes)
        return self.path is not None and is_known

    def source_digest(self) -> str:
        """What identifies the source: `digest`, or the SHA-256 of its content in hexadecimal
        digits. Raises `InputError`.
        """
        if self.digest is not None:
            return self.digest
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        assert isinstance(self.source, Path)
        try:
            return file_digest(self.source)
        except OSError as error:
            raise InputError(f"{self.source}: cannot be read: {error.strerror}") from error


class Bands:
    """The bands of a picture from the first on, (n, width, channels), and what is to be done with
    the whole file before it appears. `notes`: a line on what was found.
    """

    def __init__(self, large: EnlargedRows, parts: Parts | None, source: SourceStamp) -> None:
        self._large, self._parts, self._source = large, parts, source
        self.notes: list[str] = [] if parts is None else parts.notes

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Each band as soon as it is there; one that was made is kept. Raises `EnlargeError`s."""
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


class SourceStamp:
    """The state of the source file when the work began: no band may come from a file that has
    changed since.
    """

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
        """Raise `InputError` where the file is another one by now, or out of reach."""
        if self._status() != self._was:
            raise InputError(f"{self._path}: changed while it was read; enlarge it again")


@contextmanager
def resumable(
    large: EnlargedRows, transfer: Transfer, facts: Mapping[str, Any] | None
) -> Iterator[Bands]:
    """The bands of `large`, kept in `TARGET.parts/` until the block ends without an error.

    `facts`: what determines the bands; None: they are not kept. What an error leaves is there for
    the next run, except for a source that cannot be read.
    """
    target = transfer.path
    if facts is None or target is None:
        yield Bands(large, None, SourceStamp(None))
        return
    source = SourceStamp(transfer.source)
    bands = (large.heights(), large.width, large.channels, large.dtype)
    with Parts(target, facts, *bands) as parts:
        try:
            yield Bands(large, parts, source)
        except InputError as error:
            if not isinstance(error.__cause__, OSError):  # a network drive may come back
                parts.remove()
            raise
        parts.remove()


def earlier_tiles(target: Path | None, about: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The tiles, (width, height) of each pass, of an interrupted run on the same; else none.

    A budget that is just enough may give others in another run, and its bands would be of no use.
    """
    if target is None:
        return []
    found = facts_of_parts(target)
    tiles = found.pop("tiles", [])
    found.pop("plans", None)
    same = json.loads(json.dumps(dict(about)))
    return [(int(width), int(height)) for width, height in tiles] if found == same else []


def facts_of_bands(about: Mapping[str, Any], plans: Sequence[Plan]) -> dict[str, Any]:
    """What determines bands: `about` their input, model and settings, and the plans."""
    tiles = [[plan.tile_width, plan.tile_height] for plan in plans]
    return {**about, "plans": [plan_text(plan) for plan in plans], "tiles": tiles}


def plan_text(plan: Plan) -> str:
    """A plan as `parts.json` holds it. The text must not change, or kept bands become useless."""
    columns, rows = (
        ", ".join(
            f"Span(start={span.start}, stop={span.stop}, keep_start={span.keep_start}, "
            f"keep_stop={span.keep_stop})"
            for span in spans
        )
        + "," * (len(spans) == 1)
        for spans in (plan.columns, plan.rows)
    )
    return (
        f"Plan(width={plan.width}, height={plan.height}, halo={plan.halo}, columns=({columns}), "
        f"rows=({rows}))"
    )
