"""Opening pictures that may be damaged.

Files that lack only their end are completed and opened. With `--salvage`, what is left of others is
opened, and the rest is gray.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import InputError
from enlarge.media.formats.format import Format
from enlarge.media.repair.repair import (
    GrayRows,
    Kept,
    Repair,
    Repaired,
    missing_share,
    reopened,
    whole_rows,
)
from enlarge.media.rows import ArrayRows, Rows
from enlarge.media.stored import PictureFile, StoredPicture

ADVICE = "copy or download it again"
SALVAGE_ADVICE = f"{ADVICE}, or enlarge what is left of it with --salvage"
_HOPELESS_SHARE = 0.999
"""From this missing share on, a picture is refused."""


@dataclass(frozen=True)
class Salvage:
    """What `--salvage` did with a picture. `missing`: the share of it, 0 to 1, of which the file
    has nothing, and which is gray.
    """

    missing: float

    @property
    def note(self) -> str:
        """A line for the user."""
        if not self.missing:
            return "is damaged; all of it could be decoded, but parts of it may be wrong or coarse"
        return f"is damaged; {self.percent} of it is missing, and gray in the result"

    @property
    def percent(self) -> str:
        """The missing share in words."""
        return f"{max(self.missing, 0.001):.1%}"

    @property
    def mark(self) -> str:
        """What the result's file says."""
        return f"{self.percent} missing" if self.missing else "all decoded, parts may be wrong"


@dataclass(frozen=True)
class Opened:
    """A picture file, opened; what was salvaged, if it was damaged. `is_own`: the rows read the
    file itself, not a repaired copy.
    """

    stored: StoredPicture
    salvage: Salvage | None = None
    is_own: bool = True


def repair_of(name: str) -> Repair | None:
    """How the damaged files of a format are read, by the format's name; only that is loaded."""
    match name:
        case "png":
            from enlarge.media.repair.png import PngRepair

            return PngRepair()
        case "jpeg":
            from enlarge.media.repair.jpeg import JpegRepair

            return JpegRepair()
        case "webp":
            from enlarge.media.repair.padded import WebpRepair

            return WebpRepair()
        case "tiff":
            from enlarge.media.repair.tiff import TiffRepair

            return TiffRepair()
        case "gif":
            from enlarge.media.repair.gif import GifRepair

            return GifRepair()
        case "bmp":
            from enlarge.media.repair.bmp import BmpRepair

            return BmpRepair()
        case "heic":
            from enlarge.media.repair.padded import HeicRepair

            return HeicRepair()
        case "jp2":
            from enlarge.media.repair.jpeg_2000 import Jpeg2000Repair

            return Jpeg2000Repair()
        case "avif" | "jxl":
            from enlarge.media.repair.boxes import BoxedRepair

            return BoxedRepair("AVIF" if name == "avif" else "JPEG XL")
        case _:
            return None


def open_stored(form: Format, source: PictureFile, *, salvage: bool) -> Opened:
    """Open a file of a format. It is decoded once here if its end is missing.

    Raises `InputError` (without its name) if more than the end is missing, unless `salvage`.
    """
    assert form.read is not None
    repair = _repair_for(form, source)
    if repair is None:
        return Opened(form.read(source))
    if repair.can_salvage:
        source = replace(source, advice=ADVICE if salvage else SALVAGE_ADVICE)
    try:
        is_whole = repair.is_whole(source)
    except (OSError, ValueError):  # too short to have an end
        is_whole = True
    finally:
        source.file.seek(0)
    if is_whole:
        return Opened(form.read(source))
    completed = _completed(form.read, repair, source)
    if completed is not None:
        return Opened(completed, is_own=False)
    error = _decoding_error(form.read, source)
    if error is None:
        if not repair.is_certain:
            return Opened(form.read(source))
        error = InputError(
            f"this {form.label} is truncated: some of its pixels are missing; {ADVICE}"
        )
    elif ADVICE not in str(error):  # of a kind that is not read
        raise error
    if not salvage:
        raise InputError(f"{_reason(error)}; {source.advice}") from error
    return _salvaged(form, repair, source, error)


def _repair_for(form: Format, source: PictureFile) -> Repair | None:
    """How the picture is repaired: a first one, of a format that can be."""
    return repair_of(form.name) if source.page in (None, 1) else None


def reopen_stored(form: Format, source: PictureFile) -> Opened:
    """Open a file, whose structure is whole, after decoding it once: it is salvaged if that fails.

    Raises `InputError`.
    """
    assert form.read is not None
    repair = _repair_for(form, source)
    if repair is None:
        return Opened(form.read(source))
    error = _decoding_error(form.read, source, fail_on=repair.fail_on)
    if error is None or isinstance(error.__cause__, InputError | NoneType):
        return Opened(form.read(source))
    return _salvaged(form, repair, source, error)


def _decoding_error(
    read: Callable[[PictureFile], StoredPicture], source: PictureFile, *, fail_on: str = "error"
) -> InputError | None:
    """The error that ends a file's decoding; None if it is sound. The file stays open."""
    try:
        return whole_rows(read(reopened(Kept(source.file), source, fail_on=fail_on)))[1]
    except InputError as error:
        return error
    finally:
        source.file.seek(0)


def _reason(error: InputError) -> str:
    """What is wrong with a file, without what to do."""
    return str(error).rpartition(f"; {ADVICE}")[0] or str(error)


def _completed(
    read: Callable[[PictureFile], StoredPicture], repair: Repair, source: PictureFile
) -> StoredPicture | None:
    """The picture of a file that lacks only its end; None if more is missing."""
    try:
        copy = repair.complete(source)
    except InputError:
        return None
    finally:
        source.file.seek(0)
    if copy is None:
        return None
    is_taken = False
    try:
        _, error = whole_rows(read(reopened(Kept(copy), source)))
        if error is not None:
            return None
        stored = read(reopened(copy, source))
        is_taken = True
    except InputError:
        return None
    finally:
        if not is_taken:
            copy.close()
    source.file.close()
    note = f"lacks {repair.end}, but all of its pixels are there"
    return replace(stored, notes=(*stored.notes, note))


def _salvaged(form: Format, repair: Repair, source: PictureFile, error: InputError) -> Opened:
    """What is left of a damaged picture; `error` says what is wrong with it. Closes its file.

    Raises `InputError`.
    """
    assert form.read is not None
    try:
        repaired = repair.salvage(source)
    except InputError as failure:
        raise InputError(f"{_reason(error)}; nothing of it can be salvaged; {ADVICE}") from failure
    try:
        stored = form.read(reopened(repaired.file, source, fail_on=repaired.fail_on))
        share = missing_share(repaired.missing, stored.rows.width, stored.rows.height)
        if share > _HOPELESS_SHARE:
            raise InputError(f"{_reason(error)}; nothing of it can be salvaged; {ADVICE}")
        stored = replace(stored, rows=_filled(stored.rows, repaired))
    except BaseException:
        repaired.file.close()
        raise
    source.file.close()
    return Opened(stored, Salvage(share), is_own=False)


def _filled(rows: Rows, repaired: Repaired) -> Rows:
    if repaired.fill is not None:
        rows = _LateRows(rows, repaired.fill)
    return GrayRows(rows, repaired.missing) if repaired.missing else rows


class _LateRows:
    """Rows that are decoded whole, and changed, at the first read. It owns them."""

    def __init__(self, rows: Rows, fill: Callable[[NDArray[Any]], None]) -> None:
        self.width, self.height = rows.width, rows.height
        self.channels, self.dtype = rows.channels, rows.dtype
        self._rows, self._fill = rows, fill
        self._filled: ArrayRows | None = None

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        if self._filled is None:
            pixels = np.array(self._rows.read(self.height))
            self._fill(pixels)
            self._filled = ArrayRows(pixels)
        return self._filled.read(count)

    def close(self) -> None:
        """Close the rows it reads from."""
        self._rows.close()
