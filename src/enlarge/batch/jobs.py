"""One picture of a batch: where it comes from, and where its enlargement goes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from enlarge.batch.addresses import Remote, is_url
from enlarge.digests import file_digest
from enlarge.errors import InputError

if TYPE_CHECKING:
    from enlarge.batch.archive import Member

STREAM = "-"
"""What stands for standard input and output."""


@dataclass(frozen=True)
class Job:
    """One picture: its source and its target (`-` for the standard streams), as people call them:
    paths, or URLs.

    `member`: the source, where it lies in an archive. `name`: what the ledger calls the target.
    `replace`: the target may exist. `digest`: of the source's content, where it is known.
    """

    source: str
    target: str
    member: Member | None = None
    name: str = ""
    replace: bool = False
    digest: str | None = None

    @property
    def path(self) -> Path | None:
        """The target as a path, None for standard output and for a URL."""
        return None if self.target == STREAM or is_url(self.target) else Path(self.target)

    @property
    def place(self) -> Path | Remote | None:
        """Where the target lies, None for standard output."""
        return Remote(self.target) if is_url(self.target) else self.path

    @property
    def origin(self) -> Remote | None:
        """The source, where it is a URL."""
        return Remote(self.source) if self.member is None and is_url(self.source) else None


@dataclass(frozen=True)
class Stamp:
    """What tells a file's content without reading it, as long as it stays the same: size, times of
    the last change of content and of entry in nanoseconds, and number of the entry.
    """

    text: str

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp of a file's status."""
        times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
        return cls(f"{status.st_size} {times} {status.st_ino}")

    @classmethod
    def at(cls, place: Path | Remote) -> Stamp:
        """The stamp of what lies there. Raises `OSError`; for a URL as `Remote.info`."""
        return cls(place.stamp()) if isinstance(place, Remote) else cls.of(place.stat())


def stamp_of(job: Job) -> Stamp:
    """The stamp of a job's source. Raises `InputError` where it is gone."""
    if job.member is not None:
        return Stamp(job.member.digest)
    try:
        return Stamp.at(job.origin or Path(job.source))
    except OSError as error:
        raise InputError(f"{job.source}: cannot be read: {error.strerror}") from error


def digest_of(job: Job) -> str:
    """The digest of a job's source: SHA-256, or what its archive or its store says of it.

    Raises `InputError` where it cannot be read.
    """
    if job.member is not None:
        return job.member.digest
    try:
        return job.origin.identity() if job.origin else file_digest(Path(job.source))
    except OSError as error:
        raise InputError(f"{job.source}: cannot be read: {error.strerror}") from error
