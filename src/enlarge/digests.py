"""SHA-256 digests of files, in hexadecimal digits."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stream_digest(file: BinaryIO) -> str:
    """The SHA-256 of the rest of an open file, which need not be seekable. Raises `OSError`."""
    digest = hashlib.sha256()
    while data := file.read(1 << 20):
        digest.update(data)
    return digest.hexdigest()
