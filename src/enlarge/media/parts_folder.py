"""The folder `NAME.parts/` beside a target, which holds what is finished of it.

It holds the finished parts, a file that says what they are of, and a lock, which the running
process holds. Each part appears when it is complete.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from enlarge.errors import OutputError
from enlarge.media.temporary import TemporaryFile, is_there, shortened, sweep, take_lock, write_all

_LOCK, _FACTS, _WRITTEN = "lock", "parts.json", "written.json"
_OURS = re.compile(
    r"lock|parts\.json|tiles\.json|written\.json|(band|segment)-\d{6}|\..+\.enlarge-.+\.part"
)
_TAIL = ".parts"


def parts_folder(target: Path) -> Path:
    """The folder of the parts of `target`."""
    target = target.resolve() if target.is_symlink() else target
    return target.with_name(shortened(target.name, _TAIL))


def part_sizes(target: Path, kind: str) -> list[int]:
    """Bytes of each finished part of `target`. `kind`: what they are, band or segment."""
    sizes = []
    with contextlib.suppress(OSError):
        for path in parts_folder(target).glob(f"{kind}-*"):
            with contextlib.suppress(OSError):  # another process can come between
                sizes.append(path.stat().st_size)
    return sizes


def facts_of_parts(target: Path) -> dict[str, Any]:
    """What the finished parts of `target` are of; empty if there are none."""
    try:
        found = json.loads((parts_folder(target) / _FACTS).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class PartsFolder:
    """The folder of one target, locked. `notes`: what was found. `kind`: what its parts are called,
    band or segment.

    `facts`: everything that determines the parts; those of anything else are removed. Raises
    `OutputError` if the folder cannot be made, holds other files, or is in use.
    """

    def __init__(self, target: Path, facts: Mapping[str, Any], kind: str) -> None:
        self.notes: list[str] = []
        self.path = parts_folder(target)
        self._target, self._kind = target, kind
        self._lock = self._locked()
        try:
            self._begin(json.loads(json.dumps(dict(facts))))
        except BaseException as error:  # an interrupt too: an empty folder would be left
            self.close()
            if isinstance(error, OSError):
                raise self.write_error(error) from error
            raise

    def write_error(self, error: OSError) -> OutputError:
        """The error for a folder that cannot be written."""
        return OutputError(f"{self.path}: cannot be written: {error.strerror or error}")

    def _locked(self) -> BinaryIO:
        path = self.path / _LOCK
        try:
            while True:
                self.path.mkdir(exist_ok=True)
                others = [name for name in os.listdir(self.path) if not _OURS.fullmatch(name)]  # noqa: PTH208
                if others:
                    raise OutputError(
                        f"{self.path}: is needed for the finished {self._kind}s of "
                        f"{self._target.name}, but holds {others[0]}; move it, or choose another "
                        "output"
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
            raise self.write_error(error) from error

    def _begin(self, facts: dict[str, Any]) -> None:
        """Keep the parts that are of the same result, and remove all others."""
        sweep(self.path)
        (self.path / _WRITTEN).unlink(missing_ok=True)
        if facts_of_parts(self._target) != facts:
            self.remove_parts()
            self.write(_FACTS, facts)

    def write(self, name: str, document: Any) -> None:
        """Write a file of JSON. Raises `OutputError`."""
        temporary = TemporaryFile(self.path / name)
        try:
            write_all(temporary.file, json.dumps(document, indent=1, ensure_ascii=False).encode())
            temporary.finish()
        except OSError as error:
            raise self.write_error(error) from error
        finally:
            temporary.abort()

    def part(self, number: int) -> Path:
        """The file of a part, from 0 on."""
        return self.path / f"{self._kind}-{number:06}"

    def remove_parts(self) -> None:
        """Remove all parts, and note it."""
        old = list(self.path.glob(f"{self._kind}-*"))
        for path in old:
            path.unlink()
        if old:
            self.notes.append(
                f"removed {len(old)} finished {self._kind}s in {self.path}: they are from another "
                "input, other settings or another version"
            )

    def sealed(self, file: BinaryIO) -> None:
        """Record which file is about to become the target; then the parts are no longer needed."""
        with contextlib.suppress(OSError):  # a full disk; `remove` still removes the parts
            (self.path / _WRITTEN).write_text(_mark(os.fstat(file.fileno())))

    @property
    def is_over(self) -> bool:
        """Whether the folder was removed or released."""
        return self._lock.closed

    def remove(self) -> None:
        """Remove the folder and all parts."""
        _clear(self.path, self._lock)

    def close(self) -> None:
        """Release the folder; remove it if there are no parts."""
        if self.is_over:
            return
        if not part_sizes(self._target, self._kind):
            self.remove()
        self._lock.close()


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
