"""What is done for one picture of a batch: claimed, enlarged, sealed, written down."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from enlarge.batch.jobs import STREAM, Job, digest_of, stamp_of, stream_digest
from enlarge.batch.record import Row, Wish, input_of, settings_text
from enlarge.errors import Cancelled, InputError, OutputError
from enlarge.picture import Watcher
from enlarge.upscaler import Done, Upscaler

if TYPE_CHECKING:
    from enlarge.batch.ledger import Ledger

_POLL = 0.5
"""Seconds between looks at what another process is doing."""


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
        engine, device and precision as chosen for pictures of `dtype`.
        """
        engine = upscaler.engine(dtype)
        others = ("memory", "resume")
        asked = {name: value for name, value in self.options.items() if name not in others}
        if asked.get("scale") is None and not (asked.get("width") or asked.get("height")):
            asked["scale"] = upscaler.card.scale
        asked["tile"] = str(asked.get("tile", "auto"))
        if upscaler.card.strength is not None:
            asked["strength"] = upscaler.card.strength
        return settings_text(
            **asked, engine=engine.name, device=engine.device, precision=engine.precision
        )


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
    progress: Watcher | None = None,
    cancel: threading.Event | None = None,
    wait: bool = False,
) -> Done | Kept | Busy:
    """Enlarge one picture, or find that it is done. Raises `EnlargeError`s.

    With a ledger: what another process is doing is left to it, or with `wait` waited for, and taken
    over if that one dies; an input that changes while it is read gives no output.
    """
    if ledger is None or job.source == STREAM:
        return _enlarge(job, upscaler, recipe, progress, cancel)
    wish = wish_of(job, ledger.row(job.name), upscaler, settings)
    while (row := ledger.claim(job.name, wish)) is not None:
        if row.state == "done":
            return Kept(job.target, row.width or 0, row.height or 0)
        if not wait:
            return Busy(job.target)
        if cancel is not None and cancel.is_set():
            raise Cancelled("cancelled")
        time.sleep(_POLL)
    digests: list[str] = []

    def seal(file: BinaryIO) -> None:
        if stamp_of(job) != wish.stamp:
            raise InputError(f"{job.source}: changed while it was read; enlarge it again")
        digests.append(stream_digest(file))
        ledger.seal(job.name, digests[0])

    try:
        done = _enlarge(job, upscaler, recipe, progress, cancel, wish.input, seal)
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
    ledger.finish(job.name, digests[0], facts)
    return done


def _enlarge(
    job: Job,
    upscaler: Upscaler,
    recipe: Recipe,
    progress: Watcher | None,
    cancel: threading.Event | None,
    digest: str | None = None,
    seal: Callable[[BinaryIO], None] | None = None,
) -> Done:
    target: Path | BinaryIO = sys.stdout.buffer if job.path is None else job.path
    source: Any = Path(job.source)
    if job.source == STREAM:
        source = sys.stdin.buffer
    elif job.member is not None:
        source, digest = job.member.open(), job.member.digest
    try:
        return upscaler.upscale_file(
            source,
            target,
            **recipe.options,
            overwrite=recipe.overwrite or job.replace,
            digest=digest,
            progress=progress,
            cancel=cancel,
            seal=seal,
        )
    finally:
        if job.member is not None:
            source.close()
