"""An opened model: its card, its file, and the engines that run it."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from enlarge.card import Card
from enlarge.digests import file_digest
from enlarge.engines import Engine, pick_engine
from enlarge.weights.files import Weights


class OpenModel:
    """A model, opened. Engines are created on first use and kept, with the networks that they
    compiled last, so that a next picture of that size starts at once. Threads may share it.
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
        self._engines: dict[bool, Engine] = {}
        self._lock = threading.Lock()

    def engine(self, dtype: np.dtype[Any]) -> Engine:
        """The engine that runs pictures of that dtype. With precision auto, that for 16 bits and
        floats may differ from that for 8 bits. Raises `EngineError` or `OptionError`.
        """
        high_depth = dtype != np.uint8 and self._options["precision"] == "auto"
        with self._lock:
            if high_depth not in self._engines:
                options = self._options | {"dtype": dtype}
                self._engines[high_depth] = pick_engine(self.path, self.card, **options)
            return self._engines[high_depth]

    def card_for(self, engine: Engine) -> Card:
        """The card with the working sets of this engine."""
        sets = {side: round(size * engine.memory_factor) for side, size in self.card.tiles.items()}
        return replace(self.card, tiles=sets)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the model's file, in hexadecimal digits."""
        return file_digest(self.path)
