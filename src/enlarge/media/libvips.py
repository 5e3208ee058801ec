"""libvips: its set-up, its errors in one line, and callbacks that read a Python file."""

from __future__ import annotations

import re
from typing import BinaryIO

import pyvips
from pyvips import vips_lib


def disable_cache() -> None:
    """Disable libvips' cache of results, which would keep whole decoded pictures in memory."""
    pyvips.cache_set_max(0)


def clear_errors() -> None:
    """Forget what libvips has collected so far: warnings of one picture would become the reason of
    the next one's error.
    """
    vips_lib.vips_error_clear()


def collected_errors() -> str:
    """What libvips has collected since it was last cleared, by whichever picture."""
    return str(pyvips.ffi.string(vips_lib.vips_error_buffer()).decode(errors="replace"))


def explain(error: pyvips.Error) -> str:
    """The first line of libvips' message, without the names of its functions."""
    detail = getattr(error, "detail", "") or ""
    lines = [line.strip() for line in str(detail).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("source: bad seek")] or lines
    line = telling[0] if telling else str(error.message).strip()
    return re.sub(r"^\w+: ", "", line) or "libvips gave no reason"


class FileCallbacks:
    """Callbacks with which libvips reads and seeks in a file.

    libvips ignores what a callback raises; it is kept in `failure`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.failure: BaseException | None = None
        self._file = file

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            self.failure = error
            return b""

    def _seek(self, offset: int, whence: int) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            self.failure = error
            return -1


class FileSource(FileCallbacks):
    """A file that libvips reads through Python instead of mapping it.

    Mapped files count as resident memory, in the end the whole file. Keep a reference while libvips
    reads.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.source = pyvips.SourceCustom()
        self.source.on_read(self._read)
        self.source.on_seek(self._seek)
