"""An opened model: its card, its file, and the engines that run it."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from enlarge.card import Card
from enlarge.digests import file_digest
from enlarge.engines import Engine, pick_engine
from enlarge.engines.forked import ForkedEngine
from enlarge.forks import can_use, keep
from enlarge.weights.files import Weights


class OpenModel:
    """A model, opened. Engines are created on first use and kept, with the networks that they
    compiled last, so that a next picture of that size starts at once. Threads may share it, and so
    may forked processes (see `engines.forked`).
    """

    def __init__(
        self,
        weights: Weights,
        *,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
    ) -> None:
        self.card: Card = weights.card
        self.path: Path = weights.path
        self._options: dict[str, Any] = {
            "engine": engine, "device": device, "precision": precision, "threads": threads,
        }  # fmt: skip
        self._engines: dict[tuple[int, bool], Engine] = {}
        self._locks: dict[int, threading.Lock] = {}

    def engine(self, dtype: np.dtype[Any]) -> Engine:
        """The engine that runs pictures of that dtype. With precision auto, that for 16 bits and
        floats may differ from that for 8 bits. Raises `EngineError` or `OptionError`.
        """
        high_depth = dtype != np.uint8 and self._options["precision"] == "auto"
        # A forked process has engines of its own: its parent's, and their lock, are as they were.
        key = process, _ = os.getpid(), bool(high_depth)
        engine: Engine
        with self._locks.setdefault(process, threading.Lock()):
            if key not in self._engines:
                options = self._options | {"dtype": dtype}
                if can_use("engines"):
                    keep(engine := pick_engine(self.path, self.card, **options))
                else:
                    engine = ForkedEngine(self.path, self.card, options)
                self._engines[key] = engine
            return self._engines[key]

    def card_for(self, engine: Engine) -> Card:
        """The card with the working sets of this engine."""
        sets = {side: round(size * engine.memory_factor) for side, size in self.card.tiles.items()}
        return replace(self.card, tiles=sets)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the model's file, in hexadecimal digits."""
        return file_digest(self.path)
