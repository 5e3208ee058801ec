"""What is done for one picture of a batch: claimed, enlarged, sealed, written down.

On a cluster the ledger's part is done where the command runs, and `make_here` elsewhere.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from enlarge.batch.addresses import Remote
from enlarge.batch.jobs import STREAM, Job, digest_of, stamp_of
from enlarge.batch.record import Row, Wish, input_of, settings_text
from enlarge.digests import stream_digest
from enlarge.errors import Cancelled, InputError, OutputError
from enlarge.picture.hooks import Hooks, ProgressCallback
from enlarge.picture.resuming import Transfer
from enlarge.picture.run import Done, enlarge_file
from enlarge.settings import Settings
from enlarge.upscaler import Upscaler

if TYPE_CHECKING:
    from enlarge.batch.ledger import Ledger

_POLL = 0.5
"""Seconds between looks at what another process is doing."""


Seal = Callable[[str], None]
"""Is told the digest of a whole file before it gets its name; what it raises prevents that."""
Make = Callable[[Job, Seal | None], Done]
"""Enlarges a picture, here or elsewhere. Raises `EnlargeError`s."""


@dataclass(frozen=True)
class Kept:
    """An output that was there already, and is what would be made again."""

    output: str
    width: int
    height: int


@dataclass(frozen=True)
class Busy:
    """An output that another process is making."""

    output: str


@dataclass(frozen=True)
class Recipe:
    """How every picture of a batch is made: the keyword arguments of `Upscaler.upscale_file`, by
    their names. `overwrite` is about targets that are not ours.
    """

    options: Mapping[str, Any]
    overwrite: bool = False

    def settings(self, upscaler: Upscaler, dtype: Any) -> str:
        """What decides about an output's bytes, beside its input and the model: as asked for, and
        engine, device and precision as chosen for pictures of `dtype`; None, of a picture that is
        only read when its turn comes: for 8 bits, and for more.
        """
        engine = upscaler.engine(np.dtype(np.uint8) if dtype is None else dtype)
        precision = engine.precision
        if dtype is None:
            precision += f", {upscaler.engine(np.dtype(np.uint16)).precision}"
        others = ("memory", "resume")
        asked = {name: value for name, value in self.options.items() if name not in others}
        if asked.get("scale") is None and not (asked.get("width") or asked.get("height")):
            asked["scale"] = upscaler.card.scale
        asked["tile"] = str(asked.get("tile", "auto"))
        if upscaler.card.strength is not None:
            asked["strength"] = upscaler.card.strength
        return settings_text(**asked, engine=engine.name, device=engine.device, precision=precision)


def wish_of(job: Job, row: Row | None, upscaler: Upscaler, settings: str) -> Wish:
    """What the ledger is to hold of a job. Reads the input unless its row tells its digest.

    Raises `InputError`.
    """
    stamp = stamp_of(job)
    digest = input_of(row, stamp, lambda: digest_of(job))
    return Wish(job.source, digest, stamp, upscaler.digest, settings)


def enlarge_job(
    job: Job,
    upscaler: Upscaler,
    recipe: Recipe,
    *,
    ledger: Ledger | None = None,
    settings: str = "",
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
    wait: bool = False,
    make: Make | None = None,
) -> Done | Kept | Busy:
    """Enlarge one picture, or find that it is done. Raises `EnlargeError`s.

    `make`: what enlarges it (default: `make_here`). With a ledger: what another process is doing is
    left to it, or with `wait` waited for, and taken over if that one dies; an input that changes
    while it is read gives no output.
    """
    if make is None:
        hooks = Hooks(progress, cancel)
        make = partial(make_here, upscaler=upscaler, recipe=recipe, hooks=hooks)
    if ledger is None or job.source == STREAM:
        return make(job, None)
    wish = wish_of(job, ledger.row(job.name), upscaler, settings)
    while (row := ledger.claim(job.name, wish, overwrite=recipe.overwrite)) is not None:
        if row.state == "done":
            return Kept(job.target, row.width or 0, row.height or 0)
        if not wait:
            return Busy(job.target)
        if cancel is not None and cancel.is_set():
            raise Cancelled("cancelled")
        time.sleep(_POLL)
    digests: list[str] = []

    def seal(digest: str) -> None:
        if stamp_of(job) != wish.stamp:
            raise InputError(f"{job.source}: changed while it was read; enlarge it again")
        digests.append(digest)
        ledger.seal(job.name, digest)

    try:
        done = make(replace(job, digest=wish.input), seal)
    except Exception as error:
        with contextlib.suppress(OutputError):  # a full disk takes neither: the first is the reason
            ledger.fail(job.name, "interrupted" if isinstance(error, Cancelled) else str(error))
        raise
    facts = {
        "width": done.width,
        "height": done.height,
        "tile": f"{done.tile[0]}x{done.tile[1]}",
        "seconds": done.seconds,
    }
    ledger.finish(job.name, digests[-1], facts)  # a lost machine may have sealed one before
    return done


def make_here(
    job: Job,
    seal: Seal | None,
    *,
    upscaler: Upscaler,
    recipe: Recipe,
    hooks: Hooks,
    source: Any = None,
) -> Done:
    """Enlarge one picture in this process.

    `source`: its content as a stream, where it was fetched already (it stays open).

    A target behind a URL is made in a temporary file, and put when it is whole and sealed. Raises
    `EnlargeError`s.
    """
    own: Any = _source_of(job) if source is None else None
    place, given = job.place, source or own
    settings = Settings(**recipe.options)
    overwrite = recipe.overwrite or job.replace
    digest = job.digest or (job.member.digest if job.member is not None else None)
    if seal is not None:
        hooks = replace(hooks, seal=lambda file: seal(stream_digest(file)))
    try:
        if not isinstance(place, Remote):
            target: Path | BinaryIO = sys.stdout.buffer if place is None else place
            transfer = Transfer(given, target, digest)
            return enlarge_file(transfer, settings, upscaler, overwrite=overwrite, hooks=hooks)
        if not overwrite and place.exists():
            raise OutputError(f"{place} exists; --overwrite replaces it, -o names another place")
        with tempfile.TemporaryDirectory(prefix="enlarge-") as folder:
            made = Path(folder) / place.name
            settings = replace(settings, resume=False)
            done = enlarge_file(Transfer(given, made, digest), settings, upscaler, hooks=hooks)
            place.put(made)
        return replace(done, output=job.target)
    finally:
        if hasattr(own, "close") and job.source != STREAM:
            own.close()


def _source_of(job: Job) -> Any:
    """What `upscale_file` reads a job from. Raises `InputError`."""
    if job.source == STREAM:
        return sys.stdin.buffer
    if job.member is not None:
        return job.member.open()
    return job.origin.open() if job.origin is not None else Path(job.source)
