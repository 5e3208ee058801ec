"""Compiled graphs on disk, by a key of our own, so that a start reads neither the model's graph nor
computes its shapes.

An entry is a file `MODEL-KEY.blob` in the cache folder: 32 bytes with the SHA-256 of what follows,
then what OpenVINO exports. MODEL is the beginning of the digest of the model's file; KEY is that of
everything else that the compiled graph depends on. Damaged entries count as missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from enlarge.cache import cache_folder, trim_cache
from enlarge.version import __version__

LIMIT = 512 * 1024 * 1024
"""Bytes of compiled graphs that are kept; those used longest ago are deleted first."""
_LAYOUT = 2
"""To be raised whenever the code that builds graphs, or the form of an entry, changes."""
_DIGEST = 32
_EXTERNAL = b"location"
"""The key under which an ONNX file names the files that hold its weights."""


class CompiledGraphs:
    """The compiled graphs of one model file. Threads and processes may share the folder.

    `digest`: the SHA-256 of the file in hexadecimal digits, if it is known.
    """

    def __init__(self, model: Path, digest: str | None = None) -> None:
        self._model, self._known = model, digest

    def has_any(self) -> bool:
        """Whether a graph of this model was compiled before, so that its file is readable."""
        try:
            return next(cache_folder().glob(f"{self._digest}-*.blob"), None) is not None
        except OSError:
            return False

    def load(self, key: Mapping[str, Any]) -> bytes | None:
        """What was saved under `key`, marked as used now; None if it is missing or damaged."""
        try:
            path = self._path(key)
            with path.open("rb") as file:
                digest, content = file.read(_DIGEST), file.read()
        except OSError:
            return None
        if hashlib.sha256(content).digest() != digest:
            return None
        with contextlib.suppress(OSError):  # another user's
            os.utime(path)
        return content

    def save(self, key: Mapping[str, Any], content: bytes) -> None:
        """Keep a compiled graph, atomically. Where that is impossible (a folder that cannot be
        written, a full disk) it is compiled again next time, nothing worse.
        """
        with contextlib.suppress(OSError):
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                dir=path.parent, prefix=f".{path.stem[:20]}.", suffix=".part", delete=False
            ) as file:
                temporary = Path(file.name)
                try:
                    file.write(hashlib.sha256(content).digest())
                    file.write(content)
                    file.close()
                    temporary.chmod(0o644)
                    temporary.replace(path)
                except BaseException:
                    file.close()
                    temporary.unlink(missing_ok=True)
                    raise
            trim_cache(path.parent, LIMIT)

    def _path(self, key: Mapping[str, Any]) -> Path:
        """The entry's file. Raises `OSError` if the model cannot be read."""
        text = json.dumps([_LAYOUT, __version__, dict(key)], sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        return cache_folder() / f"{self._digest}-{name}.blob"

    @cached_property
    def _digest(self) -> str:
        """What stands for the model's file: the beginning of its digest. If its weights lie in
        other files, the state of all files beside it is included.
        """
        content = self._model.read_bytes()
        digest = self._known or hashlib.sha256(content).hexdigest()
        if _EXTERNAL in content:
            lines = []
            for path in sorted(self._model.parent.iterdir()):
                status = path.stat()
                lines.append(f"{path.name} {status.st_size} {status.st_mtime_ns}\n")
            digest = hashlib.sha256("".join([digest, *lines]).encode()).hexdigest()
        return digest[:32]
