"""Pictures in parallel: while one is computed, the next is decoded and the last is encoded."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

LANES = 3
"""Pictures at once: one is read, one is computed, one is written."""
_AHEAD = 4
"""Finished results for each lane that may wait for an earlier one, as results come in order."""


class MemoryLimit:
    """Memory that several pictures share. One that needs more than all of it gets it alone."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: list[int] = []
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free, or nothing is reserved; then hold them."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or sum(self._held) + size <= self._size)
            self._held.append(size)
        try:
            yield
        finally:
            with self._changed:
                self._held.remove(size)
                self._changed.notify_all()


def ordered_map(
    work: Sequence[T], do: Callable[[T], R], cancel: threading.Event, lanes: int | None = None
) -> Generator[tuple[T, R | Exception], None, None]:
    """Each piece of work with what `do` returned for it, or raised, in the order of `work`.

    `lanes`: the number of threads (default: `LANES`). If the caller stops early (an interrupt),
    `cancel` is set, which `do` has to honour; running work is waited for, and nothing else is
    started. With one piece of work, or one lane, no thread is started.
    """
    lanes = LANES if lanes is None else lanes
    if len(work) == 1 or lanes == 1:
        for piece in work:
            yield piece, _caught(do, piece)
        return
    waiting: deque[tuple[T, Future[R | Exception]]] = deque()
    left = iter(work)
    pool = ThreadPoolExecutor(lanes, thread_name_prefix="enlarge-picture")
    try:
        while True:
            for begun in islice(left, _AHEAD * lanes - len(waiting)):
                waiting.append((begun, pool.submit(_caught, do, begun)))
            if not waiting:
                return
            piece, future = waiting.popleft()
            yield piece, future.result()
    except BaseException:
        cancel.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _caught(do: Callable[[T], R], piece: T) -> R | Exception:
    """Catch everything, since one bad file must not stop the rest; the caller reports it."""
    try:
        return do(piece)
    except Exception as error:
        return error
