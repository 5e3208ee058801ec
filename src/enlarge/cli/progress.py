"""A progress bar with the seconds left, on long work, in a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from enlarge.picture.hooks import Progress, ProgressCallback

PATIENCE = 1.0
"""Seconds of work before a bar is worth showing."""


@contextmanager
def bar(name: str, *, shown: bool, at_once: bool = False) -> Iterator[ProgressCallback | None]:
    """A callback for `progress=`; None if there is no terminal to show it.

    `at_once`: the bar is there before anything is done, since the first part may take long.
    """
    if not shown or not _has_terminal():
        yield None
        return
    begun = time.monotonic()
    bars: list[Any] = []  # the bar, once the work has lasted long enough to need one
    if at_once:
        bars.append(_start(name))
    first: list[tuple[float, int]] = []  # when, and how much was done: a part may be from before

    def watch(progress: Progress) -> None:
        passed = time.monotonic() - begun
        if not progress.last:
            return
        if not first:
            first.append((passed, progress.done))
        if passed < PATIENCE:
            return
        if not bars:
            bars.append(_start(name))
        if progress.done > first[0][1]:
            pace = (passed - first[0][0]) / (progress.done - first[0][1])
        else:
            pace = passed / progress.done
        left = pace * (progress.total - progress.done)
        bars[0].update(0, total=progress.total, completed=progress.done, left=_in_words(left))

    try:
        yield watch
    finally:
        if bars:
            bars[0].stop()


@contextmanager
def waiting(name: str, *, shown: bool) -> Iterator[None]:
    """A bar without a share, while work of unknown length is done."""
    if not shown or not _has_terminal():
        yield
        return
    moving = _start(name)
    try:
        yield
    finally:
        moving.stop()


def _has_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _in_words(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s left"
    return f"{whole // 60} min {whole % 60} s left"


def _start(name: str) -> Any:
    """A bar for one piece of work."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    shown = Bar(
        TextColumn("{task.description}", markup=False),  # a file name may hold brackets
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
        console=Console(stderr=True),
        transient=True,
        # What is printed meanwhile goes above the bar, but a file stays a file.
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    )
    shown.add_task(name, total=None, left="")
    shown.start()
    return shown


@contextmanager
def counting(name: str, *, shown: bool) -> Iterator[Callable[[int, int], None] | None]:
    """The same for work that is counted: a callback (done, of how many)."""
    with bar(name, shown=shown) as watcher:
        if watcher is None:
            yield None
            return

        def watch(done: int, total: int) -> None:
            if done:
                watcher(Progress(done, total, 0, 0, np.empty(0), True))

        yield watch
