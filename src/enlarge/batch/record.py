"""What is known of an output: what it was made of, and whether it still is what was made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from enlarge.batch.addresses import Remote
from enlarge.batch.jobs import Stamp
from enlarge.digests import file_digest

LEDGER = Path(".enlarge", "ledger.sqlite")
"""Where an output folder keeps its ledger."""


class State(Enum):
    """What the ledger says of an output, compared with what is there."""

    MISSING = "missing"
    CURRENT = "current"
    """It is there, ours, and what the same work would make again."""
    STALE = "stale"
    """It is there and ours, but its input or the settings are others now."""
    ALTERED = "altered"
    """It is there, and somebody changed it."""
    FOREIGN = "foreign"
    """It is there, and the ledger knows nothing of it."""


@dataclass(frozen=True)
class Wish:
    """What an output is to be made of, and how: the name of its source, the digests of the input
    and of the model, and the settings as JSON. `stamp` is the input's.
    """

    source: str
    input: str
    stamp: Stamp
    model: str
    settings: str


@dataclass(frozen=True)
class Row:
    """What the ledger holds of one output; the names are the columns'."""

    output: str
    state: str
    owner: str | None
    source: str
    input: str
    stamp: str
    model: str
    settings: str
    sealed: str | None
    digest: str | None
    shape: str | None
    width: int | None
    height: int | None
    tile: str | None
    seconds: float | None
    problem: str | None

    def holds(self, wish: Wish) -> bool:
        """Whether the row is about the same input, model and settings."""
        kept = (self.input, self.model, self.settings)
        return kept == (wish.input, wish.model, wish.settings)


def compare(row: Row | None, wish: Wish | None, target: Path | Remote) -> State:
    """What the output at `target` is, given its row. `wish` None: nothing can be current.

    Reads the output only where its size or times are not those that the ledger knows.
    """
    return look(row, wish, target)[0]


def look(row: Row | None, wish: Wish | None, target: Path | Remote) -> tuple[State, str | None]:
    """The state of an output, and the digest of what is there where it is ours."""
    try:
        shape = Stamp.at(target).text
    except OSError:
        return State.MISSING, None
    if row is None:
        return State.FOREIGN, None
    try:
        is_known = row.state == "done" and row.shape == shape
        if is_known:
            digest = row.digest
        else:
            digest = target.digest() if isinstance(target, Remote) else file_digest(target)
    except OSError:
        return State.ALTERED, None
    if digest not in (row.digest, row.sealed):
        return State.ALTERED, None
    made = row.digest if row.state == "done" else row.sealed
    is_current = wish is not None and row.holds(wish) and digest == made
    return (State.CURRENT if is_current else State.STALE), digest


def input_of(row: Row | None, stamp: Stamp, read: Callable[[], str]) -> str:
    """The digest of an input: from its row where its stamp is still the same, else as read."""
    return row.input if row is not None and row.stamp == stamp.text else read()


def settings_text(**settings: Any) -> str:
    """Settings as they stand in the ledger: JSON, by name."""
    return json.dumps(settings, sort_keys=True, ensure_ascii=False)


def as_text(name: str) -> str:
    """A file's name as SQLite can hold it, also where it is no text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
