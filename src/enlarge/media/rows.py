"""Pictures as rows that are read once, from top to bottom: how pixels are passed on everywhere.

A band is an array (n, width, channels); channels: 1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha
(straight); dtype: uint8, uint16, or float32 in [0, 1].
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Rows(Protocol):
    """A picture whose rows are read in order. Used by one thread at a time."""

    @property
    def width(self) -> int:
        """Pixels in a row."""
        ...

    @property
    def height(self) -> int:
        """Number of rows."""
        ...

    @property
    def channels(self) -> int:
        """1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha (straight)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, uint16, or float32 in [0, 1]."""
        ...

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        ...

    def close(self) -> None:
        """Close files and end threads. May be called twice."""
        ...


class ArrayRows:
    """The rows of an array in memory: (H, W) gray or (H, W, C); bands are views into it."""

    def __init__(self, image: NDArray[Any]) -> None:
        if image.ndim == 2:
            image = image[:, :, None]
        if image.ndim != 3 or not 1 <= image.shape[2] <= 4 or 0 in image.shape:
            raise ValueError(
                f"expected an array H×W or H×W×C with C from 1 to 4, got {image.shape}"
            )
        if image.dtype not in (np.uint8, np.uint16, np.float32):
            raise ValueError(f"expected uint8, uint16 or float32 in [0, 1], got {image.dtype}")
        self.height, self.width, self.channels = image.shape
        self.dtype: np.dtype[Any] = image.dtype
        self._image = image
        self._next = 0

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left)."""
        start, self._next = self._next, min(self._next + count, self.height)
        return self._image[start : self._next]

    def close(self) -> None:
        """Nothing to close."""


class PeekedRows:
    """Other rows, which it owns, of which `first` were read before."""

    def __init__(self, rows: Rows, first: NDArray[Any]) -> None:
        self.width, self.height = rows.width, rows.height
        self.channels, self.dtype = rows.channels, rows.dtype
        self._rows = rows
        self._first = first

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        band, self._first = self._first[:count], self._first[count:]
        if len(band) == count:
            return band
        rest = self._rows.read(count - len(band))
        return np.concatenate([band, rest]) if len(band) else rest

    def close(self) -> None:
        """Close the rows it reads from."""
        self._rows.close()


class CropRows:
    """The rectangle `width` × `height` at (`x`, `y`) of other rows, which it owns.

    Full rows are read `skip` at a time; those above the rectangle are dropped, those below it are
    never read.
    """

    def __init__(self, rows: Rows, x: int, y: int, width: int, height: int, skip: int = 64) -> None:
        inside = min(x, y) >= 0 and x + width <= rows.width and y + height <= rows.height
        if not inside or width < 1 or height < 1:
            raise ValueError(
                f"the crop {x},{y},{width},{height} is not inside {rows.width}×{rows.height}"
            )
        self.width, self.height = width, height
        self.channels, self.dtype = rows.channels, rows.dtype
        self._rows = rows
        self._x = x
        self._above = y
        self._skip = skip
        self._left = height

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        while self._above:
            self._above -= len(self._rows.read(min(self._above, self._skip)))
        count = min(count, self._left)
        self._left -= count
        band = np.empty((count, self.width, self.channels), self.dtype)
        for first in range(0, count, self._skip):
            part = band[first : first + self._skip]
            part[:] = self._rows.read(len(part))[:, self._x : self._x + self.width]
        return band

    def close(self) -> None:
        """Close the rows it reads from."""
        self._rows.close()


class PaddedRows:
    """Other rows, which it owns, padded at the right and the bottom to `width` × `height`.

    Padded by reflection without repeating the edge; where an axis is too short for that, what is
    reflected last is repeated, like in the networks (`networks.blocks.pad_to_multiple`).
    """

    def __init__(self, rows: Rows, width: int, height: int) -> None:
        if width < rows.width or height < rows.height:
            raise ValueError(
                f"padding makes a picture larger: {rows.width}×{rows.height} to {width}×{height}"
            )
        self.width, self.height = width, height
        self.channels, self.dtype = rows.channels, rows.dtype
        self._rows = rows
        self._columns = _reflected(rows.width, width)
        self._below = _reflected(rows.height, height)[
            rows.height :
        ]  # source rows of the added ones
        first = int(self._below.min()) if len(self._below) else rows.height
        self._kept = np.empty((rows.height - first, width, rows.channels), rows.dtype)
        self._first, self._next = first, 0

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        count = min(count, self.height - self._next)
        start, own = self._next, self._rows.height
        self._next += count
        band = self._rows.read(min(count, max(own - start, 0)))
        if self.width > self._rows.width:
            band = np.take(band, self._columns, axis=1)
        stop = start + len(band)
        if stop > self._first and len(self._kept):
            fresh = max(start, self._first)
            self._kept[fresh - self._first : stop - self._first] = band[fresh - start :]
        if self._next > own:
            shown = self._below[max(start - own, 0) : self._next - own] - self._first
            band = np.concatenate([band, self._kept[shown]])
        return band

    def close(self) -> None:
        """Close the rows it reads from."""
        self._rows.close()


def _reflected(size: int, padded: int) -> NDArray[np.intp]:
    """For each sample of the padded axis, the source sample that it repeats."""
    at = np.arange(padded)
    return np.where(at < size, at, np.maximum(2 * (size - 1) - at, 0))


class _Prefetched:
    def __init__(self, rows: Rows, band: int) -> None:
        self.width, self.height = rows.width, rows.height
        self.channels, self.dtype = rows.channels, rows.dtype
        self._rows = rows
        self._band = band
        self._unasked = rows.height  # rows that the thread has not been asked for
        self._left = rows.height  # rows that the caller has not read
        self._ready = np.empty((0, rows.width, rows.channels), rows.dtype)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="enlarge-read")
        self._coming: Future[NDArray[Any]] | None = None
        self._ask()

    def _ask(self) -> None:
        count = min(self._band, self._unasked)
        self._unasked -= count
        self._coming = self._thread.submit(self._rows.read, count) if count else None

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        count = min(count, self._left)
        parts = [self._ready]
        have = len(self._ready)
        while have < count:
            assert self._coming is not None
            part = self._coming.result()
            self._ask()
            parts.append(part)
            have += len(part)
        parts = [part for part in parts if len(part)] or parts[:1]
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self._ready = joined[count:]
        self._left -= count
        return joined[:count]

    def close(self) -> None:
        """End the thread, then close the rows underneath."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._rows.close()


def prefetched(rows: Rows, band: int) -> Rows:
    """The same rows, read ahead in a thread, `band` at a time, while the caller computes.

    At most one band waits beyond what was asked for. What the thread raises is raised in `read`.
    The result owns `rows`; its `close` ends the thread.
    """
    if band < 1:
        raise ValueError(f"a band needs at least one row, got {band}")
    return _Prefetched(rows, band)
