"""The worker that enlarges the pictures of a batch on the machines of a Ray cluster."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from enlarge.batch.archive import Member
from enlarge.batch.jobs import PictureJob
from enlarge.batch.lanes import LANES
from enlarge.batch.locations import File
from enlarge.batch.plan import BatchPlan, PlannedPicture
from enlarge.batch.ray_node import ANY_KIND, setup_for
from enlarge.batch.ray_pool import ClusterRows, Pool
from enlarge.batch.worker import SealDigest, finding_of, make_picture
from enlarge.errors import OptionError, OutputError
from enlarge.picture.hooks import Hooks, ProgressCallback
from enlarge.picture.model import OpenModel
from enlarge.picture.run import Done
from enlarge.settings import Settings

_APPEARS, _POLL = 60.0, 0.2
"""Seconds for a result to become visible here, and between two looks."""
_ROWS_SHARE = 4
"""A quarter of the memory budget is for rows of tiles in transit."""


def _ignore(line: str) -> None:
    pass


@dataclass(frozen=True)
class Notices:
    """Callbacks for lines about the machines: `warn`, a machine cannot be used; `inform`, a machine
    was lost; `detail`, how many there are.
    """

    warn: Callable[[str], None] = _ignore
    inform: Callable[[str], None] = _ignore
    detail: Callable[[str], None] = _ignore


_SILENT = Notices()


class ClusterWorker:
    """Enlarges pictures on the machines of the Ray cluster at `address` (auto, or HOST:PORT).

    A picture that is more than one machine's share of the work is computed on all of them, by its
    rows of tiles; the result is the same.
    """

    def __init__(
        self,
        address: str,
        model: OpenModel,
        settings: Settings,
        *,
        progress: ProgressCallback | None = None,
        notices: Notices = _SILENT,
    ) -> None:
        self.model = model
        self._address, self._settings = address, settings
        self._progress, self._notices = progress, notices
        self._one_by_one = threading.Lock()  # a picture that is spread has every machine
        self._spread: frozenset[str] = frozenset()

    @property
    def lanes(self) -> int:
        """How many pictures it takes at once."""
        return LANES * self._pool.size

    @contextmanager
    def opened(self, batch: BatchPlan, shared: tuple[Path, ...]) -> Iterator[None]:
        """Join the cluster and start the machines. Raises `EngineError` if there is no cluster, or
        none of its machines can help.
        """
        videos = [item.job.source_name for item in batch.todo if item.job.video]
        if videos:
            raise OptionError(
                f"--cluster takes pictures, and {videos[0]} is a video; leave --cluster out"
            )
        setup = setup_for(self.model, self._settings, shared)
        threads, notices = self._settings.threads, self._notices
        with Pool(self._address, setup, threads=threads, report=notices.inform) as self._pool:
            self._pool.wait()
            for problem in self._pool.problems():
                notices.warn(f"a machine of the cluster is not used: {problem}")
            count = self._pool.size
            notices.detail(f"{count} machine{'s' * (count != 1)} of the cluster")
            share = sum(item.pixels for item in batch.todo) / count
            self._spread = frozenset(
                str(item.job.target)
                for item in batch.todo
                if item.outlook is not None and item.pixels > share
            )
            yield

    def reserved(self, picture: PlannedPicture) -> AbstractContextManager[None]:
        """Nothing: each machine watches its own memory."""
        return nullcontext()

    def make(self, job: PictureJob, seal: SealDigest | None, cancel: threading.Event) -> Done:
        """Enlarge one picture. Raises `EnlargeError`s."""
        if str(job.target) not in self._spread:
            done = self._pool.make(_with_absolute_paths(job), seal, cancel.is_set)
            _wait_until_visible(job)
            return replace(done, output=str(job.target))
        with self._one_by_one:
            is_auto = bool(self.model.weights.choices)
            kind = finding_of(job, self._settings).kind if is_auto else ANY_KIND
            memory = self._settings.budget // _ROWS_SHARE
            with ClusterRows(self._pool, kind, memory, cancel.is_set) as rows:
                hooks = Hooks(self._progress, cancel, executor=rows)
                return make_picture(job, self._settings, self.model, hooks=hooks, seal=seal)


def _wait_until_visible(job: PictureJob) -> None:
    """Wait until a result that another machine named is visible here: network file systems cache
    what did not exist. Raises `OutputError` if it does not appear.
    """
    path, end = job.path, time.monotonic() + _APPEARS
    while path is not None and not path.exists():
        if time.monotonic() > end:
            raise OutputError(
                f"{path}: another machine wrote it, but it is not visible here; -o must name a "
                "folder that all machines share under one path, or s3://BUCKET/PREFIX"
            )
        time.sleep(_POLL)
        with contextlib.suppress(OSError):
            os.listdir(path.parent)  # noqa: PTH208 - for its effect: the folder is read anew


def _with_absolute_paths(job: PictureJob) -> PictureJob:
    """The job for other machines, which work in other folders."""
    source, target = job.source, job.target
    if isinstance(source, File):
        source = File(source.path.absolute())
    elif isinstance(source, Member):
        source = replace(source, archive=source.archive.absolute())
    if isinstance(target, File):
        target = File(target.path.absolute())
    return replace(job, source=source, target=target)
