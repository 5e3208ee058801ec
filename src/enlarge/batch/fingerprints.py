"""What the ledger is to record of a picture: what it is made from, and how."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from enlarge.batch.archive import Member
from enlarge.batch.jobs import Stamp, source_digest, source_stamp
from enlarge.batch.locations import File, Stream
from enlarge.batch.plan import PlannedPicture
from enlarge.batch.record import Fingerprint, Row, input_digest, settings_text
from enlarge.batch.remote import Remote
from enlarge.picture.model import OpenModel
from enlarge.settings import Settings

_UINT8 = np.dtype(np.uint8)


def recorded_settings(settings: Settings, model: OpenModel, dtype: np.dtype[Any] | None) -> str:
    """What determines a result's bytes, beside its input and the model, as the ledger records it:
    the options as given, and engine, device and precision as chosen for pictures of `dtype` (None,
    for a picture that is read later: for 8 bits, and for more). Of a checkpoint these are as given
    too: it runs in torch until it is prepared, and what is finished need not be made again then.
    """
    recorded = settings.recorded()
    if settings.scale is None and not (settings.width or settings.height):
        recorded["scale"] = model.card.scale
    if model.card.strength is not None:
        recorded["strength"] = model.card.strength
    if settings.salvage:
        recorded["salvage"] = True
    return settings_text(recorded | (model.options_of_checkpoint or _chosen(model, dtype)))


def _in_finer_precisions(model: OpenModel, dtype: np.dtype[Any], recorded: str) -> Iterator[str]:
    """The same settings in the precisions that are finer than int8, where int8 is only chosen as
    the fastest. `recorded`: as `recorded_settings` returns them.
    """
    if model.engine(dtype).precision != "int8" or model.options.precision != "auto":
        return
    settings = json.loads(recorded)
    for precision in model.card.precisions:
        text = str(settings["precision"]).replace("int8", precision)
        yield settings_text(settings | {"precision": text})


def _chosen(model: OpenModel, dtype: np.dtype[Any] | None) -> dict[str, Any]:
    engine = model.engine(_UINT8 if dtype is None else dtype)
    precision = engine.precision
    if dtype is None:
        precision += f", {model.engine(np.dtype(np.uint16)).precision}"
    return {"engine": engine.name, "device": engine.device, "precision": precision}


def fingerprint(
    item: PlannedPicture, settings: Settings, model: OpenModel, row: Row | None
) -> Fingerprint:
    """What the ledger is to record of a picture. Reads the input unless its row has its digest.

    Raises `InputError`.
    """
    source = item.job.source
    assert not isinstance(source, Stream)
    settings = item.job.chosen(settings)
    dtype = None if item.outlook is None else item.outlook.dtype
    recorded = recorded_settings(settings, model, dtype)
    sound = recorded_settings(replace(settings, salvage=False), model, dtype)
    stamp = source_stamp(source)
    digest = input_digest(row, stamp, lambda: _digest(source, stamp))
    depth = _UINT8 if dtype is None else dtype
    finer = frozenset(
        (model.digest, text)
        for each in (recorded, sound)
        for text in _in_finer_precisions(model, depth, each)
    )
    used = model.digest_for(depth)
    return Fingerprint(str(source), digest, stamp, used, recorded, sound, finer)


@lru_cache(maxsize=8)
def _digest(source: File | Member | Remote, stamp: Stamp) -> str:
    """The digest of a source that has this stamp: read once for all pages of a file."""
    return source_digest(source)
