"""The model `auto`: each picture is looked at, and gets the model for its kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from enlarge.media.reading import open_picture
from enlarge.media.rows import PeekedRows, Rows
from enlarge.picture.looking import SMALLEST, Finding, Kind, find_kind, likely_kind, looks_of
from enlarge.picture.outlook import Outlook
from enlarge.picture.passes import split_passes
from enlarge.picture.source import prepare_rows
from enlarge.settings import Settings

SEEN = 4_000_000
"""Pixels at the top of a picture that are looked at. They are decoded once, and kept until they are
enlarged."""
_LEAST = 64
"""Rows that are looked at of a very wide picture."""


@dataclass(frozen=True)
class Chosen:
    """A picture's rows, from the first one, and its outlook with the model that was chosen.
    `finding`: why (None: the model was named).
    """

    rows: Rows
    outlook: Outlook
    finding: Finding | None = None

    @property
    def reason(self) -> str:
        """Why the model was chosen; empty if it was named."""
        return "" if self.finding is None else self.finding.reason


def finding_in_file(source: Path | bytes | BinaryIO, settings: Settings) -> Finding:
    """What `chosen` will find of a picture file. Reads as much of it as that. Raises what opening
    and reading a picture does.
    """
    page, salvage = settings.single_page, settings.salvage
    memory = settings.budget // 4
    with open_picture(source, page=page, memory=memory, salvage=salvage) as picture:
        quality = picture.facts.quality
        rows = prepare_rows(picture.rows(), settings)
        try:
            return _found(rows, quality)[0]
        finally:
            rows.close()


def chosen(rows: Rows, outlook: Outlook, *, quality: int | None = None) -> Chosen:
    """The model for a picture, if it is to be chosen: the one for what the picture looks like.

    `rows`: of what is enlarged, which are read as far as it takes. `quality`: of the JPEG that
    holds the picture (None: it is none). Raises what reading rows does.
    """
    if not outlook.model.weights.choices:
        return Chosen(rows, outlook)
    found, first = _found(rows, quality)
    return Chosen(PeekedRows(rows, first), for_kind(outlook, found.kind), found)


def for_kind(outlook: Outlook, kind: Kind) -> Outlook:
    """An outlook with the model for a kind of picture."""
    own = outlook.model.chosen(kind)
    whole = replace(outlook.passes[0], target_width=outlook.width, target_height=outlook.height)
    return replace(outlook, model=own, passes=split_passes(whole, own.card.scale))


def _found(rows: Rows, quality: int | None) -> tuple[Finding, NDArray[Any]]:
    """What the first rows look like, and they themselves."""
    first = rows.read(min(rows.height, max(SEEN // rows.width, _LEAST)))
    if min(rows.width, rows.height) < SMALLEST and likely_kind(quality) == "clean":
        return Finding("clean", "too small to be looked at"), first
    return find_kind(looks_of(first, quality=quality)), first
