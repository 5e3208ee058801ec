"""The folder of what can be made again: compiled networks, and models made from checkpoints."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path


def cache_folder() -> Path:
    """ENLARGE_CACHE, else the platform's cache folder. It may not exist yet. For a user without a
    home folder, as services and containers have them, it is temporary and ends with the process.
    """
    if chosen := os.environ.get("ENLARGE_CACHE"):
        return Path(chosen)
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # Path.home() finds none
        base = _temporary_folder()
    return base / "enlarge"


@cache
def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="enlarge-cache-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def is_temporary() -> bool:
    """Whether `cache_folder()` gave a folder that ends with the process."""
    return _temporary_folder.cache_info().currsize > 0


def trim_cache(folder: Path, limit: int) -> None:
    """Delete the compiled networks (`*.blob`, as OpenVINO calls them) that were used longest ago
    until those in the folder hold at most `limit` bytes. Whatever else lies there is left alone.
    """
    files = []
    for path in folder.glob("*.blob"):
        try:
            status = path.stat()
        except OSError:
            continue  # another process trimmed it first
        files.append((max(status.st_mtime, status.st_atime), status.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit:
            return
        with contextlib.suppress(OSError):  # somebody else's, in a folder that is shared
            path.unlink(missing_ok=True)
            total -= size
