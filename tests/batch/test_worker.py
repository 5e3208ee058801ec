"""The worker of this machine: what it holds while it works."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from enlarge.batch import worker
from enlarge.batch.jobs import PictureJob
from enlarge.batch.lanes import MemoryLimit
from enlarge.batch.locations import File
from enlarge.batch.plan import PlannedPicture
from enlarge.batch.remote import Remote
from enlarge.batch.worker import LocalWorker
from enlarge.picture.budget import USABLE
from enlarge.settings import Settings
from enlarge.upscaler import Upscaler, open_model


def test_the_engine_is_there_before_the_memory_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first picture may be one that was not read yet, for which nothing was loaded."""
    loaded: list[str] = []

    def engine(self: Upscaler, dtype: np.dtype[np.uint8]) -> None:
        loaded.append(str(dtype))

    monkeypatch.setattr(Upscaler, "engine", engine)
    monkeypatch.setattr(worker, "resident", lambda: 10**9 if loaded else 10**8)
    limits: list[int] = []

    class Limit(MemoryLimit):
        def __init__(self, size: int) -> None:
            super().__init__(size)
            limits.append(size)

    monkeypatch.setattr(worker, "MemoryLimit", Limit)
    settings = Settings(memory=4 * 10**9)
    job = PictureJob(Remote("memory://in/a.png"), File(Path("a.png")))
    with LocalWorker(open_model("fast"), settings).reserved(PlannedPicture(job)):
        assert limits == [int(4 * 10**9 * USABLE) - 10**9]
