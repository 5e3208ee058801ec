"""What the ledger records of an output, and whether the output still matches it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from enlarge.batch.jobs import Stamp
from enlarge.batch.names import encodable_name
from enlarge.batch.remote import Remote, is_url
from enlarge.digests import file_digest
from enlarge.errors import OutputError

LEDGER = Path(".enlarge", "ledger.sqlite")
"""The ledger in its folder."""


class State(Enum):
    """What the ledger says about an output, compared with the file."""

    MISSING = "missing"
    CURRENT = "current"
    """The file is ours, and the same work would make it again."""
    STALE = "stale"
    """The file is ours, but its input or the settings have changed."""
    ALTERED = "altered"
    """The file was changed by others."""
    FOREIGN = "foreign"
    """The file is not in the ledger."""


@dataclass(frozen=True)
class Fingerprint:
    """What an output is made from, and how: the name of its source, the digests of the input and of
    the model, and the settings as JSON. `stamp` is the input's. `sound`: the settings that are
    recorded where nothing had to be salvaged (None: the same). `finer`: models and settings of
    results in another precision that are as good, and need not be made again.
    """

    source: str
    input: str
    stamp: Stamp
    model: str
    settings: str
    sound: str | None = None
    finer: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Row:
    """The ledger's record of one output; fields are named as the columns."""

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
    chosen: str | None = None

    @property
    def is_made(self) -> bool:
        """Whether there is an output, perhaps an earlier one."""
        return bool(self.digest or self.sealed)

    def matches(self, wanted: Fingerprint) -> bool:
        """Whether the row is about the same input, and a model and settings that are wanted."""
        made = self.model, self.settings
        wishes = (wanted.model, wanted.settings), (wanted.model, wanted.sound)
        return self.input == wanted.input and (made in wishes or made in wanted.finer)


def output_state(row: Row | None, wanted: Fingerprint | None, target: Path | Remote) -> State:
    """What the output at `target` is, given its row. Without `wanted`, nothing is current.

    The output is read only if its size or times differ from the recorded ones.
    """
    return examine_output(row, wanted, target)[0]


def examine_output(
    row: Row | None, wanted: Fingerprint | None, target: Path | Remote
) -> tuple[State, str | None]:
    """The state of an output, and the digest of what is there if it is ours."""
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
    recorded = row.digest if row.state == "done" else row.sealed
    is_current = wanted is not None and row.matches(wanted) and digest == recorded
    return (State.CURRENT if is_current else State.STALE), digest


def input_digest(row: Row | None, stamp: Stamp, read: Callable[[], str]) -> str:
    """The digest of an input: from its row if its stamp is unchanged, else what `read` returns."""
    return row.input if row is not None and row.stamp == stamp.text else read()


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings as the ledger stores them: JSON, sorted by name."""
    return json.dumps(settings, sort_keys=True, ensure_ascii=False)


def is_same_source(recorded: str, name: str) -> bool:
    """Whether the ledger's name of a source is another way to write `name`."""
    name = encodable_name(name)
    if is_url(name):
        return recorded == name
    return os.path.abspath(recorded) == os.path.abspath(name)  # noqa: PTH100 - no links


def check_replaceable(
    state: State, row: Row, wanted: Fingerprint | None, source: str, target: Path | Remote
) -> None:
    """Raise `OutputError` for a result that was changed by others, or made from another picture
    than `source`.
    """
    remedy = "use --overwrite to replace it, or -o to choose another output"
    if state is State.ALTERED:
        raise OutputError(f"{target} was changed since enlarge made it; {remedy}")
    if state is not State.STALE or (wanted is not None and wanted.input == row.input):
        return
    if not is_same_source(row.source, source):
        raise OutputError(f"{target} was made from {row.source}, not from {source}; {remedy}")
