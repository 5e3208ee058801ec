"""What a machine of a cluster does: one open model, which several pictures share.

A picture takes two calls, so that the ledger, which only the driver writes, knows the digest of a
file before it gets its name: `begin` returns the digest of the complete file, `finish` gives it its
name. Nothing here knows Ray; Ray makes an actor of it.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.batch.jobs import PictureJob, open_source
from enlarge.batch.lanes import MemoryLimit
from enlarge.batch.locations import File, Stream
from enlarge.batch.remote import Remote
from enlarge.batch.worker import UNKNOWN, make_picture
from enlarge.cache import cache_folder
from enlarge.card import Card
from enlarge.digests import file_digest
from enlarge.engines import EngineOptions
from enlarge.errors import Cancelled, EngineError, OutputError
from enlarge.media.reading import open_picture
from enlarge.media.temporary import sweep
from enlarge.memory import resident, return_freed_memory
from enlarge.model_file import INT8_ENDING, Weights
from enlarge.picture.budget import USABLE
from enlarge.picture.hooks import Hooks
from enlarge.picture.layout import Layout
from enlarge.picture.model import OpenModel
from enlarge.picture.outlook import plan_picture
from enlarge.picture.run import Done
from enlarge.picture.tiles import RowRunner
from enlarge.picture.timings import Timings
from enlarge.settings import Settings
from enlarge.version import __version__

DEPTHS = ("uint8", "uint16")
"""Pictures for which engines may differ: of 8 bits, and of more."""
ANY_KIND = ""
"""Stands for all kinds of pictures."""


@dataclass(frozen=True)
class StoredModel:
    """A model file: its `path` on the driver, the SHA-256 `digests` of it and of its 8-bit form, by
    name, its `card`, and the `precisions` that the driver chose for `DEPTHS`.
    """

    path: Path
    digests: dict[str, str]
    card: Card
    precisions: tuple[str, ...]


@dataclass(frozen=True)
class Setup:
    """What has to be the same on every machine: the `version` of enlarge, the `models` by the kinds
    of pictures that they are for (see `picture.looking`; "": for all), the `card` that stands for
    them, and the `settings` with the driver's engine and device. `shared`: files that every machine
    has to see.
    """

    version: str
    models: dict[str, StoredModel]
    card: Card
    settings: Settings
    engine: str
    device: str
    shared: tuple[Path, ...] = ()


@dataclass
class _Task:
    """A picture in progress. `sealed`: its digest is known, or it failed. `released`: it may get
    its name.
    """

    cancel: threading.Event = field(default_factory=threading.Event)
    sealed: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    digest: str = ""
    done: Done | None = None
    error: Exception | None = None
    thread: threading.Thread | None = None


class ClusterNode:
    """The work of one machine. Threads may share it.

    Problems with a picture are returned, not raised: what Ray raises is about machines.
    """

    def __init__(self, setup: Setup, threads: int) -> None:
        self._setup, self._threads = setup, threads
        self._host = socket.gethostname()
        self._keys = itertools.count()
        self._tasks: dict[int, _Task] = {}
        self._running: list[_Task] = []
        self._swept: set[Path] = set()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._rows = threading.local()

    def open(self, files: Mapping[str, bytes]) -> str | Exception:
        """Open the model, given its files by name. Returns this machine's name, or why it cannot
        help.
        """
        return_freed_memory()
        try:
            self._check_setup()
            self._model = self._open_model(files)
        except Exception as error:
            return error
        self._memory = MemoryLimit(int(self._setup.settings.budget * USABLE) - resident())
        return self._host

    def _check_setup(self) -> None:
        """Raise an error if this machine has another version, or does not see the results."""
        setup = self._setup
        if setup.version != __version__:
            raise EngineError(
                f"{self._host} has enlarge {__version__}, the machine where the command runs "
                f"{setup.version}; install the same on both"
            )
        for path in setup.shared:
            if not path.exists():
                raise OutputError(
                    f"{self._host} does not see {path.parent}; -o must name a folder that all "
                    "machines share under one path, or s3://BUCKET/PREFIX"
                )

    def _open_model(self, files: Mapping[str, bytes]) -> OpenModel:
        """The model. Raises `EngineError` if it would compute in another precision here."""
        setup = self._setup
        kinds = {
            kind: Weights(_local_model(stored, files), stored.card)
            for kind, stored in setup.models.items()
        }
        weights = next(iter(kinds.values()))
        if ANY_KIND not in kinds:
            weights = Weights(weights.path, setup.card, choices=kinds)
        precision = setup.settings.precision
        model = OpenModel(
            weights, EngineOptions(setup.engine, setup.device, precision, self._threads)
        )
        for kind, stored in setup.models.items():
            one = _for_kind(model, kind)
            chosen = tuple(one.engine(np.dtype(depth)).precision for depth in DEPTHS)
            if chosen != stored.precisions:
                raise EngineError(
                    f"{self._host} would compute {stored.card.name} in "
                    f"{' and '.join(chosen)}, the machine where the command runs in "
                    f"{' and '.join(stored.precisions)}; use --precision f32, which is the same on "
                    "both"
                )
        return model

    def begin(self, job: PictureJob) -> tuple[int, str] | Exception:
        """Enlarge a picture until it needs its name. Returns a key, and the digest of the complete
        file.
        """
        task = _Task()
        task.thread = threading.Thread(target=self._run, args=(job, task), daemon=True)
        with self._lock:
            if self._stop.is_set():
                return Cancelled("cancelled")
            self._running.append(task)
            task.thread.start()
        task.sealed.wait()
        if task.error is not None:
            return task.error
        with self._lock:
            key = next(self._keys)
            self._tasks[key] = task
        return key, task.digest

    def finish(self, key: int) -> Done | Exception:
        """Give the file of `begin` its name."""
        return self._end(key)

    def drop(self, key: int) -> None:
        """Remove the file of `begin`."""
        self._tasks[key].cancel.set()
        self._end(key)

    def stop(self) -> None:
        """Remove all unfinished files, and start nothing more."""
        with self._lock:
            self._stop.set()
            left = list(self._running)
        for task in left:
            task.cancel.set()
            task.released.set()
        for task in left:
            assert task.thread is not None
            task.thread.join()

    def _end(self, key: int) -> Done | Exception:
        with self._lock:
            task = self._tasks.pop(key)
        assert task.thread is not None
        task.released.set()
        task.thread.join()
        result = task.error or task.done
        assert result is not None
        return result

    def _run(self, job: PictureJob, task: _Task) -> None:
        """Enlarge a picture, in its thread, which waits before naming the file."""

        def seal(digest: str) -> None:
            task.digest = digest
            task.sealed.set()
            task.released.wait()
            if task.cancel.is_set():
                raise Cancelled("cancelled")

        try:
            self._sweep(job)
            with contextlib.ExitStack() as stack:
                content = None
                if isinstance(job.source, Remote):  # downloaded while others compute
                    content = stack.enter_context(contextlib.closing(job.source.open()))
                size = self._memory_needed(job, content)
                # What waits for the driver's answer holds its memory: little, and not for long.
                stack.enter_context(self._memory.reserved(size))
                task.done = make_picture(
                    job,
                    self._setup.settings,
                    self._model,
                    hooks=Hooks(cancel=task.cancel),
                    seal=seal,
                    content=content,
                )
        except Exception as error:
            task.error = error
        finally:
            task.sealed.set()
            with self._lock:
                self._running.remove(task)

    def _sweep(self, job: PictureJob) -> None:
        """Remove, once, what dead processes of this machine left in the folder of a result."""
        if job.path is None:
            return
        with self._lock:
            is_new = job.path.parent not in self._swept
            self._swept.add(job.path.parent)
        if is_new:
            sweep(job.path.parent)

    def _memory_needed(self, job: PictureJob, content: Any) -> int:
        """Bytes that a picture takes here. Raises `InputError`, `OptionError` or `OutputError`."""
        assert not isinstance(job.source, Stream)
        opened = open_source(job.source) if content is None else content
        settings = job.chosen(self._setup.settings)
        try:
            page, salvage = settings.single_page, settings.salvage
            with open_picture(opened, page=page, salvage=salvage) as picture:
                facts = picture.facts
        finally:
            if content is None and not isinstance(job.source, File):
                opened.close()
        return plan_picture(facts, settings, self._model).best_bytes

    def rows(
        self, kind: str, layout: Layout, number: int, strip: NDArray[Any]
    ) -> list[NDArray[Any]] | Exception:
        """Compute a row of tiles of a picture of that kind that is joined elsewhere: see
        `RowRunner`.
        """
        try:
            with self._memory.reserved(UNKNOWN):  # a tile may be as large as the memory allows
                local = self._rows
                if getattr(local, "work", None) != (kind, layout):
                    engine = _for_kind(self._model, kind).engine(layout.dtype)
                    local.runner = RowRunner(engine, layout, Timings())
                    local.work = kind, layout
                return [np.array(tile) for tile in local.runner(number, strip, self._stop)]
        except Exception as error:
            return error


def _for_kind(model: OpenModel, kind: str) -> OpenModel:
    """The model that enlarges a kind of picture."""
    return model if kind == ANY_KIND else model.chosen(kind)


def _local_model(stored: StoredModel, files: Mapping[str, bytes]) -> Path:
    """A model's file on this machine: the same path if it has the same content, else a copy, with
    what belongs to it beside it.
    """
    digests, path = stored.digests, stored.path
    with contextlib.suppress(OSError):
        if {name: file_digest(path.with_name(name)) for name in digests} == digests:
            return path
    key = sha256("".join(sorted(digests.values())).encode()).hexdigest()
    folder = cache_folder() / "cluster" / key[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for name in _names(path):
        if name in files and not (folder / name).is_file():
            part = folder / f".{name}.{socket.gethostname()}-{threading.get_native_id()}.part"
            part.write_bytes(files[name])
            part.replace(folder / name)
    return folder / path.name


def setup_for(model: OpenModel, settings: Settings, shared: tuple[Path, ...]) -> Setup:
    """The setup that makes other machines compute what `model` would compute here."""
    kinds = tuple(model.weights.choices) or (ANY_KIND,)
    first = _for_kind(model, kinds[0]).engine(np.dtype(DEPTHS[0]))
    return Setup(
        version=__version__,
        models={kind: _stored(_for_kind(model, kind)) for kind in kinds},
        card=model.card,
        settings=settings,
        engine=first.name,
        device=first.device.partition(":")[0],  # Ray shows each actor its own GPUs only
        shared=shared,
    )


def _stored(model: OpenModel) -> StoredModel:
    own = [model.weights, *filter(None, [model.weights.int8])]
    return StoredModel(
        path=model.path,
        digests={weights.path.name: weights.digest for weights in own},
        card=model.card,
        precisions=tuple(model.engine(np.dtype(depth)).precision for depth in DEPTHS),
    )


def model_files(setup: Setup) -> dict[str, bytes]:
    """The files of the models by name: the ONNX files, their 8-bit forms, and for torch the weights
    beside them.
    """
    files = [
        stored.path.with_name(name)
        for stored in setup.models.values()
        for name in _names(stored.path)
    ]
    return {file.name: file.read_bytes() for file in files if file.is_file()}


def _names(path: Path) -> tuple[str, ...]:
    """The names of the files that may belong to a model."""
    return path.name, path.stem + INT8_ENDING, path.with_suffix(".safetensors").name
