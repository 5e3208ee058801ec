"""libvips, set up once, and its errors in one line."""

from __future__ import annotations

import re
from typing import BinaryIO

import pyvips


def disable_cache() -> None:
    """Turn libvips' cache of results off, in which whole decoded pictures would stay in memory."""
    pyvips.cache_set_max(0)


def explain(error: pyvips.Error) -> str:
    """The first thing that libvips has to say about an error, without its own names."""
    detail = getattr(error, "detail", "") or ""
    lines = [line.strip() for line in str(detail).splitlines() if line.strip()]
    line = lines[0] if lines else str(error.message).strip()
    return re.sub(r"^\w+: ", "", line) or "libvips gave no reason"


class FileCallbacks:
    """Reads and seeks of a file as libvips asks for them.

    libvips would swallow what a callback raises: `failure` keeps it.
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
    """A file that libvips reads through Python, so that it does not map it.

    What libvips maps counts as resident memory, the whole file in the end. Keep a reference while
    libvips reads.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.source = pyvips.SourceCustom()
        self.source.on_read(self._read)
        self.source.on_seek(self._seek)
