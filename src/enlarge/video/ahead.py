"""Work that a thread does ahead: frames are read while others are computed, and written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

WAITING = 2
"""Frames that wait before, and after, the one that is computed."""


def read_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The same items, made by a thread, `WAITING` of them ahead of their use."""
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="enlarge-read") as pool:
        coming: deque[Future[object]] = deque()
        try:
            for _ in range(WAITING):
                coming.append(pool.submit(next, items, end))
            while True:
                item = coming.popleft().result()
                if item is end:
                    return
                coming.append(pool.submit(next, items, end))
                yield item  # type: ignore[misc]  # not the end
        finally:
            for future in coming:
                future.cancel()


class WriteBehind:
    """Does work in a thread in its order, with at most `WAITING` pieces of it waiting. After one
    that raised, none is done. Use it in `with`, which waits for the piece that is under way.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="enlarge-write")
        self._waiting: deque[Future[None]] = deque()
        self._is_over = False

    def add(self, do: Callable[[], None]) -> None:
        """Do it when what was added before is done. Raises what an earlier piece raised."""
        while len(self._waiting) >= WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._do, do))

    def _do(self, do: Callable[[], None]) -> None:
        if self._is_over:
            return
        try:
            do()
        except BaseException:
            self._is_over = True
            raise

    def finish(self) -> None:
        """Wait until all is done. Raises what a piece of it raised."""
        while self._waiting:
            self._waiting.popleft().result()

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
