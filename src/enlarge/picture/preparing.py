"""Prepare a checkpoint, at low priority: the process that `background` starts.

python -m enlarge.picture.preparing    reads the pickled arguments of `prepare_model` from its input
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np

from enlarge.engines import EngineOptions
from enlarge.media.rows import ArrayRows
from enlarge.picture.model import OpenModel
from enlarge.picture.outlook import plan_array
from enlarge.picture.run import enlarge_rows
from enlarge.settings import Settings
from enlarge.weights.preparing import note_failure, prepared

_NICE = 10
"""About a tenth of the time of a core that other work wants."""


def prepare_model(
    path: Path, options: EngineOptions, settings: Settings, shape: tuple[int, ...], dtype: str
) -> None:
    """Prepare the checkpoint, and compile it for a picture, (height, width, channels), of that
    dtype.

    A failure is noted in the cache, so that it is not tried again, unless it lies in the machine: a
    full disk, too little memory, a cache that was deleted meanwhile. Raises `EnlargeError`s.
    """
    try:
        weights = prepared(path, quiet=True)
    except Exception as error:
        if not _lies_in_the_machine(error):
            note_failure(path, str(error))
        raise
    rows = ArrayRows(np.broadcast_to(np.zeros(1, dtype), shape))
    enlarge_rows(rows, plan_array(rows, settings, OpenModel(weights, options)))


def _lies_in_the_machine(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, OSError | MemoryError):
        error = error.__cause__ or error.__context__
    return error is not None


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(_NICE)
    os.environ["OMP_NUM_THREADS"] = "1"  # torch's threads wait for each other in a loop
    prepare_model(*pickle.load(sys.stdin.buffer))
