"""The cache of converted and mixed models, which are made once and then reused.

A model has a folder `models/NAME/` in the cache, where NAME contains everything that it depends on.
The folder holds `STEM.onnx` and, for networks of this package, `STEM.safetensors`, both with a
complete card; or, for another project's ONNX file or a model that only ncnn runs, which are used
where they lie, only the card.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from enlarge.cache import cache_folder
from enlarge.card import Card, read_card
from enlarge.errors import WeightsError
from enlarge.model_file import Weights

LIMIT = 2 * 1024**3
"""Bytes of models that are kept; the least recently used are evicted first."""
CARD_FILE = "card.json"
_STALE = 24 * 3600


def cached_model(name: str, path: Path, make: Callable[[Path], None]) -> Weights:
    """The model in the cache under `name`; `make` writes it first if it is not there.

    `make` gets an empty folder and writes there either `path`'s stem with `.onnx`, or `CARD_FILE`
    for the ONNX file at `path` itself. Only one process makes a model at a time, if filelock is
    installed. Raises what `make` raises, and `WeightsError` if the cache cannot hold the model.
    """
    folder = _folder()
    if found := _load(folder / name, path):
        return found
    with _locked(folder, name):
        if found := _load(folder / name, path):  # made by another process in the meantime
            return found
        new = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=folder))
        failure = None
        try:
            _make(new, make)
            if _load(folder / name, path) is None:  # the cached one is damaged
                shutil.rmtree(folder / name, ignore_errors=True)
            new.rename(folder / name)
        except OSError as error:  # also if another process was faster
            failure = error
        finally:
            shutil.rmtree(new, ignore_errors=True)
        with contextlib.suppress(OSError):
            _trim(folder, folder / name)
    found = _load(folder / name, path)
    if found is None:
        raise WeightsError(
            f"{folder}: cannot store the converted model; check that the folder is writable"
        ) from failure
    return found


def _make(new: Path, make: Callable[[Path], None]) -> None:
    """Let `make` fill the folder. Raises `OSError` where it fails since the folder was deleted."""
    try:
        make(new)
    except WeightsError:
        new.stat()
        raise


def find_cached(name: str, path: Path) -> Weights | None:
    """The model in the cache under `name` (see `cached_model`), or None. Never raises."""
    return _load(_folder() / name, path)


def failure_file(name: str) -> Path:
    """Where it is recorded that the model of that name could not be made."""
    return _folder() / f".{name}.failed"


def is_being_made(name: str) -> bool:
    """Whether a process makes the model of that name now, as far as locks tell."""
    try:
        with _locked(_folder(), name, timeout=0.0):
            return False
    except TimeoutError:
        return True


def _load(place: Path, path: Path) -> Weights | None:
    """The model in that folder of the cache, marked as used now; None if it is not usable."""
    kept, model = place / CARD_FILE, place / f"{path.stem}.onnx"
    try:
        if kept.is_file():
            found = Weights(path, Card.from_json(kept.read_text(encoding="utf-8"), str(path)))
        elif model.is_file() and (card := read_card(model)) is not None:
            found = Weights(model, card)
        else:
            return None
    except (OSError, WeightsError):
        return None
    with contextlib.suppress(OSError):
        os.utime(place)
    return found


def _folder() -> Path:
    """`models/` in the cache or, if that is not writable, a folder that this process deletes."""
    folder = cache_folder() / "models"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return _spare_folder()
    return folder


@cache
def _spare_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="enlarge-models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _locked(folder: Path, name: str, timeout: float = -1.0) -> Any:
    """A lock on one model for one process at a time, if filelock is installed (torch depends on
    it). Entering it raises `TimeoutError` after `timeout` seconds, unless that is negative.
    """
    try:
        from filelock import FileLock
    except ImportError:
        return contextlib.nullcontext()
    return FileLock(folder / f".{name}.lock", timeout)


def _trim(folder: Path, newest: Path) -> None:
    """Delete the least recently used models beyond `LIMIT`, but never the newest, and leftovers of
    killed processes.
    """
    total, found = 0, []
    for place in folder.iterdir():
        try:
            age = time.time() - place.stat().st_mtime
            if place.name.startswith("."):
                if place.is_dir() and age > _STALE:
                    shutil.rmtree(place, ignore_errors=True)
                continue
            size = sum(file.stat().st_size for file in place.iterdir())
        except OSError:
            continue  # another process trimmed it first
        total += size
        found.append((place == newest, -age, size, place))
    for _, _, size, place in sorted(found)[:-1]:
        if total <= LIMIT:
            return
        gone = place.with_name(f".{place.name}.{os.getpid()}.gone")
        with contextlib.suppress(OSError):
            place.rename(gone)  # atomic, for processes that look for it
            shutil.rmtree(gone, ignore_errors=True)
            total -= size
