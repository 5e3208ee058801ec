"""The ledger of an output folder: what was made from what, and how, so that a batch can resume.

`FOLDER/.enlarge/ledger.sqlite` (SQLite, WAL) has a row for each output. A row goes

    doing → sealed → (the file gets its name) → done        or → failed

and each step is on disk before the next begins. "Sealed" records the digest of the file that is
about to appear, so that after a kill the next run can tell whether a file that it finds is ours and
complete. A process holds a lock on a file beside the ledger while it runs; the work of a process
that died is free again. Processes on one machine may share a ledger. The ledger of outputs behind
a URL is in a local folder (`locations.ledger_home`).
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from urllib.parse import quote

from enlarge.batch.jobs import Stamp
from enlarge.batch.names import encodable_name
from enlarge.batch.record import (
    LEDGER,
    Fingerprint,
    Row,
    State,
    check_replaceable,
    examine_output,
)
from enlarge.batch.remote import Remote
from enlarge.errors import OutputError
from enlarge.media.temporary import take_lock

_VERSION = 1
_PATIENCE = 60.0
"""Seconds that a process waits for another one's transaction."""

_TABLES = """
CREATE TABLE pictures (
    output TEXT PRIMARY KEY,  -- below the folder, with slashes
    state TEXT NOT NULL,      -- doing, done, failed
    owner TEXT,               -- of what is being done: the lock file
    source TEXT NOT NULL,     -- as it was named
    input TEXT NOT NULL,      -- digest of the input
    stamp TEXT NOT NULL,      -- its size and times, as long as which stay the digest does
    model TEXT NOT NULL,      -- digest of the model file
    settings TEXT NOT NULL,   -- JSON
    sealed TEXT,              -- digest of the output that is about to get its name
    digest TEXT,              -- digest of the output that has it
    shape TEXT,               -- of the output: its size and times
    width INTEGER, height INTEGER, tile TEXT, seconds REAL,
    problem TEXT,             -- why it failed
    chosen TEXT               -- the model that was chosen, and why, if none was named
) WITHOUT ROWID;
CREATE TABLE archive (name TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
"""

P = ParamSpec("P")
R = TypeVar("R")


def _guarded(
    method: Callable[Concatenate[Ledger, P], R],
) -> Callable[Concatenate[Ledger, P], R]:
    """The method for one thread at a time, with SQLite's errors as `OutputError`."""

    def guarded(self: Ledger, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock, explained(self.path):
            return method(self, *args, **kwargs)

    guarded.__doc__ = method.__doc__
    return guarded


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise what SQLite raises as `OutputError`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OutputError(f"{path}: the ledger cannot be written: {error}") from error
    except sqlite3.DatabaseError as error:
        raise OutputError(
            f"{path}: the ledger is damaged ({error}); remove it to start over. Existing results "
            "then need --overwrite"
        ) from error


class Ledger:
    """An open ledger, created if there is none. Threads may share it. Use it in `with`.

    Raises `OutputError` if it cannot be created, read or written.
    """

    def __init__(self, folder: Path, results: Path | Remote | None = None) -> None:
        """`results`: where the outputs are, if not in `folder` with the ledger."""
        self.folder = folder
        self.results = folder if results is None else results
        self.path = folder / LEDGER
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._owner, self._lock_file = _own_lock(self.path.parent)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be created: {error.strerror}") from error
        try:
            with explained(self.path):
                self._base = self._open()
        except BaseException:
            self._release()
            raise

    def _open(self) -> sqlite3.Connection:
        # With an isolation level, sqlite3 would begin transactions by itself.
        base = sqlite3.connect(
            self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = FULL")  # a seal must outlive a power cut
            base.execute("BEGIN IMMEDIATE")
            (version,) = base.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise OutputError(
                    f"{self.path}: was written by a later version of enlarge; use that version, "
                    "or another output folder"
                )
            if not version:
                for statement in _TABLES.split(";")[:-1]:
                    base.execute(statement)
                base.execute(f"PRAGMA user_version = {_VERSION}")
            columns = [row[1] for row in base.execute("PRAGMA table_info(pictures)")]
            if "chosen" not in columns:  # of an earlier version
                base.execute("ALTER TABLE pictures ADD COLUMN chosen TEXT")
            base.execute("COMMIT")
        except BaseException:
            base.close()
            raise
        base.row_factory = sqlite3.Row
        return base

    def discard_if_empty(self) -> None:
        """Close it, and remove it if it has no outputs and no other process has it open."""
        if self._lock_file.closed:
            return
        with self._lock, explained(self.path):
            query = "SELECT count(*) FROM pictures WHERE state = 'done' OR sealed IS NOT NULL"
            (count,) = self._base.execute(query).fetchone()
        shared = self.others()
        self.close()
        if not count and not shared:
            for path in self.path.parent.glob(f"{self.path.name}*"):
                path.unlink(missing_ok=True)

    def others(self) -> bool:
        """Whether another running process has it open."""
        locks = [path for path in self.path.parent.glob("*.lock") if path.name != self._owner]
        return any(not _remove_if_dead(path) for path in locks)

    def close(self) -> None:
        """Close it, and release unfinished claims. Does nothing the second time."""
        if self._lock_file.closed:
            return
        with contextlib.suppress(sqlite3.Error):
            self._base.execute(
                "UPDATE pictures SET state = 'failed', owner = NULL, problem = 'interrupted' "
                "WHERE owner = ?",
                (self._owner,),
            )
        self._base.close()
        self._release()

    def _release(self) -> None:
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                self._lock_file.close()
            (self.path.parent / self._owner).unlink(missing_ok=True)
        self._lock_file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @_guarded
    def rows(self) -> dict[str, Row]:
        """Every row, by its output."""
        return {
            found["output"]: Row(**dict(found))
            for found in self._base.execute("SELECT * FROM pictures")
        }

    @_guarded
    def row(self, output: str) -> Row | None:
        """The row of one output."""
        return self._row(output)

    def _row(self, output: str) -> Row | None:
        query = "SELECT * FROM pictures WHERE output = ?"
        found = self._base.execute(query, (encodable_name(output),)).fetchone()
        return None if found is None else Row(**dict(found))

    @_guarded
    def claim(self, output: str, wanted: Fingerprint, *, overwrite: bool = False) -> Row | None:
        """Claim an output. None: the caller makes it now. A row: it is made already, or another
        process is making it.

        Raises `OutputError` if others changed the file, or if it was made from another picture,
        unless it may be overwritten.
        """
        with self._transaction():
            row = self._row(output)
            if row is not None and self.is_busy(row):
                return row
            state, digest = examine_output(row, wanted, self.results / output)
            if state is State.CURRENT:
                if (
                    row is not None and row.state != "done"
                ):  # killed between naming and recording it
                    self._finish(output, str(digest), {})
                return self._row(output)
            if row is not None and not overwrite:
                check_replaceable(state, row, wanted, wanted.source, self.results / output)
            values = (wanted.source, wanted.input, wanted.stamp.text, wanted.model, wanted.settings)
            self._base.execute(
                "INSERT INTO pictures "
                "(output, state, owner, source, input, stamp, model, settings, digest) "
                "VALUES (?, 'doing', ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (output) DO UPDATE SET "
                "state = 'doing', owner = excluded.owner, source = excluded.source, "
                "input = excluded.input, stamp = excluded.stamp, model = excluded.model, "
                "settings = excluded.settings, problem = NULL, sealed = NULL, "
                "width = NULL, height = NULL, tile = NULL, seconds = NULL, "
                "digest = excluded.digest",  # what is there stays known as ours
                (encodable_name(output), self._owner, *map(encodable_name, values), digest),
            )
            return None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    @_guarded
    def seal(self, output: str, digest: str) -> None:
        """Record the digest of the file that is about to get its name."""
        self._update(output, "sealed = ?", digest)

    @_guarded
    def finish(self, output: str, digest: str, facts: Mapping[str, Any]) -> None:
        """Record that the file has its name. `facts`: width, height, tile, seconds; settings, if
        they are others than those that were claimed; problem, if the result is not what it should
        be.
        """
        self._finish(output, digest, facts)

    def _finish(self, output: str, digest: str, facts: Mapping[str, Any]) -> None:
        facts = {"problem": None} | dict(facts)
        names = "".join(f", {name} = ?" for name in facts)
        target = self.results / output
        try:
            shape = Stamp.at(target).text
        except OSError as error:
            raise OutputError(f"{target}: disappeared: {error.strerror}") from error
        self._update(
            output,
            f"state = 'done', owner = NULL, sealed = NULL, digest = ?, shape = ?{names}",
            digest,
            shape,
            *facts.values(),
        )

    @_guarded
    def adopt(self, output: str, facts: Mapping[str, Any]) -> None:
        """Record an output that has its name, if the process that made it was killed before it
        could.
        """
        with self._transaction():
            row = self._row(output)
            if row is None or row.state == "done" or self.is_busy(row):
                return
            _, digest = examine_output(row, None, self.results / output)
            if digest is not None and digest == row.sealed:
                self._finish(output, digest, facts)

    @_guarded
    def fail(self, output: str, problem: str) -> None:
        """Record why there is no output."""
        self._update(output, "state = 'failed', owner = NULL, problem = ?", encodable_name(problem))

    def _update(self, output: str, what: str, *values: Any) -> None:
        self._base.execute(
            f"UPDATE pictures SET {what} WHERE output = ?",
            (*values, encodable_name(output)),
        )

    @_guarded
    def archive_digest(self, name: str) -> str | None:
        """The digest of the archive that was written from this folder, or is about to appear."""
        query = "SELECT digest FROM archive WHERE name = ?"
        found = self._base.execute(query, (encodable_name(name),)).fetchone()
        return None if found is None else str(found["digest"])

    @_guarded
    def seal_archive(self, name: str, digest: str) -> None:
        """Record the digest of the archive that is about to get its name."""
        self._base.execute(
            "INSERT INTO archive VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET digest = excluded.digest",
            (encodable_name(name), digest),
        )

    def is_busy(self, row: Row) -> bool:
        """Whether another running process is making that output."""
        return row.state == "doing" and self._is_alive(row.owner)

    def _is_alive(self, owner: str | None) -> bool:
        if owner is None or owner == self._owner or not re.fullmatch(r"[\w.-]+\.lock", owner):
            return False
        return not _remove_if_dead(self.path.parent / owner)


def read_rows(folder: Path) -> list[Row]:
    """The rows of a folder's ledger, where nothing is written; none if it cannot be read."""
    path = (folder / LEDGER).absolute()
    is_open = path.with_name(path.name + "-wal").exists()
    url = f"file:{quote(os.fsencode(path))}?{'mode=ro' if is_open else 'immutable=1'}"
    try:
        with contextlib.closing(sqlite3.connect(url, uri=True)) as base:
            base.row_factory = sqlite3.Row
            return [Row(**dict(found)) for found in base.execute("SELECT * FROM pictures")]
    except (sqlite3.Error, TypeError):  # damaged, or of another version
        return []


def _own_lock(folder: Path) -> tuple[str, Any]:
    """A new lock file held by this process: its name, and the open file."""
    host = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())[:40] or "localhost"
    while True:
        name = f"{host}-{os.getpid()}-{secrets.token_hex(4)}.lock"
        file = (folder / name).open("xb")
        if take_lock(file) and (folder / name).exists():  # another's sweep can come between
            break
        file.close()
    for path in folder.glob("*.lock"):
        if path.name != name:
            _remove_if_dead(path)
    return name, file


def _remove_if_dead(path: Path) -> bool:
    """Remove a lock file that no process holds. Returns whether it is gone."""
    try:
        with path.open("r+b") as file:
            if not take_lock(file):
                return False
            if sys.platform == "win32":
                file.close()
            path.unlink()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
