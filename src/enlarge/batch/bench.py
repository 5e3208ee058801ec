"""What a machine of a cluster does: one open model, which several pictures share.

A picture is done in two steps, so that the ledger, which only the driver writes, knows the digest
of a file before it gets its name: `begin` gives the digest of the whole file, `finish` the name.
Nothing here knows Ray; Ray makes an actor of it.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge import __version__
from enlarge.batch.jobs import STREAM, Job
from enlarge.batch.lanes import Room
from enlarge.batch.worker import Recipe, make_here
from enlarge.cache import cache_folder
from enlarge.card import Card
from enlarge.errors import Cancelled, EngineError, OutputError
from enlarge.media.reading import open_picture
from enlarge.media.temporary import sweep
from enlarge.memory import default_budget, resident, return_freed_memory
from enlarge.picture.budget import USABLE
from enlarge.picture.hooks import Hooks
from enlarge.picture.layout import Layout
from enlarge.picture.outlook import plan_picture
from enlarge.picture.run import Done
from enlarge.picture.tiles import RowRunner
from enlarge.picture.timings import Timings
from enlarge.settings import Settings
from enlarge.upscaler import Upscaler
from enlarge.weights.files import Weights

DEPTHS = ("uint8", "uint16")
"""Pictures for which engines may differ: of 8 bits, and of more."""


@dataclass(frozen=True)
class Setup:
    """What every machine is to do the same: `version` of enlarge, the model (`path` where the
    driver has it, `digest` of it), the wishes for its engine, the `precisions` that the driver
    chose for `DEPTHS`, and the recipe. `marks`: files that must be seen from every machine.
    """

    version: str
    path: Path
    digest: str
    card: Card
    engine: str
    device: str
    precision: str
    precisions: tuple[str, ...]
    recipe: Recipe
    marks: tuple[Path, ...] = ()


@dataclass
class _Task:
    """A picture under way. `told`: its digest is known, or it failed; `may`: go on to its name."""

    cancel: threading.Event = field(default_factory=threading.Event)
    told: threading.Event = field(default_factory=threading.Event)
    may: threading.Event = field(default_factory=threading.Event)
    digest: str = ""
    done: Done | None = None
    error: Exception | None = None
    thread: threading.Thread | None = None


class Bench:
    """A machine's place of work. Threads may share it.

    What goes wrong with a picture is returned, not raised: what Ray raises is about machines.
    """

    def __init__(self, setup: Setup, threads: int) -> None:
        self._setup, self._threads = setup, threads
        self._host = socket.gethostname()
        self._keys = itertools.count()
        self._tasks: dict[int, _Task] = {}
        self._begun: list[_Task] = []
        self._swept: set[Path] = set()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._rows = threading.local()

    def open(self, files: Mapping[str, bytes]) -> str | Exception:
        """Open the model, given its files by name: this machine's name, or why it cannot help."""
        setup = self._setup
        return_freed_memory()
        try:
            if setup.version != __version__:
                raise EngineError(
                    f"{self._host} has enlarge {__version__}, the machine where the command runs "
                    f"{setup.version}; install the same on both"
                )
            for mark in setup.marks:
                if not mark.exists():
                    raise OutputError(
                        f"{self._host} does not see {mark.parent}; -o must name a folder that all "
                        "machines share under one path, or s3://BUCKET/PREFIX"
                    )
            path = _model_here(setup, files)
            self._upscaler = Upscaler(
                Weights(path, setup.card),
                engine=setup.engine,
                device=setup.device,
                precision=setup.precision,
                threads=self._threads,
            )
            chosen = tuple(self._upscaler.engine(np.dtype(depth)).precision for depth in DEPTHS)
            if chosen != setup.precisions:
                raise EngineError(
                    f"{self._host} would compute in {chosen[0]}, the machine where the command "
                    f"runs in {setup.precisions[0]}; --precision f32 works the same on both"
                )
        except Exception as error:
            return error
        memory = setup.recipe.options["memory"]
        budget = default_budget() if memory is None else memory
        self._room = Room(int(budget * USABLE) - resident())
        return self._host

    def begin(self, job: Job) -> tuple[int, str] | Exception:
        """Enlarge a picture up to where it gets its name: a key, and the whole file's digest."""
        task = _Task()
        task.thread = threading.Thread(target=self._do, args=(job, task), daemon=True)
        with self._lock:
            if self._stop.is_set():
                return Cancelled("cancelled")
            self._begun.append(task)
            task.thread.start()
        task.told.wait()
        if task.error is not None:
            return task.error
        with self._lock:
            key = next(self._keys)
            self._tasks[key] = task
        return key, task.digest

    def finish(self, key: int) -> Done | Exception:
        """Give it its name."""
        return self._end(key)

    def drop(self, key: int) -> None:
        """Leave nothing of it."""
        self._tasks[key].cancel.set()
        self._end(key)

    def stop(self) -> None:
        """Leave nothing of what is under way, and begin nothing more."""
        with self._lock:
            self._stop.set()
            left = list(self._begun)
        for task in left:
            task.cancel.set()
            task.may.set()
        for task in left:
            assert task.thread is not None
            task.thread.join()

    def _end(self, key: int) -> Done | Exception:
        with self._lock:
            task = self._tasks.pop(key)
        assert task.thread is not None
        task.may.set()
        task.thread.join()
        result = task.error or task.done
        assert result is not None
        return result

    def _do(self, job: Job, task: _Task) -> None:
        """The picture's thread: it stops before the name until it is told to go on."""

        def seal(digest: str) -> None:
            task.digest = digest
            task.told.set()
            task.may.wait()
            if task.cancel.is_set():
                raise Cancelled("cancelled")

        try:
            self._sweep(job)
            with contextlib.ExitStack() as stack:
                source = None
                if job.origin is not None:  # fetched while others compute
                    source = stack.enter_context(contextlib.closing(job.origin.open()))
                need = self._need(job, source)
                # What waits for the driver's word holds its room: little, for little time.
                stack.enter_context(self._room.taken(need))
                task.done = make_here(
                    job,
                    seal,
                    upscaler=self._upscaler,
                    recipe=self._setup.recipe,
                    hooks=Hooks(cancel=task.cancel),
                    source=source,
                )
        except Exception as error:
            task.error = error
        finally:
            task.told.set()
            with self._lock:
                self._begun.remove(task)

    def _sweep(self, job: Job) -> None:
        """Remove what dead processes of this machine left where a result is to lie, once."""
        if job.path is None:
            return
        with self._lock:
            is_new = job.path.parent not in self._swept
            self._swept.add(job.path.parent)
        if is_new:
            sweep(job.path.parent)

    def _need(self, job: Job, source: Any) -> int:
        """Bytes that a picture takes here. Raises `InputError`, `OptionError` or `OutputError`."""
        assert job.source != STREAM
        inside = job.member.open() if job.member is not None else None
        opened: Any = inside or source or Path(job.source)
        with open_picture(opened) as picture:
            facts = picture.facts
        if inside is not None:
            inside.close()
        settings = Settings(**self._setup.recipe.options)
        return plan_picture(facts, settings, self._upscaler).best_bytes

    def rows(
        self, layout: Layout, number: int, strip: NDArray[Any]
    ) -> list[NDArray[Any]] | Exception:
        """A row of tiles of a picture that is joined elsewhere: see `RowRunner`."""
        try:
            with self._room.taken(1 << 62):  # such a tile may be as large as the memory allows
                made = self._rows
                if getattr(made, "layout", None) != layout:
                    made.runner = RowRunner(self._upscaler.engine(layout.dtype), layout, Timings())
                    made.layout = layout
                return [np.array(tile) for tile in made.runner(number, strip, self._stop)]
        except Exception as error:
            return error


def _model_here(setup: Setup, files: Mapping[str, bytes]) -> Path:
    """The model's file on this machine: the same path where it holds the same, else a copy."""
    with contextlib.suppress(OSError):
        if sha256(setup.path.read_bytes()).hexdigest() == setup.digest:
            return setup.path
    folder = cache_folder() / "cluster" / setup.digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        if not (folder / name).is_file():
            part = folder / f".{name}.{socket.gethostname()}-{threading.get_native_id()}.part"
            part.write_bytes(data)
            part.replace(folder / name)
    return folder / setup.path.name


def setup_of(upscaler: Upscaler, recipe: Recipe, precision: str, marks: tuple[Path, ...]) -> Setup:
    """What makes other machines do what `upscaler` would do here. `precision`: as asked for."""
    engines = [upscaler.engine(np.dtype(depth)) for depth in DEPTHS]
    device = engines[0].device
    return Setup(
        version=__version__,
        path=upscaler.path,
        digest=upscaler.digest,
        card=upscaler.card,
        engine=engines[0].name,
        device=device.partition(":")[0],  # Ray shows each actor its own GPUs only
        precision=precision,
        precisions=tuple(engine.precision for engine in engines),
        recipe=replace(recipe, options=dict(recipe.options)),
        marks=marks,
    )


def model_files(path: Path) -> dict[str, bytes]:
    """The files of a model: the ONNX file, and for torch its weights beside it."""
    both = (path, path.with_suffix(".safetensors"))
    return {file.name: file.read_bytes() for file in both if file.is_file()}
