"""Zip archives whose members are stored, not compressed, and that are the same every time."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

_TIME = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20


class _Entry(zipfile.ZipInfo):
    """An entry whose name need not be text: it is stored with the bytes that it has on the disk,
    without the mark that says UTF-8 (APPNOTE.TXT 4.4.4, bit 11), as Info-ZIP does.
    """

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the library's name
        try:
            self.filename.encode()
        except UnicodeEncodeError:
            return os.fsencode(self.filename), self.flag_bits & ~0x800
        encoded: tuple[bytes, int] = super()._encodeFilenameFlags()  # type: ignore[misc]
        return encoded


def write_stored_zip(file: BinaryIO, entries: Sequence[tuple[str, Path]]) -> None:
    """Put files, (name inside, path), into a zip, all with the same time: the same files give the
    same bytes. Names may hold bytes that are no text, as `os.fsdecode` gives them. Raises
    `OSError`.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, path in entries:
            info = _Entry(name, _TIME)
            info.create_system = 3  # Unix: the same on every system
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(info, "w") as entry:
                shutil.copyfileobj(source, entry, _CHUNK)
