"""What an engine keeps between pictures: the last few networks that it compiled."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

MOST = 4
"""What one picture can need: two passes, of colour and of alpha. Where an ensemble takes more, they
are compiled again for the next picture.
"""


class Kept(Generic[T]):
    """The last `most` things that were asked for, by key; whatever was not for longest goes first.

    Threads may share it. While one makes a thing the others wait, so nothing is made twice.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._things: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing under that key, made now if it is not there. What `make` raises is raised."""
        with self._lock:
            if key not in self._things:
                while len(self._things) >= self._most:
                    self._things.popitem(last=False)
                self._things[key] = make()
            self._things.move_to_end(key)
            return self._things[key]

    def clear(self) -> bool:
        """Let go of everything; returns whether there was anything."""
        with self._lock:
            had_any = bool(self._things)
            self._things.clear()
            return had_any
