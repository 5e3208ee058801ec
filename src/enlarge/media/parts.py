"""Finished bands of a large result, kept on the disk until all of it is written.

The folder `NAME.parts/` beside the target holds each band in a file of its own, which ends with its
digest. After a killed run, the next one for the same result reuses the bands and resumes at the
first that is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import OutputError
from enlarge.media.parts_folder import PartsFolder, part_sizes
from enlarge.media.temporary import TemporaryFile, write_all

_DIGEST = 32
_KIND = "band"


def parts_bytes(target: Path) -> int:
    """Bytes of the bands of `target` that are finished."""
    return sum(part_sizes(target, _KIND))


def count_parts(target: Path) -> int:
    """The number of bands of `target` that are finished."""
    return len(part_sizes(target, _KIND))


class Parts:
    """The finished bands of one result on the disk. Use it in `with`, and `remove` it when the
    result is complete; otherwise the bands stay.

    `facts`: everything that determines the bands; bands of anything else are removed. `heights`:
    the rows of each band, which is (rows, `width`, `channels`) of `dtype`. `notes`: what was found.
    Raises `OutputError` if the folder cannot be made, holds other files, or is in use.
    """

    def __init__(
        self,
        target: Path,
        facts: Mapping[str, Any],
        heights: Sequence[int],
        width: int,
        channels: int,
        dtype: np.dtype[Any],
    ) -> None:
        self._folder = PartsFolder(target, facts, _KIND)
        self.folder, self.notes = self._folder.path, self._folder.notes
        self._heights = heights
        self._row, self._dtype = (width, channels), dtype
        self._saving: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="enlarge-keep")

    def stored(self) -> Iterator[NDArray[Any]]:
        """The finished bands, (n, width, channels), from the first to the last before one that is
        missing or damaged.
        """
        count = 0
        for number, height in enumerate(self._heights):
            band = np.empty((height, *self._row), self._dtype)
            try:
                with self._folder.part(number).open("rb", buffering=0) as file:
                    whole = _fill(file, band) and _is_end(file, hashlib.sha256(band.data).digest())
            except FileNotFoundError:
                break
            except OSError:
                whole = False
            if not whole:
                self.notes.append(f"{self._folder.part(number)} was damaged and is computed again")
                break
            count += 1
            yield band
            del band
        if count:
            self.notes.append(
                f"{count} of {len(self._heights)} bands were finished by an earlier run"
            )

    def save(self, number: int, band: NDArray[Any]) -> None:
        """Write a band, which must not be changed afterwards, in a thread, once the band before
        is written. Raises `OutputError` if that one could not be.
        """
        self._wait()
        self._saving = self._thread.submit(self._save, number, np.ascontiguousarray(band))

    def _save(self, number: int, band: NDArray[Any]) -> None:
        temporary = TemporaryFile(self._folder.part(number))
        try:
            write_all(temporary.file, band.data.cast("B"))
            write_all(temporary.file, hashlib.sha256(band.data).digest())
            temporary.finish()
        except OSError as error:
            temporary.abort()
            raise self._folder.write_error(error) from error
        except BaseException:
            temporary.abort()
            raise

    def _wait(self) -> None:
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()

    def sealed(self, file: BinaryIO) -> None:
        """Record which file is about to become the target; then the bands are no longer needed."""
        self._folder.sealed(file)

    def remove(self) -> None:
        """Remove the bands."""
        with contextlib.suppress(OutputError):
            self._wait()
        self._thread.shutdown()
        self._folder.remove()

    def close(self) -> None:
        """Wait until the last band is written and release the folder; remove it if it is empty."""
        if self._folder.is_over:
            return
        with contextlib.suppress(OutputError):  # the error that led here matters more
            self._wait()
        self._thread.shutdown()
        self._folder.close()

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _fill(file: Any, band: NDArray[Any]) -> bool:
    """Read a band; False if the file is too short."""
    left = band.data.cast("B")
    while left:
        count = file.readinto(left)
        if not count:
            return False
        left = left[count:]
    return True


def _is_end(file: Any, digest: bytes) -> bool:
    return bool(file.read(_DIGEST + 1) == digest)
