"""Finished bands of a large result, kept on the disk until all of it is written.

The folder `NAME.parts/` beside the target holds each band in a file of its own, which appears when
it is complete and ends with its digest, and `parts.json`, which says what the bands are of. The
running process holds a lock in the folder. After a killed run, the next one for the same result
reuses the bands and resumes at the first that is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import OutputError
from enlarge.media.temporary import TemporaryFile, is_there, shortened, sweep, take_lock

_LOCK, _FACTS, _WRITTEN = "lock", "parts.json", "written.json"
_OURS = re.compile(r"lock|parts\.json|written\.json|band-\d{6}|\..+\.enlarge-.+\.part")
_DIGEST = 32
_TAIL = ".parts"


def parts_folder(target: Path) -> Path:
    """The folder of the bands of `target`."""
    target = target.resolve() if target.is_symlink() else target
    return target.with_name(shortened(target.name, _TAIL))


def parts_bytes(target: Path) -> int:
    """Bytes of the bands of `target` that are finished."""
    return sum(_sizes(parts_folder(target)))


def count_parts(target: Path) -> int:
    """The number of bands of `target` that are finished."""
    return len(_sizes(parts_folder(target)))


def facts_of_parts(target: Path) -> dict[str, Any]:
    """What the finished bands of `target` are of, as given to `Parts`; empty if there are none."""
    try:
        found = json.loads((parts_folder(target) / _FACTS).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _sizes(folder: Path) -> list[int]:
    sizes = []
    with contextlib.suppress(OSError):
        for path in folder.glob("band-*"):
            with contextlib.suppress(OSError):  # another process can come between
                sizes.append(path.stat().st_size)
    return sizes


class Parts:
    """The finished bands of one result on the disk. Use it in `with`, and `remove` it when the
    result is complete; otherwise the bands stay.

    `facts`: everything that determines the bands; bands of anything else are removed. `heights`:
    the rows of each band, which is (rows, `width`, `channels`) of `dtype`. `notes`: what was found.
    Raises `OutputError` if the folder cannot be made, holds other files, or is in use.
    """

    def __init__(
        self,
        target: Path,
        facts: Mapping[str, Any],
        heights: Sequence[int],
        width: int,
        channels: int,
        dtype: np.dtype[Any],
    ) -> None:
        self.notes: list[str] = []
        self.folder = parts_folder(target)
        self._target, self._heights = target, heights
        self._row, self._dtype = (width, channels), dtype
        self._saving: Future[None] | None = None
        self._lock = self._locked()
        try:
            self._begin(json.loads(json.dumps(dict(facts))))
        except BaseException as error:
            self._lock.close()
            if isinstance(error, OSError):
                raise self._write_error(error) from error
            raise
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="enlarge-keep")

    def _write_error(self, error: OSError) -> OutputError:
        return OutputError(f"{self.folder}: cannot be written: {error.strerror or error}")

    def _locked(self) -> BinaryIO:
        path = self.folder / _LOCK
        try:
            while True:
                self.folder.mkdir(exist_ok=True)
                others = [name for name in os.listdir(self.folder) if not _OURS.fullmatch(name)]  # noqa: PTH208
                if others:
                    raise OutputError(
                        f"{self.folder}: is needed for the finished bands of {self._target.name}, "
                        f"but holds {others[0]}; move it, or choose another output"
                    )
                try:
                    file = path.open("a+b")
                except FileNotFoundError:  # the process that finished removed the folder
                    continue
                if not take_lock(file):
                    file.close()
                    raise OutputError(
                        f"{self._target}: another process is writing it; wait for that process, or "
                        "choose another output"
                    )
                if is_there(file, path):
                    return file
                file.close()
        except OSError as error:
            raise self._write_error(error) from error

    def _begin(self, facts: dict[str, Any]) -> None:
        """Keep the bands that are of the same result, and remove all others."""
        sweep(self.folder)
        (self.folder / _WRITTEN).unlink(missing_ok=True)
        described = self.folder / _FACTS
        if facts_of_parts(self._target) == facts:
            return
        bands = list(self.folder.glob("band-*"))
        for path in bands:
            path.unlink()
        if bands:
            self.notes.append(
                f"removed {len(bands)} finished bands in {self.folder}: they are from another "
                "input, other settings or another version"
            )
        temporary = TemporaryFile(described)
        temporary.file.write(json.dumps(facts, indent=1, ensure_ascii=False).encode())
        temporary.finish()

    def _path(self, number: int) -> Path:
        return self.folder / f"band-{number:06}"

    def stored(self) -> Iterator[NDArray[Any]]:
        """The finished bands, (n, width, channels), from the first to the last before one that is
        missing or damaged.
        """
        count = 0
        for number, height in enumerate(self._heights):
            band = np.empty((height, *self._row), self._dtype)
            try:
                with self._path(number).open("rb", buffering=0) as file:
                    whole = _fill(file, band) and _is_end(file, hashlib.sha256(band.data).digest())
            except FileNotFoundError:
                break
            except OSError:
                whole = False
            if not whole:
                self.notes.append(f"{self._path(number)} was damaged and is computed again")
                break
            count += 1
            yield band
            del band
        if count:
            self.notes.append(
                f"{count} of {len(self._heights)} bands were finished by an earlier run"
            )

    def save(self, number: int, band: NDArray[Any]) -> None:
        """Write a band, which must not be changed afterwards, in a thread, once the band before
        is written. Raises `OutputError` if that one could not be.
        """
        self._wait()
        self._saving = self._thread.submit(self._save, number, np.ascontiguousarray(band))

    def _save(self, number: int, band: NDArray[Any]) -> None:
        temporary = TemporaryFile(self._path(number))
        try:
            for data in (band.data.cast("B"), memoryview(hashlib.sha256(band.data).digest())):
                left = data
                while left:
                    left = left[temporary.file.write(left) or 0 :]
            temporary.finish()
        except OSError as error:
            temporary.abort()
            raise self._write_error(error) from error
        except BaseException:
            temporary.abort()
            raise

    def _wait(self) -> None:
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()

    def sealed(self, file: BinaryIO) -> None:
        """Record which file is about to become the target; then the bands are no longer needed."""
        with contextlib.suppress(OSError):  # a full disk; `remove` still removes the bands
            (self.folder / _WRITTEN).write_text(_mark(os.fstat(file.fileno())))

    def remove(self) -> None:
        """Remove the bands."""
        with contextlib.suppress(OutputError):
            self._wait()
        self._thread.shutdown()
        _clear(self.folder, self._lock)

    def close(self) -> None:
        """Wait until the last band is written and release the folder; remove it if it is empty."""
        if self._lock.closed:
            return
        with contextlib.suppress(OutputError):  # the error that led here matters more
            self._wait()
        self._thread.shutdown()
        if not _sizes(self.folder):
            _clear(self.folder, self._lock)
        self._lock.close()

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _fill(file: Any, band: NDArray[Any]) -> bool:
    """Read a band; False if the file is too short."""
    left = band.data.cast("B")
    while left:
        count = file.readinto(left)
        if not count:
            return False
        left = left[count:]
    return True


def _is_end(file: Any, digest: bytes) -> bool:
    return bool(file.read(_DIGEST + 1) == digest)


def _mark(status: os.stat_result) -> str:
    """What identifies a file before and after it is renamed."""
    return json.dumps([status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns])


def _clear(folder: Path, lock: BinaryIO) -> None:
    """Remove the folder, whose lock is held; the lock last, so that no process finds half of it."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208, only names are needed
            if name != _LOCK and _OURS.fullmatch(name):
                (folder / name).unlink(missing_ok=True)
        if sys.platform == "win32":
            lock.close()
        (folder / _LOCK).unlink(missing_ok=True)
        folder.rmdir()
    lock.close()


def sweep_parts(folder: Path) -> None:
    """Remove the bands of targets in `folder` that were completed just before a kill."""
    for path in folder.glob(f"*{_TAIL}/{_WRITTEN}"):
        parts = path.parent
        with contextlib.suppress(OSError):
            mark = path.read_text()
            is_made = any(
                _mark(other.stat()) == mark
                for other in folder.iterdir()
                if shortened(other.name, _TAIL) == parts.name
            )
            if not is_made:
                continue
            lock = (parts / _LOCK).open("a+b")
            if take_lock(lock):
                _clear(parts, lock)
            lock.close()
