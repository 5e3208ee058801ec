"""Open a picture file: its facts at once, its rows in order, in bounded memory.

Everything that can be read in order streams. What cannot (rotated pictures; interlaced PNG,
progressive JPEG, WebP, AVIF and others that their decoders hold whole) is buffered in memory, or in
a temporary file if it is larger than the caller's `memory`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from enlarge.errors import EnlargeError, InputError, OptionError
from enlarge.forks import check_can_use
from enlarge.media.formats import format_of_file, readable_formats
from enlarge.media.libvips import disable_cache
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.metadata.provenance import KEY, provenance_of
from enlarge.media.not_a_picture import unreadable_message
from enlarge.media.repair.opening import Opened, Salvage, open_stored, reopen_stored
from enlarge.media.rows import Rows
from enlarge.media.stored import PictureFile, StoredPicture, choose_page
from enlarge.media.turning import (
    FileRows,
    MirroredRows,
    in_order,
    swaps_axes,
    turned_in_memory,
)

_HEAD = 64


class Buffering(Enum):
    """Where a picture's pixels are put before its rows are read: nowhere, as they stream from the
    file in order, or all of them in memory or in a temporary file.
    """

    NONE = "stream"
    MEMORY = "memory"
    FILE = "file"


@dataclass(frozen=True)
class Facts:
    """What a picture is, before its pixels are read.

    `width`, `height`, `channels` (1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha) and `dtype` are
    those of the rows: orientation applied, palettes expanded, CMYK converted. `orientation` is the
    one found (1 to 8). `kind`: how the file stores colour. `density`: pixels per millimetre.
    `pages`: how many pictures the file holds; `page`: which of them this is, from 1. `quality`: of
    a JPEG, 1 to 100 (see `formats.jpeg.quality_of`).

    `in_order`: it streams, from top to bottom. If not: `decode_bytes` is what the decoder itself
    takes while it works; `memory_bytes` the peak if the picture is held in memory (the decoder
    included); `disk_bytes` the temporary file if it is not (then the decoder's memory is free again
    before the first row is given). Estimates, rounded up.
    """

    format: str
    width: int
    height: int
    channels: int
    dtype: np.dtype[Any]
    orientation: int
    kind: str
    icc: bytes | None
    metadata: frozenset[str]
    density: tuple[float, float] | None
    pages: int
    page: int
    in_order: bool
    decode_bytes: int
    memory_bytes: int
    disk_bytes: int
    notes: tuple[str, ...]
    quality: int | None = None

    def buffering(self, memory: int | None) -> Buffering:
        """How the picture is buffered within `memory` bytes (None: as many as it takes)."""
        if self.in_order:
            return Buffering.NONE
        fits = memory is None or self.memory_bytes <= memory
        return Buffering.MEMORY if fits else Buffering.FILE


class Picture:
    """An open picture, a context manager: `facts`, `metadata`, and once its `rows`.

    `salvage`: what was done about damage, if it was asked for; known once the rows are.
    """

    def __init__(
        self,
        name: str,
        facts: Facts,
        opened: Opened,
        memory: int | None,
        scratch: Path | None,
        reopen: Callable[[], Opened] | None = None,
    ) -> None:
        """`reopen`: opens the picture again after a look at all of its pixels, so that it can be
        salvaged.
        """
        self.name = name
        self.facts = facts
        self.metadata: Metadata = opened.stored.metadata
        self.salvage: Salvage | None = opened.salvage
        self._reopen = reopen
        self._stored: Rows | None = opened.stored.rows
        self._given: Rows | None = None
        self._memory = memory
        self._scratch = scratch

    def buffering(self, memory: int | None = None) -> Buffering:
        """How the picture is buffered within `memory` bytes (default: as given when opened)."""
        return self.facts.buffering(self._memory if memory is None else memory)

    def rows(self, *, memory: int | None = None) -> Rows:
        """The rows, upright; once. What does not stream is decoded now.

        `memory` overrides what `open_picture` was given. Raises `InputError`, or `OutputError` if
        the temporary file cannot be written.
        """
        if self._stored is None:
            raise ValueError("the rows of a picture are read once; open it again")
        stored, self._stored = self._stored, None
        if self._reopen is not None:
            stored = self._reopened(self._reopen)
        orientation = self.facts.orientation
        try:
            if self.buffering(memory) is Buffering.FILE:
                self._given = FileRows(stored, orientation, self._scratch)
            elif not in_order(orientation):
                self._given = turned_in_memory(stored, orientation)
            elif orientation == 2:
                self._given = MirroredRows(stored)
            else:
                self._given = stored
        except BaseException:
            stored.close()
            raise
        return self._given

    def _reopened(self, reopen: Callable[[], Opened]) -> Rows:
        """The rows after a look at all of the picture. Raises `InputError`."""
        try:
            opened = reopen()
        except InputError as error:
            raise _named(error, self.name) from error
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{self.name}: cannot be read: {reason}") from error
        rows, facts = opened.stored.rows, _facts(self.facts.format, opened.stored)
        self.salvage = opened.salvage
        if (facts.width, facts.height, facts.channels, facts.dtype) != (
            self.facts.width, self.facts.height, self.facts.channels, self.facts.dtype,
        ):  # fmt: skip
            rows.close()
            raise InputError(f"{self.name}: is damaged: its header and its pixels do not match")
        return rows

    @property
    def notes(self) -> tuple[str, ...]:
        """A line for each thing that is lost or converted, and for damage."""
        return (*self.facts.notes, *([self.salvage.note] if self.salvage else []))

    def close(self) -> None:
        """Close the file, and the rows."""
        for rows in (self._stored, self._given):
            if rows is not None:
                rows.close()
        self._stored = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_picture(
    source: Path | bytes | BinaryIO,
    *,
    page: int | None = None,
    memory: int | None = None,
    scratch: Path | None = None,
    salvage: bool = False,
) -> Picture:
    """Open a picture and read its header.

    `source`: a path, a file's bytes, or a binary stream (copied to a temporary file, unless its
    `stored_at` names the file that holds it). `page`: which of several pictures in the file, from 1
    (None: the main one). `memory`: the bytes that a picture may take which
    cannot be read in order (None: no limit). `scratch`: the folder for temporary files (None: the
    system's). `salvage`: take what is left of a damaged picture, with gray in place of the rest
    (`Picture.salvage`). Raises `InputError`: "PATH: what was found; what to do", or `OptionError`
    where there is no such page.
    """
    check_can_use("libvips", "reading a picture file")
    disable_cache()
    name = _name_of(source)
    try:
        with contextlib.ExitStack() as undo:
            file = undo.enter_context(_as_file(source, scratch))
            picture = _open(file, name, page, memory, scratch, salvage)
            undo.pop_all()  # from here on the picture owns the file
            return picture
    except (InputError, OptionError) as error:
        raise _named(error, name) from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error


def _named(error: EnlargeError, name: str) -> EnlargeError:
    """The same error with the file's name, unless it has it."""
    text = str(error)
    return error if text.startswith(f"{name}: ") else type(error)(f"{name}: {text}")


def _name_of(source: Path | bytes | BinaryIO) -> str:
    if isinstance(source, Path):
        return str(source)
    if isinstance(source, bytes):
        return "picture in memory"
    stream = getattr(source, "name", None)
    return "standard input" if stream == "<stdin>" or not isinstance(stream, str) else stream


def _as_file(source: Path | bytes | BinaryIO, scratch: Path | None) -> BinaryIO:
    """The source as a seekable file of its own, at its start."""
    if isinstance(source, Path):
        file = source.open("rb")
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        source = file
    stored = getattr(source, "stored_at", None)
    if isinstance(stored, Path):  # a stream that is a file already needs no copy
        return stored.open("rb")
    copy = tempfile.TemporaryFile(dir=scratch, prefix="enlarge-")  # noqa: SIM115
    try:
        if isinstance(source, bytes):
            copy.write(source)
        else:
            shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy


def _open(
    file: BinaryIO,
    name: str,
    page: int | None,
    memory: int | None,
    scratch: Path | None,
    salvage: bool,
) -> Picture:
    """The picture. Raises `InputError` and `OptionError`."""
    head = file.read(_HEAD)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if not size:
        raise InputError("the file is empty; copy or download it again")
    form = format_of_file(head)
    if form is None or form.read is None:
        raise InputError(unreadable_message(head, readable_formats()))
    source = PictureFile(file, name, head, size, page, scratch)
    opened = open_stored(form, source, salvage=salvage)
    if opened.stored.pages.count == 1:  # formats of a single picture do not look at the page
        choose_page(page, 1)
    if opened.stored.metadata.icc or opened.stored.metadata.exif:
        from enlarge.media.colour_fitting import with_named_colour

        stored = replace(opened.stored, metadata=with_named_colour(opened.stored.metadata))
        opened = replace(opened, stored=stored)
    late = None
    if salvage and opened.salvage is None and opened.is_own:
        late = partial(reopen_stored, form, source)
    return Picture(name, _facts(form.name, opened.stored), opened, memory, scratch, late)


def _facts(form: str, stored: StoredPicture) -> Facts:
    rows, orientation = stored.rows, stored.orientation
    width, height = rows.width, rows.height
    if swaps_axes(orientation):
        width, height = height, width
    streams = in_order(orientation) and stored.streams
    pixels = width * height * rows.channels * rows.dtype.itemsize
    turned = 0 if in_order(orientation) else pixels
    return Facts(
        format=form,
        width=width,
        height=height,
        channels=rows.channels,
        dtype=rows.dtype,
        orientation=orientation,
        kind=stored.kind,
        icc=stored.metadata.icc,
        metadata=stored.metadata.names(),
        density=stored.metadata.density,
        pages=stored.pages.count,
        page=stored.pages.number,
        in_order=streams,
        decode_bytes=stored.decoder_bytes,
        memory_bytes=stored.decoder_bytes + turned,
        disk_bytes=0 if streams else pixels,
        notes=(*stored.pages.notes(), *stored.notes),
        quality=stored.quality,
    )


def _described(source: Path | bytes | BinaryIO, page: int | None) -> Picture:
    """The picture, even if it is cut off."""
    try:
        return open_picture(source, page=page)
    except InputError:
        if not isinstance(source, Path | bytes):
            raise
        try:
            return open_picture(source, page=page, salvage=True)
        except InputError:
            pass
        raise


def describe_picture(source: Path | bytes | BinaryIO, *, page: int | None = None) -> dict[str, Any]:
    """What `enlarge inspect` prints about a picture, as plain values. `page`: see `open_picture`,
    which also says what is raised.
    """
    from enlarge.media.colour.profile import profile_name

    with _described(source, page) as picture:
        facts, metadata, notes = picture.facts, picture.metadata, picture.notes
    dpi = [round(value * 25.4, 2) for value in facts.density] if facts.density else None
    return {
        "format": facts.format,
        "width": facts.width,
        "height": facts.height,
        "channels": facts.channels,
        "depth": facts.dtype.name,
        "kind": facts.kind,
        "orientation": facts.orientation,
        "pages": facts.pages,
        "page": facts.page if facts.pages > 1 else None,
        "profile": profile_name(facts.icc) if facts.icc else None,
        "colour": str(metadata.colour) if metadata.colour else None,
        "dpi": dpi,
        "metadata": sorted(facts.metadata),
        "text": {key: value for key, value in metadata.text if key != KEY},
        "provenance": provenance_of(metadata),
        "streams": facts.in_order,
        "notes": list(notes),
    }
