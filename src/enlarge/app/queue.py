"""The queue: one picture is enlarged at a time, and visitors take turns.

After each picture it is the next visitor's turn, so that a visitor with fifty pictures does not
block one with a single picture. Everybody can see how many pictures come before theirs.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from enlarge.errors import Cancelled, EnlargeError
from enlarge.picture.hooks import Progress, ProgressCallback

State = Literal["waiting", "running", "done", "failed", "cancelled"]
Work = Callable[[ProgressCallback, threading.Event], Any]
"""Enlarges one picture. Given: what to call for each tile, and an event that asks it to stop."""


@dataclass(eq=False)
class QueuedJob:
    """A picture that is to be enlarged. The queue's thread writes it, the visitor's reads it.

    `done` of `total` tiles are finished. `result`: what the work returned; `problem`: the message
    if it failed. `watch` is called with every tile of the final pass, in the queue's thread.
    """

    owner: str
    work: Work = field(repr=False)
    watch: ProgressCallback | None = field(default=None, repr=False)
    state: State = "waiting"
    done: int = 0
    total: int = 0
    started: float = 0.0
    ended: float = 0.0
    result: Any = None
    problem: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("waiting", "running")

    def seconds_left(self) -> float | None:
        """From the tiles done so far; None before the first."""
        if self.state != "running" or not self.done:
            return None
        passed = time.monotonic() - self.started
        return passed / self.done * (self.total - self.done)

    def tell(self, progress: Progress) -> None:
        """Record a finished tile; for `Upscaler.upscale_file(progress=…)`."""
        if progress.last:
            self.done, self.total = progress.done, progress.total
            if self.watch is not None:
                self.watch(progress)


class Queue:
    """The jobs of all visitors, and the one thread that does them, started with the first job."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[QueuedJob]] = {}  # by owner; the first owner's turn is next
        self._running: QueuedJob | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, job: QueuedJob) -> None:
        """Add a job behind the others of its owner."""
        with self._changed:
            self._waiting.setdefault(job.owner, []).append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="enlarge-app", daemon=True)
                self._thread.start()
                atexit.register(self.end)  # an engine that still computes would abort the process
            self._changed.notify_all()

    def cancel(self, job: QueuedJob) -> None:
        """Remove a waiting job, or stop a running one between two tiles."""
        job.cancelled.set()
        with self._changed:
            mine = self._waiting.get(job.owner, [])
            if job in mine:
                mine.remove(job)
                if not mine:
                    del self._waiting[job.owner]
                job.state, job.ended = "cancelled", time.monotonic()

    def leave(self, owner: str) -> None:
        """Cancel all jobs of an owner, and wait until none of them is running."""
        with self._changed:
            jobs = list(self._waiting.get(owner, []))
            if self._running is not None and self._running.owner == owner:
                jobs.append(self._running)
        for job in jobs:
            self.cancel(job)
        with self._changed:
            self._changed.wait_for(
                lambda: self._running is None or self._running.owner != owner, timeout=60
            )

    def end(self) -> None:
        """Cancel all jobs, and wait until none is running."""
        with self._changed:
            owners = list(self._waiting)
            if self._running is not None:
                owners.append(self._running.owner)
        for owner in owners:
            self.leave(owner)

    def ahead(self, job: QueuedJob) -> int:
        """How many pictures come before a waiting one, including the running one; 0 for others."""
        with self._changed:
            if job.state != "waiting":
                return 0
            lines = {owner: len(jobs) for owner, jobs in self._waiting.items()}
            own = self._waiting[job.owner].index(job)
            return turns_before(lines, job.owner, own) + (self._running is not None)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                job = self._running = self._next()
                job.state, job.started = "running", time.monotonic()
            self._do(job)
            with self._changed:
                self._running = None
                self._changed.notify_all()

    def _next(self) -> QueuedJob:
        """The first job of the next owner, who then goes to the end of the line."""
        owner = next(iter(self._waiting))
        jobs = self._waiting.pop(owner)
        if jobs[1:]:
            self._waiting[owner] = jobs[1:]
        return jobs[0]

    def _do(self, job: QueuedJob) -> None:
        state: State = "done"
        try:
            job.result = job.work(job.tell, job.cancelled)
        except Cancelled:
            state = "cancelled"
        except EnlargeError as error:
            state, job.problem = "failed", str(error)
        except Exception as error:  # one picture must not end everybody's queue
            state, job.problem = "failed", f"{type(error).__name__}: {error}"
        job.ended = time.monotonic()
        job.state = state


def turns_before(lines: dict[str, int], owner: str, place: int) -> int:
    """How many waiting pictures come before the one at `place` (from 0) in its owner's line.

    `lines`: how many pictures each owner has waiting, in the order of their turns.

    >>> turns_before({"ann": 5, "bob": 2}, "bob", 1)    # ann, bob, ann, and then this
    3
    """
    order: Sequence[str] = list(lines)
    at = order.index(owner)
    before = [min(lines[name], place + 1) for name in order[:at]]
    after = [min(lines[name], place) for name in order[at + 1 :]]
    return place + sum(before) + sum(after)
