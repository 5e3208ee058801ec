"""What a caller may attach to the enlargement of a picture: progress, cancellation and more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from numpy.typing import NDArray

from enlarge.picture.layout import Layout


@dataclass(frozen=True)
class Progress:
    """A tile is finished: `done` of `total` in this pass, its result `pixels` (height, width,
    channels), and where they lie in the pass's output: `x`, `y`. `last`: this is the final pass.
    """

    done: int
    total: int
    x: int
    y: int
    pixels: NDArray[Any] = field(repr=False)
    last: bool


ProgressCallback = Callable[[Progress], None]
Seal = Callable[[BinaryIO], None]


class RowExecutor(Protocol):
    """Computes rows of tiles elsewhere."""

    def ahead(self, layout: Layout) -> int:
        """How many rows may be in flight at once, at least 1."""

    def __call__(
        self, layout: Layout, number: int, strip: NDArray[Any]
    ) -> Future[list[NDArray[Any]]]:
        """Start computing the row of tiles with that number.

        `strip` is its input (height, width, channels), which nobody changes afterwards. The
        future's result is what `RowRunner` yields.
        """


@dataclass(frozen=True)
class Hooks:
    """What a caller attaches to the enlargement of one picture.

    `progress` is called after each tile. `cancel`, when set from any thread, ends the work between
    two tiles with `Cancelled`. `seal` receives the complete file before it gets its name; what it
    raises prevents that. `executor` computes rows of tiles elsewhere; the result is the same.
    """

    progress: ProgressCallback | None = None
    cancel: threading.Event | None = None
    seal: Seal | None = None
    executor: RowExecutor | None = None
