"""A thread-safe cache of the last few compiled networks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

CAPACITY = 4
"""What one picture can need: two passes, each for colour and alpha. An ensemble may need more, and
then compiles again for the next picture.
"""


class LRUCache(Generic[T]):
    """The `capacity` most recently used values, by key.

    Threads may share it. While one thread makes a value the others wait, so no value is made twice.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of that key; `make` makes it if it is not cached. Raises what `make` raises."""
        with self._lock:
            if key not in self._values:
                while len(self._values) >= self._capacity:
                    self._values.popitem(last=False)
                self._values[key] = make()
            self._values.move_to_end(key)
            return self._values[key]

    def clear(self) -> bool:
        """Drop all values. Returns whether there were any."""
        with self._lock:
            had_any = bool(self._values)
            self._values.clear()
            return had_any
