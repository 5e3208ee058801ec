"""Inputs that would get one output (`IMG_1.HEIC`, `IMG_1.JPG`): their results keep the whole name.

The names are stable. An input whose result the ledger knows keeps it, whatever is added or removed
beside it, and no input gets the name of another one's result.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath

from enlarge.batch.inputs import Input
from enlarge.batch.jobs import PictureJob, source_digest
from enlarge.batch.locations import Folder, RemoteFolder, Stream, Target, Zip
from enlarge.batch.names import encodable_name, folded_name
from enlarge.batch.outputs import input_name, name_output, place_of
from enlarge.batch.record import Row, is_same_source
from enlarge.errors import InputError


@dataclass(frozen=True)
class Wish:
    """An input, and what follows its name in that of its output, with the extension."""

    item: Input
    ending: str


@dataclass(frozen=True)
class Named:
    """The job of each input, in their order, and a line for each thing to know about the names."""

    jobs: tuple[PictureJob, ...]
    notes: tuple[str, ...] = ()


class _Way(Enum):
    """What the ledger says about the name of an input's output."""

    FREE = "nothing"
    OWN = "its output has the short name"
    WHOLE = "its output has the whole name, or the short name is that of another one's output"


def name_outputs(wishes: Sequence[Wish], target: Target | None, rows: Mapping[str, Row]) -> Named:
    """Name the output of every input. `rows`: the ledger's.

    Outputs that cannot be told apart keep their names, which `check_outputs` refuses. Raises
    `OptionError` for a picture that needs a target.
    """
    short = [name_output(wish.item, target, wish.ending) for wish in wishes]
    if target is not None and not isinstance(target, Folder | Zip | RemoteFolder):
        return Named(tuple(short))
    whole = [name_output(wish.item, target, wish.ending, whole=True) for wish in wishes]
    ways = [_recorded(*pair, rows) for pair in zip(short, whole, strict=True)]
    keeps = {number for number, way in enumerate(ways) if way is _Way.WHOLE}
    added = _colliding(short, whole, ways, target)  # those with a name by now count as well
    while added - keeps:
        keeps |= added
        jobs = [whole[n] if n in keeps else job for n, job in enumerate(short)]
        added = _colliding(jobs, whole, ways, target)
    jobs = [whole[n] if n in keeps else job for n, job in enumerate(short)]
    fresh = [job for n, job in enumerate(jobs) if n in keeps and ways[n] is not _Way.WHOLE]
    return Named(tuple(jobs), tuple(_notes(jobs, fresh, target)))


def _recorded(short: PictureJob, whole: PictureJob, rows: Mapping[str, Row]) -> _Way:
    source = short.source
    if isinstance(source, Stream):
        return _Way.FREE
    if not short.name:  # beside its input, where there is no ledger
        is_there = whole.path is not None and os.path.exists(whole.path)  # noqa: PTH110 - any name
        return _Way.WHOLE if is_there else _Way.FREE
    row = rows.get(encodable_name(whole.name))
    if row is not None and row.is_made and is_same_source(row.source, str(source)):
        return _Way.WHOLE
    row = rows.get(encodable_name(short.name))
    if row is None or not (row.is_made or row.state == "doing"):
        return _Way.FREE
    if is_same_source(row.source, str(source)):
        return _Way.OWN
    if PurePath(row.source).name == encodable_name(input_name(source)):
        return _Way.FREE  # another folder's picture of that name is refused
    try:
        is_renamed = source_digest(source) == row.input
    except InputError:
        is_renamed = False
    return _Way.FREE if is_renamed else _Way.WHOLE


def _key(job: PictureJob, target: Target | None) -> Path | str:
    """The same for outputs that cannot exist together; in a zip, where systems ignore case."""
    return folded_name(job.name) if isinstance(target, Zip) else place_of(job)


def _colliding(
    jobs: Sequence[PictureJob],
    whole: Sequence[PictureJob],
    ways: Sequence[_Way],
    target: Target | None,
) -> set[int]:
    """The numbers of the jobs that need their whole name to be told apart."""
    groups: dict[Path | str, list[int]] = defaultdict(list)
    for number, job in enumerate(jobs):
        groups[_key(job, target)].append(number)
    found: set[int] = set()
    for members in groups.values():
        is_gain = len({str(whole[n].target) for n in members}) > 1
        is_distinct = len({str(jobs[n].target) for n in members}) == len(members)  # but for case
        apart = {_key(whole[n], target) for n in members}
        if len(members) < 2 or not is_gain or (is_distinct and len(apart) < len(members)):
            continue
        own = [n for n in members if ways[n] is _Way.OWN]
        found |= {n for n in members if [n] != own}
    return found


def _notes(
    jobs: Sequence[PictureJob], fresh: Sequence[PictureJob], target: Target | None
) -> Iterator[str]:
    if fresh:
        more = f" and {len(fresh) - 1:,} more" if len(fresh) > 1 else ""
        yield (
            f"{fresh[0].source}{more}: other inputs differ only in the extension, so the results "
            f"keep it, as in {fresh[0].name or fresh[0].target}"
        )
    cut = [job for job in jobs if _is_shortened(job)]
    if cut:
        more = f" and {len(cut) - 1:,} more" if len(cut) > 1 else ""
        yield (
            f"{cut[0].source}{more}: the name would be longer than 255 bytes and is shortened to "
            f"{cut[0].name or cut[0].target}"
        )
    if isinstance(target, Zip):
        groups: dict[str, list[str]] = defaultdict(list)
        for job in jobs:
            groups[folded_name(job.name)].append(job.name)
        alike = [names for names in groups.values() if len(names) > 1]
        if alike:
            yield (
                f"{' and '.join(alike[0])} differ only in upper and lower case, or in how accents "
                "are stored: on Windows and macOS, unpacking keeps only one of them"
            )


def _is_shortened(job: PictureJob) -> bool:
    if isinstance(job.source, Stream):
        return False
    return not PurePath(str(job.target)).name.startswith(PurePath(input_name(job.source)).stem)
