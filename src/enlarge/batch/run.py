"""Running a planned batch: each picture is claimed, enlarged, sealed and recorded."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from enlarge.batch.archive import remove_staging, write_archive
from enlarge.batch.fingerprints import fingerprint
from enlarge.batch.jobs import PictureJob, source_stamp
from enlarge.batch.lanes import ordered_map
from enlarge.batch.locations import Stream, Zip
from enlarge.batch.names import decoded_name, encodable_name
from enlarge.batch.outcome import Outcome, failure
from enlarge.batch.outputs import missing_folders
from enlarge.batch.plan import BatchPlan, PlannedPicture, Request
from enlarge.batch.planning import may_replace_archive
from enlarge.batch.record import LEDGER, Fingerprint
from enlarge.batch.worker import SealDigest, Worker
from enlarge.digests import stream_digest
from enlarge.errors import (
    Cancelled,
    EngineError,
    EngineMemoryError,
    InputError,
    OptionError,
    OutputError,
    WeightsError,
)
from enlarge.media.parts_folder import sweep_parts
from enlarge.media.temporary import sweep, temporary_name
from enlarge.picture.run import Done

if TYPE_CHECKING:
    from enlarge.batch.ledger import Ledger

_POLL = 0.5
"""Seconds between looks at what another process is doing."""


def run_batch(
    batch: BatchPlan, worker: Worker, *, proven: bool = False
) -> Generator[Outcome, None, None]:
    """Enlarge the pictures of a batch. Yields what became of each, in their order, and at the end
    the archive, if the results go into one.

    Pictures that another process is making come last. The outcomes that `batch` knows already are
    not repeated. An error that would be the same for every picture is raised if none was made
    before; `proven`: one was. Close the iterator to stop early: running work is cancelled, and
    nothing half-written is left. Raises `EnlargeError`s.
    """
    for folder in batch.folders:
        sweep_parts(folder)
    target, has_failed = batch.request.target, bool(batch.failed)
    with contextlib.ExitStack() as stack:
        folders = stack.enter_context(closing(NewFolders()))
        ledger = _open_ledger(batch, folders, stack)
        if ledger is not None:
            _record_kept(batch, ledger)
        made = [outcome.job for outcome in batch.kept]
        if batch.todo:
            session = _Session(batch, worker, ledger, folders)
            outcomes = session.outcomes(proven or bool(made))
            for outcome in stack.enter_context(closing(outcomes)):
                if outcome.is_made:
                    made.append(outcome.job)
                has_failed = has_failed or outcome.status == "failed"
                yield outcome
        if ledger is None or not isinstance(target, Zip):
            return
        files = {job.name: path for job in made if job and (path := job.path) and path.is_file()}
        if files:
            _write_archive(batch.request, target, files, ledger, folders)
            yield Outcome("archived", str(target.path), str(target.path), count=len(files))
            if not has_failed and not ledger.others():
                ledger.close()
                remove_staging(ledger.folder, list(files.values()))


class NewFolders:
    """Creates folders; those that are still empty at the end are removed."""

    def __init__(self) -> None:
        self._created: list[Path] = []

    def create(self, folder: Path) -> None:
        """Create a folder with its parents. Raises `OutputError`."""
        try:
            for part in missing_folders(folder):
                part.mkdir(exist_ok=True)
                self._created.append(part)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be created: {error.strerror}") from error

    def close(self) -> None:
        """Remove the created folders that are empty."""
        for folder in sorted(self._created, key=lambda folder: -len(folder.parts)):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _open_ledger(
    batch: BatchPlan, folders: NewFolders, stack: contextlib.ExitStack
) -> Ledger | None:
    """The ledger of the results; None if the target has none, or there is nothing to record."""
    folder, is_zip = batch.request.ledger_folder, isinstance(batch.request.target, Zip)
    is_needed = any(is_zip or not isinstance(item.job.source, Stream) for item in batch.todo)
    if folder is None or not (is_needed or batch.kept):
        return None
    from enlarge.batch.ledger import Ledger

    is_new = not (folder / LEDGER).exists()
    folders.create(folder)
    folders.create((folder / LEDGER).parent)
    ledger = stack.enter_context(Ledger(folder, batch.request.results))
    if is_new:
        stack.callback(ledger.discard_if_empty)
    return ledger


def _record_kept(batch: BatchPlan, ledger: Ledger) -> None:
    """Record the results that earlier processes were killed before they could record: those that
    are kept, with their sizes, and those of pictures that are no longer among the inputs.
    """
    rows = ledger.rows()
    left = {name for name, row in rows.items() if row.state != "done" and row.sealed}
    for outcome in batch.kept:
        assert outcome.job is not None
        name = encodable_name(outcome.job.name)
        row = rows.get(name)
        left.discard(name)
        if row is not None and row.state != "done":
            facts = {"width": outcome.width, "height": outcome.height}
            ledger.adopt(outcome.job.name, facts)
    for name in left:
        ledger.adopt(decoded_name(name), {})


class _Session:
    """What the pictures of a batch share while it runs."""

    def __init__(
        self, batch: BatchPlan, worker: Worker, ledger: Ledger | None, folders: NewFolders
    ) -> None:
        self._batch, self._worker = batch, worker
        self._ledger, self._folders = ledger, folders
        self._cancel = threading.Event()

    def outcomes(self, proven: bool) -> Generator[Outcome, None, None]:
        """The outcome of each picture. `proven`: an error is not the same for every picture."""
        for folder in {path.parent for item in self._batch.todo if (path := item.job.path)}:
            sweep(folder)
        left: Sequence[PlannedPicture] = self._batch.todo
        try:
            with self._worker.opened(self._batch, self._shared_files()):
                for wait in (False, True):
                    busy = []
                    enlarge = partial(self._enlarge, wait=wait)
                    results = ordered_map(left, enlarge, self._cancel, self._worker.lanes)
                    with closing(results):
                        for item, result in results:
                            if result is None:
                                busy.append(item)
                                continue
                            if isinstance(result, Exception):
                                _raise_common(result, proven)
                                result = failure(item.job, result, item.pixels)
                            proven = proven or result.is_made
                            yield result
                    left = busy
        except (KeyboardInterrupt, GeneratorExit):
            for item in self._batch.todo:
                _remove_temporary(item.job)
            raise

    def _shared_files(self) -> tuple[Path, ...]:
        """Files that every machine that writes results has to see."""
        ledger = self._ledger
        if ledger is None or not isinstance(ledger.results, Path):
            return ()
        self._folders.create(ledger.results)
        is_inside = ledger.results == ledger.folder
        return ((ledger.path if is_inside else ledger.results).absolute(),)

    def _enlarge(self, item: PlannedPicture, *, wait: bool) -> Outcome | None:
        """Enlarge one picture, or find that it is done. Raises `EnlargeError`s.

        None: another process is making it. With `wait`, that one is waited for, and its work taken
        over if it dies.
        """
        job, ledger = item.job, self._ledger
        with self._worker.reserved(item):
            if (path := job.path) is not None:
                self._folders.create(path.parent)
            if ledger is None or isinstance(job.source, Stream):
                return self._outcome(item, self._make(job, None))
            request, row = self._batch.request, ledger.row(job.name)
            wanted = fingerprint(item, request.settings, self._worker.model, row)
            while (row := ledger.claim(job.name, wanted, overwrite=request.overwrite)) is not None:
                if row.state == "done":
                    return self._batch.kept_outcome(item, row.width or 0, row.height or 0)
                if not wait:
                    return None
                if self._cancel.is_set():
                    raise Cancelled("cancelled")
                time.sleep(_POLL)
            return self._outcome(item, self._make_claimed(job, wanted, ledger))

    def _make(self, job: PictureJob, seal: SealDigest | None) -> Done:
        may_replace = job.replace or self._batch.request.overwrite
        return self._worker.make(replace(job, replace=may_replace), seal, self._cancel)

    def _make_claimed(self, job: PictureJob, wanted: Fingerprint, ledger: Ledger) -> Done:
        """Enlarge a picture that the ledger has as ours. An input that changes while it is read
        gives no result.
        """
        digests: list[str] = []

        def seal(digest: str) -> None:
            assert not isinstance(job.source, Stream)
            if source_stamp(job.source) != wanted.stamp:
                raise InputError(f"{job.source}: changed while it was being read; enlarge it again")
            digests.append(digest)
            ledger.seal(job.name, digest)

        try:
            done = self._make(replace(job, digest=wanted.input), seal)
        except Exception as error:
            problem = "interrupted" if isinstance(error, Cancelled) else str(error)
            with contextlib.suppress(OutputError):  # a full disk is the reason, not this
                ledger.fail(job.name, problem)
            raise
        facts: dict[str, object] = {
            "width": done.width,
            "height": done.height,
            "tile": f"{done.tile[0]}x{done.tile[1]}",
            "seconds": done.seconds,
            "chosen": f"{done.model}: {done.reason}" if done.reason else None,
        }
        if done.missing is None:
            facts["settings"] = wanted.sound or wanted.settings
        else:
            facts["problem"] = (
                f"{done.missing:.1%} of the input is missing"
                if done.missing
                else "the input is damaged; all of it could be decoded"
            )
        ledger.finish(job.name, digests[-1], facts)  # a lost machine may have sealed one before
        return done

    def _outcome(self, item: PlannedPicture, done: Done) -> Outcome:
        output = self._batch.output_name(item.job)
        return Outcome(
            "done",
            str(item.job.source),
            output,
            done.width,
            done.height,
            done=replace(done, output=output),
            job=item.job,
            pixels=item.pixels,
        )


def _raise_common(error: Exception, proven: bool) -> None:
    """Raise an error that would be the same for every picture, unless one was made."""
    is_common = isinstance(error, OptionError | WeightsError | EngineError)
    if is_common and not proven and not isinstance(error, EngineMemoryError):
        raise error


def _write_archive(
    request: Request, target: Zip, files: Mapping[str, Path], ledger: Ledger, folders: NewFolders
) -> None:
    """Put files, by their names, into the zip, which the ledger knows before it appears. A zip that
    others wrote in the meantime stays. Raises `OutputError`.
    """
    folders.create(target.path.parent)
    sweep(target.path.parent)
    name = target.path.name
    before = ledger.archive_digest(name)
    may_replace = request.overwrite or may_replace_archive(target, files, ledger)

    def seal(file: BinaryIO) -> None:
        ledger.seal_archive(name, stream_digest(file))

    try:
        write_archive(target.path, sorted(files.items()), seal=seal, overwrite=may_replace)
    except OutputError:
        if before is not None:
            ledger.seal_archive(name, before)
        raise


def _remove_temporary(job: PictureJob) -> None:
    """Remove what an interrupt left of a file that nothing was yet responsible for."""
    if (path := job.path) is not None:
        path = path.resolve() if path.is_symlink() else path
        path.with_name(temporary_name(path.name)).unlink(missing_ok=True)
