"""Seconds by stage of the work."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Timings(defaultdict[str, float]):
    """Seconds by stage of the work: decode, compile, compute, encode."""

    def __init__(self) -> None:
        super().__init__(float)

    @contextmanager
    def measured(self, stage: str) -> Iterator[None]:
        """Add the seconds that the block takes to a stage."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self[stage] += time.perf_counter() - begun
