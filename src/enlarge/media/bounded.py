"""Looking into a file: pieces whose length the file itself claims, and its position kept."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def position_kept(file: BinaryIO) -> Iterator[None]:
    """Put the file back to the position that it has now."""
    before = file.tell()
    try:
        yield
    finally:
        file.seek(before)


def read_at_most(file: BinaryIO, size: int) -> bytes:
    """The next `size` bytes, or fewer where the file ends. Python reserves memory for all the bytes
    that it is asked for, and damaged files claim gigabytes.
    """
    before = file.tell()
    left = file.seek(0, os.SEEK_END) - before
    file.seek(before)
    return file.read(max(min(size, left), 0))
