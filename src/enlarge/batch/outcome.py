"""What became of the inputs of a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from enlarge.batch.jobs import PictureJob
from enlarge.errors import EnlargeError, InputError
from enlarge.picture.run import Done

Status = Literal["done", "kept", "failed", "skipped", "archived"]


MADE = "its metadata says that enlarge made it"
"""Why an input is skipped that has our provenance."""


class MadeByEnlargeError(InputError):
    """A scan found a picture that enlarge made."""


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    `status`: done, its result was made now; kept, its result exists from an earlier run and is
    current; failed; skipped, a scan found it, and enlarge made it, as `message` says; archived, the
    results were put into the archive `output`. `source` and
    `output` are as people call them (for a result in an archive: ARCHIVE/NAME). `width` and
    `height` are the result's. `done`: how it was made. `message`: why it failed, a line that names
    the input; `error` is the exception, if there was one. `pixels`: its share of the work. `count`:
    the results in the archive.
    """

    status: Status
    source: str
    output: str = ""
    width: int = 0
    height: int = 0
    done: Done | None = None
    message: str = ""
    error: Exception | None = None
    job: PictureJob | None = None
    pixels: int = 1
    count: int = 0

    @property
    def is_made(self) -> bool:
        """Whether there is a result, made now or earlier."""
        return self.status in ("done", "kept")


def failed(source: str, message: str) -> Outcome:
    """The outcome of an input that could not even be planned."""
    return Outcome("failed", source, message=message)


def skipped(source: str, reason: str) -> Outcome:
    """The outcome of an input that enlarge made. `reason`: how that is known."""
    return Outcome("skipped", source, message=reason)


def failure(job: PictureJob, error: Exception, pixels: int = 1) -> Outcome:
    """The outcome of a job that raised `error`."""
    name = job.source_name
    if isinstance(error, MadeByEnlargeError):
        return replace(skipped(str(job.source), str(error)), pixels=pixels)
    message = f"{name}: {error}"
    if isinstance(error, EnlargeError):
        text = str(error)
        message = text if name in text or str(job.target) in text else message
    elif isinstance(error, MemoryError):
        message = f"{name}: out of memory; try a lower --memory, or a smaller --tile"
    if job.page is not None:
        message = f"{message} (page {job.page})"
    return Outcome("failed", str(job.source), message=message, error=error, job=job, pixels=pixels)
