"""What enlarges the pictures of a batch: the protocol of workers, and this machine's."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from enlarge.batch import lanes
from enlarge.batch.archive import Member
from enlarge.batch.jobs import PictureJob, open_source
from enlarge.batch.lanes import MemoryLimit
from enlarge.batch.locations import File, Stream
from enlarge.batch.outcome import MADE, MadeByEnlargeError
from enlarge.batch.plan import BatchPlan, PlannedPicture
from enlarge.batch.remote import Remote
from enlarge.digests import stream_digest
from enlarge.errors import OptionError
from enlarge.media.metadata.provenance import provenance_of
from enlarge.media.reading import open_picture
from enlarge.media.temporary import existing_output
from enlarge.memory import resident
from enlarge.picture.budget import USABLE
from enlarge.picture.choosing import finding_in_file
from enlarge.picture.hooks import Hooks, ProgressCallback
from enlarge.picture.looking import Finding
from enlarge.picture.model import OpenModel
from enlarge.picture.resuming import Transfer
from enlarge.picture.run import Done, enlarge_file
from enlarge.settings import Settings

UNKNOWN = 1 << 62
"""The memory that a picture of unknown size may take."""

SealDigest = Callable[[str], None]
"""Receives the digest of a complete file before it gets its name; what it raises prevents that."""


class Worker(Protocol):
    """Enlarges the pictures of a batch. Threads share it."""

    @property
    def model(self) -> OpenModel:
        """The model that it runs."""

    @property
    def lanes(self) -> int:
        """How many pictures it takes at once."""

    def opened(self, batch: BatchPlan, shared: tuple[Path, ...]) -> AbstractContextManager[None]:
        """Be ready for the pictures of a batch. `shared`: files that every machine has to see.

        Raises `EngineError`.
        """

    def reserved(self, picture: PlannedPicture) -> AbstractContextManager[None]:
        """Hold the memory that a picture takes here."""

    def make(self, job: PictureJob, seal: SealDigest | None, cancel: threading.Event) -> Done:
        """Enlarge one picture. Raises `EnlargeError`s."""


class LocalWorker:
    """Enlarges pictures in this process, several in parallel within the memory limit."""

    def __init__(
        self, model: OpenModel, settings: Settings, *, progress: ProgressCallback | None = None
    ) -> None:
        self.model = model
        self._settings, self._progress = settings, progress
        self._is_single = True
        self._limit: MemoryLimit | None = None
        self._lock = threading.Lock()

    @property
    def lanes(self) -> int:
        """How many pictures it takes at once."""
        return lanes.LANES

    @contextmanager
    def opened(self, batch: BatchPlan, shared: tuple[Path, ...]) -> Iterator[None]:
        """Be ready for the pictures of a batch."""
        self._is_single = len(batch.todo) == 1
        yield

    def reserved(self, picture: PlannedPicture) -> AbstractContextManager[None]:
        """Hold the memory that a picture takes, once the engine is there, which takes some too.

        Raises `EngineError` if there is no engine.
        """
        size, dtype = UNKNOWN, np.dtype(np.uint8)
        if picture.outlook is not None:
            dtype = picture.outlook.dtype
            if not self._is_single:
                size = picture.outlook.best_bytes
        with self._lock:
            if self._limit is None:
                self.model.engine(dtype)  # of a picture behind a URL it is not there yet
                self._limit = MemoryLimit(int(self._settings.budget * USABLE) - resident())
        return self._limit.reserved(size)

    def make(self, job: PictureJob, seal: SealDigest | None, cancel: threading.Event) -> Done:
        """Enlarge one picture. Raises `EnlargeError`s."""
        hooks = Hooks(self._progress, cancel)
        if job.video:
            return make_video(job, self._settings, self.model, hooks=hooks, seal=seal)
        return make_picture(job, self._settings, self.model, hooks=hooks, seal=seal)


def make_video(
    job: PictureJob,
    settings: Settings,
    model: OpenModel,
    *,
    hooks: Hooks,
    seal: SealDigest | None,
) -> Done:
    """Enlarge one video, a file, in this process into a file. Raises `EnlargeError`s."""
    from enlarge.video.run import enlarge_video

    assert isinstance(job.source, File)
    assert job.path is not None
    transfer = Transfer(job.source.path, job.path, job.digest, job.replace)
    return enlarge_video(transfer, settings, model, hooks=_sealing(hooks, seal))


def make_picture(
    job: PictureJob,
    settings: Settings,
    model: OpenModel,
    *,
    hooks: Hooks,
    seal: SealDigest | None,
    content: Any = None,
) -> Done:
    """Enlarge one picture in this process.

    `content`: the source as a stream, if it is open already (it stays open). A result behind a URL
    is written to a temporary file, and uploaded when it is complete and sealed. Raises
    `EnlargeError`s.
    """
    settings, hooks = job.chosen(settings), _sealing(hooks, seal)
    digest = job.digest or (job.source.digest if isinstance(job.source, Member) else None)
    with contextlib.ExitStack() as stack:
        source = content
        if source is None:
            source = stack.enter_context(wanted_picture(job, settings))
        if job.scanned and isinstance(job.source, Remote):
            _check_not_made(source.stored_at)
        if not isinstance(job.target, Remote):
            target: Path | BinaryIO = job.path or sys.stdout.buffer
            transfer = Transfer(source, target, digest, job.replace)
            return enlarge_file(transfer, settings, model, hooks=hooks)
        if not job.replace and job.target.exists():
            raise existing_output(job.target)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="enlarge-")))
        transfer = Transfer(source, folder / job.target.name, digest)
        done = enlarge_file(transfer, replace(settings, resume=False), model, hooks=hooks)
        if not job.replace and job.target.exists():  # by now; stores have no such condition
            raise existing_output(job.target)
        job.target.put(folder / job.target.name)
    return replace(done, output=str(job.target))


def _sealing(hooks: Hooks, seal: SealDigest | None) -> Hooks:
    """The hooks, with one that gives `seal` the digest of the complete file."""
    if seal is None:
        return hooks
    return replace(hooks, seal=lambda file: seal(stream_digest(file)))


def finding_of(job: PictureJob, settings: Settings) -> Finding:
    """What `auto` will find of a picture. Reads the beginning of it. Raises `EnlargeError`s."""
    settings = job.chosen(settings)
    with wanted_picture(job, settings) as source:
        return finding_in_file(source, settings)


@contextmanager
def wanted_picture(job: PictureJob, settings: Settings) -> Iterator[Any]:
    """A picture as `enlarge_file` reads it; of a video, the frame that is wanted. Raises
    `EnlargeError`s.
    """
    source = open_source(job.source)
    with contextlib.ExitStack() as stack:
        if not isinstance(job.source, File | Stream):
            stack.callback(source.close)
        yield source if settings.at is None else _still(source, settings)


def _still(source: Any, settings: Settings) -> bytes:
    """The frame of a video that is wanted, as a picture file. Raises `OptionError`."""
    from enlarge.video.still import still_picture

    if not isinstance(source, Path):
        raise OptionError("--at needs a video that is a file on this machine; save it first")
    return still_picture(source, settings)


def _check_not_made(path: Path) -> None:
    """Raise `MadeByEnlargeError` for a picture whose record says so; files were checked before."""
    with open_picture(path) as picture:
        if provenance_of(picture.metadata) is not None:
            raise MadeByEnlargeError(MADE)
