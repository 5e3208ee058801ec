"""Finished segments of a video, kept on the disk until the whole file is written.

The folder `NAME.parts/` beside the target holds each segment in a file of its own. After a killed
run, the next one for the same result goes on after the last segment. A segment holds the packets of
a closed group of pictures:

    packets, each: the number of its frame, its flags, its length (int64, uint32, uint32), its bytes
    JSON: the times and durations of the frames in ticks, and how many frames the encoder reorders
    the JSON's length (uint32), and SHA-256 of all before
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from enlarge.errors import OutputError
from enlarge.media.parts_folder import PartsFolder, part_sizes
from enlarge.media.temporary import TemporaryFile, write_all
from enlarge.picture.hooks import Seal

_HEAD = struct.Struct("<qII")
_TAIL = struct.Struct("<I")
_DIGEST = 32
_KIND, _TILES = "segment", "tiles.json"
_BLOCK = 1 << 20
KEY = 1
"""The flag of packets that begin a group of pictures."""


@dataclass(frozen=True)
class Segment:
    """A finished segment. `times`, `durations`: of its frames, in the order in which they are
    shown, in ticks. `facts`: what else is known of it.
    """

    path: Path
    times: tuple[int, ...]
    durations: tuple[int, ...]
    facts: Mapping[str, Any]

    def packets(self) -> Iterator[tuple[int, int, bytes]]:
        """Its packets as they are decoded: the number of the frame in the segment, flags, bytes."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            file.seek(size - _DIGEST - _TAIL.size)
            (length,) = _TAIL.unpack(file.read(_TAIL.size))
            left = size - _DIGEST - _TAIL.size - length
            file.seek(0)
            while left > 0:
                frame, flags, count = _HEAD.unpack(file.read(_HEAD.size))
                yield frame, flags, file.read(count)
                left -= _HEAD.size + count


class SegmentWriter:
    """Writes one segment; it appears when it is `finish`ed, and otherwise leaves nothing."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, TemporaryFile(path)
        self._hash = hashlib.sha256()

    def add(self, frame: int, flags: int, data: bytes) -> None:
        """Write a packet. Raises `OutputError`."""
        self._write(_HEAD.pack(frame, flags, len(data)), data)

    def finish(
        self, times: Sequence[int], durations: Sequence[int], facts: Mapping[str, Any]
    ) -> Segment:
        """Complete the segment. Raises `OutputError`."""
        document = {"times": list(times), "durations": list(durations), **facts}
        text = json.dumps(document).encode()
        self._write(text, _TAIL.pack(len(text)))
        self._write(self._hash.digest())
        self._file.finish()
        return Segment(self._path, tuple(times), tuple(durations), dict(facts))

    def abort(self) -> None:
        """Remove it. Does nothing after `finish`."""
        self._file.abort()

    def _write(self, *parts: bytes) -> None:
        try:
            for part in parts:
                self._hash.update(part)
                write_all(self._file.file, part)
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from error


def read_segment(path: Path) -> Segment | None:
    """A segment; None if there is none, or it is damaged."""
    try:
        size = path.stat().st_size
        if size < _DIGEST + _TAIL.size:
            return None
        with path.open("rb") as file:
            digest, left = hashlib.sha256(), size - _DIGEST
            while left:
                block = file.read(min(left, _BLOCK))
                if not block:
                    return None
                digest.update(block)
                left -= len(block)
            if file.read() != digest.digest():
                return None
            file.seek(size - _DIGEST - _TAIL.size)
            (length,) = _TAIL.unpack(file.read(_TAIL.size))
            file.seek(size - _DIGEST - _TAIL.size - length)
            document = json.loads(file.read(length))
    except OSError:
        return None
    times, durations = tuple(document.pop("times")), tuple(document.pop("durations"))
    return Segment(path, times, durations, document)


class SegmentStore:
    """The segments of one result. Use it in `with`, and `remove` it when the result is complete;
    otherwise they stay, unless `keep` is off.

    `facts`: everything that determines the segments; those of anything else are removed. `notes`:
    what was found. Raises `OutputError` as `PartsFolder` does.
    """

    def __init__(self, target: Path, facts: Mapping[str, Any], *, keep: bool = True) -> None:
        self._folder = PartsFolder(target, facts, _KIND)
        self.notes, self._keep = self._folder.notes, keep

    def tiles(self) -> list[tuple[int, int]]:
        """The tiles (width, height) of each pass of the run that made the segments."""
        try:
            found = json.loads((self._folder.path / _TILES).read_text())
            return [(int(width), int(height)) for width, height in found]
        except (OSError, ValueError):
            return []

    def begin(self, tiles: Sequence[Sequence[int]]) -> None:
        """Record the tiles of this run, and remove segments that were made with others."""
        wanted = [(int(width), int(height)) for width, height in tiles]
        if self.tiles() != wanted:
            self._folder.remove_parts()
            self._folder.write(_TILES, wanted)

    def path(self, number: int) -> Path:
        """The file of a segment, from 0 on."""
        return self._folder.part(number)

    def stored(self) -> list[Segment]:
        """The finished segments, from the first to the last before one that is missing."""
        found: list[Segment] = []
        while (path := self.path(len(found))).exists():
            segment = read_segment(path)
            if segment is None:
                self.notes.append(f"{path} was damaged and is made again")
                break
            found.append(segment)
        for path in self._folder.path.glob(f"{_KIND}-*"):
            if path.name >= self.path(len(found)).name:
                path.unlink(missing_ok=True)
        return found

    def sealing(self, seal: Seal | None) -> Seal:
        """`seal`, and after it what the folder notes of the file."""

        def both(file: BinaryIO) -> None:
            if seal is not None:
                seal(file)
            self._folder.sealed(file)

        return both

    def remove(self) -> None:
        """Remove the segments and the folder."""
        self._folder.remove()

    def close(self) -> None:
        """Release the folder; remove it if it is empty, or nothing is to be kept."""
        if not self._keep and not self._folder.is_over:
            self._folder.remove()
        self._folder.close()

    def __enter__(self) -> SegmentStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def kept_bytes(target: Path) -> int:
    """Bytes of the finished segments of `target`."""
    return sum(part_sizes(target, _KIND))
