"""Reading pieces of a file whose length the file itself claims."""

from __future__ import annotations

import os
from typing import BinaryIO


def read_at_most(file: BinaryIO, size: int) -> bytes:
    """The next `size` bytes, or fewer where the file ends. Python reserves memory for all the bytes
    that it is asked for, and damaged files claim gigabytes.
    """
    before = file.tell()
    left = file.seek(0, os.SEEK_END) - before
    file.seek(before)
    return file.read(max(min(size, left), 0))
