"""Files that appear complete or not at all: written under a temporary name, then renamed.

The temporary file `.NAME.enlarge-HOST-PID.part` is in the target's folder, and is locked while its
writer runs; `sweep` removes those whose writers are gone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from enlarge.errors import OutputError

_LONGEST = 255
"""Bytes of a file name on nearly every file system."""
_TRIES = 20
_NAMING = 10.0
"""Seconds to wait while another process names a file in the same folder: it takes milliseconds."""
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
"""What file systems without hard links report."""
# Do not follow a link of that name.
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
LOCK = "lock"
"""The name of the lock file in a temporary folder."""


def existing_output(target: object) -> OutputError:
    """The error for an output that exists."""
    return OutputError(
        f"{target} exists; use --overwrite to replace it, or -o to choose another output"
    )


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", platform.node())[:40] or "localhost"


def temporary_name(name: str) -> str:
    """The temporary name of a file `name`: at most 255 bytes; see `shortened`."""
    return shortened(name, f".enlarge-{_host()}-{os.getpid()}.part", ".")


def shortened(name: str, tail: str, head: str = "") -> str:
    """`head`, `name` and `tail` in at most 255 bytes: a long name is cut and gets a digest."""
    stem = os.fsencode(name)
    room = _LONGEST - len(os.fsencode(head + tail))
    if len(stem) > room:
        digest = "~" + hashlib.sha256(stem).hexdigest()[:12]
        kept = stem[: room - len(digest)].decode(errors="ignore")  # never half a character
        return f"{head}{kept}{digest}{tail}"
    return f"{head}{name}{tail}"


def take_lock(file: BinaryIO) -> bool:
    """Lock a file for as long as its writer runs; False if another process holds the lock."""
    return _take_lock(file.fileno())


def _take_lock(number: int) -> bool:
    if sys.platform == "win32":
        return True  # an open file cannot be removed there: being open is the lock
    import fcntl

    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def is_there(file: BinaryIO, path: Path) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    """Write all bytes; a raw file may take fewer at a time. Raises `OSError`."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) or 0 :]


class TemporaryFile:
    """A new file, open for reading and writing as `file`, that becomes `target` or is removed.

    Raises `OutputError` if it cannot be created, or if another thread writes the same target.
    """

    def __init__(self, target: Path) -> None:
        self.target = target.resolve() if target.is_symlink() else target
        if self.target.is_dir():
            raise OutputError(f"{target}: is a folder; name a file in it")
        if self.target.exists() and not self.target.is_file():
            raise OutputError(f"{target}: is not a regular file; use - for standard output")
        self.path = self.target.with_name(temporary_name(self.target.name))
        self.file = self._open()
        self._is_over = False

    def _open(self) -> BinaryIO:
        for _ in range(_TRIES):
            try:
                descriptor = os.open(self.path, _FLAGS, 0o666)
            except FileNotFoundError as error:
                raise OutputError(
                    f"{self.target}: the folder {self.target.parent} does not exist"
                ) from error
            except OSError as error:
                raise OutputError(f"{self.target}: cannot be written: {error.strerror}") from error
            file = os.fdopen(descriptor, "r+b", buffering=0)
            if take_lock(file) and is_there(file, self.path):  # a sweep can come between
                file.truncate(0)
                return file
            file.close()
        raise OutputError(f"{self.target}: is being written by another task of this process")

    def finish(
        self,
        seal: Callable[[BinaryIO], None] | None = None,
        before: Callable[[], None] | None = None,
        *,
        overwrite: bool = True,
    ) -> None:
        """Flush the file to the disk and rename it. Raises `OutputError`.

        `seal` is called with the complete file, at its start, before it is renamed; if it raises,
        nothing is left behind. `before` is called directly before the renaming. Without
        `overwrite`, a target that exists by now stays as it is, and the file is removed.
        """
        try:
            os.fsync(self.file.fileno())
            if seal is not None:
                self.file.seek(0)
                seal(self.file)
            with _naming(self.target.parent):
                if not overwrite and os.path.lexists(self.target):
                    raise FileExistsError
                if before is not None:
                    before()
                if sys.platform == "win32":
                    self.file.close()
                _rename(self.path, self.target, overwrite)
                self._is_over = True
            self.file.close()
        except FileExistsError as error:
            self.abort()
            raise OutputError(
                f"{self.target} was written by another process in the meantime and is kept; this "
                "result is discarded: use --overwrite to replace it, or -o to choose another output"
            ) from error
        except OSError as error:
            self.abort()
            raise OutputError(f"{self.target}: cannot be written: {error.strerror}") from error
        except BaseException:
            self.abort()
            raise
        sync_folder(self.target.parent)

    def abort(self) -> None:
        """Remove it. Does nothing after `finish`."""
        if self._is_over:
            return
        self._is_over = True
        if sys.platform == "win32":
            self.file.close()
        self.path.unlink(missing_ok=True)
        self.file.close()


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Let one process at a time name files in a folder, where folders can be locked."""
    if sys.platform == "win32":
        yield
        return
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:  # it may be written, but not read
        yield
        return
    try:
        end = time.monotonic() + _NAMING
        while not _take_lock(number) and time.monotonic() < end:
            time.sleep(0.01)
        yield
    finally:
        os.close(number)


def _rename(path: Path, target: Path, overwrite: bool) -> None:
    """Rename a file. Raises `FileExistsError` where the target exists and may not be replaced."""
    if overwrite:
        path.replace(target)
        return
    if sys.platform == "win32":
        path.rename(target)  # which refuses a target that exists
        return
    try:
        os.link(path, target)  # in one step: no other program's file is replaced either
    except FileExistsError:
        if not path.samefile(target):  # a network file system repeats what it has done
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        path.replace(target)  # the folder is locked, and the target was not there
        return
    path.unlink()


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):  # not every file system syncs folders
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def sweep(folder: Path) -> list[Path]:
    """Remove the temporary files and folders in `folder` that ended processes of this host left.
    Returns their paths.
    """
    pattern = re.compile(rf"\..+\.enlarge-{re.escape(_host())}-\d+\.part", re.DOTALL)
    gone: list[Path] = []
    try:
        names = os.listdir(folder)  # noqa: PTH208, only names are needed
    except OSError:
        return gone
    for name in names:
        if not pattern.fullmatch(name):
            continue
        path = Path(folder) / name
        try:
            if path.is_dir() and not (path / LOCK).exists():
                path.rmdir()  # killed, or about to be filled: only where it is empty
                gone.append(path)
                continue
            with (path / LOCK if path.is_dir() else path).open("r+b") as file:
                if not take_lock(file):
                    continue
                if sys.platform == "win32":
                    file.close()
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        except OSError:
            continue  # not ours to remove, or gone already
        gone.append(path)
    return gone
