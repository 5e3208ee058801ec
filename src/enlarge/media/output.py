"""What encoders are given: how the picture is encoded, and what it is written into."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyvips

from enlarge.media.libvips import FileCallbacks
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.temporary import write_all

Insertion = Callable[[bytes], bytes | None]
"""A file's first bytes with something inserted; None if there are too few of them to insert it."""


@dataclass(frozen=True)
class Encoding:
    """A picture as it is stored in the file: `channels` and `dtype` are those that the format
    holds. `quality`: None if the format is lossless. `provenance`: how the picture was made.
    `convert_from`: the profile of rows that become sRGB before they are encoded, None if they stay.
    """

    width: int
    height: int
    channels: int
    dtype: np.dtype[Any]
    quality: int | None
    pyramid: bool
    metadata: Metadata
    provenance: Mapping[str, str] | None
    convert_from: bytes | None = None


class Destination(Protocol):
    """What a picture is written into: it becomes the target in the end, or nothing is left of it.
    `path`: of the file or folder for encoders that write by a name; `file`: for all others.
    """

    path: Path
    file: BinaryIO

    def finish(
        self, seal: Callable[[BinaryIO], None] | None = None, *, overwrite: bool = True
    ) -> None:
        """Make the target appear. `seal` is given the complete file before; what it raises
        prevents that, and so does, without `overwrite`, a target that exists by then. Raises
        `OutputError`.
        """

    def abort(self) -> None:
        """Remove what was written. Does nothing after `finish`."""


class Output:
    """Where an encoder writes to: a destination, or a stream, which is written in order.

    Encoders add to `notes` a line for each thing that they have to leave out. What libvips'
    callbacks raise is kept in `failure`, as libvips would swallow it.
    """

    def __init__(
        self, destination: Destination | None, stream: BinaryIO | None, notes: list[str]
    ) -> None:
        self.notes = notes
        self._destination, self._stream = destination, stream
        self._callbacks: _TargetCallbacks | None = None

    @property
    def path(self) -> Path:
        """The name of the file or folder that an encoder may write by its name."""
        assert self._destination is not None
        return self._destination.path

    @property
    def file(self) -> BinaryIO:
        """The file, or the stream, that the picture is written into."""
        if self._stream is not None:
            return self._stream
        assert self._destination is not None
        return self._destination.file

    @property
    def failure(self) -> BaseException | None:
        """What a callback raised."""
        return self._callbacks.failure if self._callbacks is not None else None

    def write(self, data: bytes) -> None:
        """Write an encoded file. Raises `OSError`."""
        write_all(self.file, data)

    def target(self, insertion: Insertion | None = None) -> pyvips.TargetCustom:
        """A target for those of libvips' savers that write in order."""
        self._callbacks = _TargetCallbacks(self.file, insertion)
        return self._callbacks.target()

    @contextmanager
    def seekable_target(
        self, seen: Callable[[BinaryIO], BinaryIO], complete: Callable[[BinaryIO], None]
    ) -> Iterator[pyvips.TargetCustom]:
        """A target for those that read and seek: the file, or a temporary one that is copied to the
        stream. `seen`: the file as libvips is to see it; `complete` changes it after libvips has
        written it.
        """
        if self._stream is None:
            self._callbacks = _TargetCallbacks(seen(self.file), None)
            yield self._callbacks.target(seekable=True)
            complete(self.file)
            return
        with tempfile.TemporaryFile(prefix="enlarge-", buffering=0) as file:
            self._callbacks = _TargetCallbacks(seen(file), None)
            yield self._callbacks.target(seekable=True)
            complete(file)
            file.seek(0)
            shutil.copyfileobj(file, self._stream, 1 << 20)

    def flush(self) -> None:
        """Flush the stream."""
        if self._stream is not None:
            self._stream.flush()


class _TargetCallbacks(FileCallbacks):
    """Writes to a file as libvips asks for it, with an insertion near the beginning."""

    def __init__(self, file: BinaryIO, insertion: Insertion | None) -> None:
        super().__init__(file)
        self._insertion = insertion
        self._head = b""

    def target(self, *, seekable: bool = False) -> pyvips.TargetCustom:
        target = pyvips.TargetCustom()
        target.on_write(self._write)
        if seekable:
            target.on_read(self._read)
            target.on_seek(self._seek)
        return target

    def _write(self, data: Any) -> int:
        try:
            size = len(data)
            self._take(bytes(data))
        except BaseException as error:  # libvips would swallow it
            self.failure = error
            return -1
        return size

    def _take(self, data: bytes) -> None:
        if self._insertion is not None:
            self._head += data
            inserted = self._insertion(self._head)
            if inserted is None:
                return
            data, self._insertion = inserted, None
        write_all(self._file, data)


def with_fields(image: pyvips.Image, metadata: Metadata) -> pyvips.Image:
    """A copy of the image with the fields from which libvips writes profile, density, XMP and IPTC.

    EXIF is left to the formats; so is a picture without a density, as libvips always writes one.
    """
    density = metadata.density or (72 / 25.4, 72 / 25.4)
    image = image.copy(xres=density[0], yres=density[1])
    datasets = metadata.iptc
    if datasets:
        from enlarge.media.metadata.photoshop import iim_of

        datasets = iim_of(datasets)
    for name, value in (
        ("icc-profile-data", metadata.icc),
        ("xmp-data", metadata.xmp),
        ("iptc-data", datasets),
    ):
        if value:
            image.set_type(pyvips.GValue.blob_type, name, value)
    return image
