"""One picture of a batch: its source, its target, and what identifies the source's content."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from enlarge.batch.archive import Member
from enlarge.batch.locations import File, Stream
from enlarge.batch.remote import Remote
from enlarge.digests import file_digest
from enlarge.errors import InputError
from enlarge.settings import Settings

PictureSource = File | Member | Remote | Stream
PictureTarget = File | Remote | Stream


@dataclass(frozen=True)
class PictureJob:
    """One picture and where its result goes.

    `name`: the target below the folder of results, as the ledger calls it. `replace`: the target
    may exist. `digest`: identifies the source's content, where it is known. `page`: which of the
    source's pictures, where `--page all` makes a job of each. `scanned`: a scan found the source,
    which is left out if enlarge made it. `video`: the source is a video, and so is the result.
    """

    source: PictureSource
    target: PictureTarget
    name: str = ""
    replace: bool = False
    digest: str | None = None
    page: int | None = None
    scanned: bool = False
    video: bool = False

    def chosen(self, settings: Settings) -> Settings:
        """The settings of a batch for this picture."""
        return replace(settings, page=self.page) if settings.all_pages else settings

    @property
    def path(self) -> Path | None:
        """The target, where it is a file on this machine."""
        return self.target.path if isinstance(self.target, File) else None

    @property
    def source_name(self) -> str:
        """The source in messages."""
        return "standard input" if isinstance(self.source, Stream) else str(self.source)


@dataclass(frozen=True)
class Stamp:
    """Changes whenever a file's content does, and is known without reading it: size, times of the
    last change of content and of inode in nanoseconds, and inode number.
    """

    text: str

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp of a file's status."""
        times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
        return cls(f"{status.st_size} {times} {status.st_ino}")

    @classmethod
    def at(cls, place: Path | Remote) -> Stamp:
        """The stamp of the file at a place. Raises `OSError`; for a URL, as `Remote.info` does."""
        return cls(place.stamp()) if isinstance(place, Remote) else cls.of(place.stat())


def source_stamp(source: File | Member | Remote) -> Stamp:
    """The stamp of a source. Raises `InputError` if it no longer exists."""
    if isinstance(source, Member):
        return Stamp(source.digest)
    try:
        return Stamp.at(source.path if isinstance(source, File) else source)
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror}") from error


def source_digest(source: File | Member | Remote) -> str:
    """The digest of a source: SHA-256, or what its archive or its store reports.

    Raises `InputError` if it cannot be read.
    """
    try:
        match source:
            case Member():
                return source.digest
            case Remote():
                return source.identity()
            case File():
                return file_digest(source.path)
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror}") from error


def open_source(source: PictureSource) -> Any:
    """A source as `enlarge_file` reads it: a path, or a stream with `read` (and `close`, but for
    standard input). Raises `InputError`.
    """
    match source:
        case File():
            return source.path
        case Stream():
            return sys.stdin.buffer
        case _:
            return source.open()
