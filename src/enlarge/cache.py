"""The folder of what can be made again: compiled networks, and models made from checkpoints."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """ENLARGE_CACHE, else the platform's cache folder. It may not exist yet."""
    if chosen := os.environ.get("ENLARGE_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "enlarge"


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
