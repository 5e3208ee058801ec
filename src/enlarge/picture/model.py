"""An opened model: its card, its file, and the engines that run it."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from enlarge.card import Card
from enlarge.digests import file_digest
from enlarge.engines import Engine, EngineOptions, check_engine, pick_engine
from enlarge.engines.forked import ForkedEngine
from enlarge.forks import can_use, check_can_use, keep
from enlarge.model_file import Weights
from enlarge.picture.looking import RULES
from enlarge.settings import Settings

_AUTO = EngineOptions()
_INTERVAL = 2.0
"""Seconds between two looks for what is prepared in the background."""


class OpenModel:
    """A model, opened. Engines are created on first use and kept, with the networks that they
    compiled last, so that a next picture of that size starts at once. Threads may share it, and so
    may forked processes (see `engines.forked`).

    A checkpoint that is not prepared runs in torch; see `current`. The model `auto` stands for
    several; see `chosen`. `auto`: the model that chose this one, if one did.
    """

    def __init__(
        self, weights: Weights, options: EngineOptions = _AUTO, *, auto: OpenModel | None = None
    ) -> None:
        self.card: Card = weights.card
        self.path: Path = weights.path
        self.weights, self.options, self._auto = weights, options, auto
        self._chosen: dict[Path, OpenModel] = {}
        self._prepared: OpenModel | None = None
        self._looked = time.monotonic()
        self._is_claimed = False
        self._engines: dict[tuple[int, bool], Engine] = {}
        self._locks: dict[int, threading.Lock] = {}

    def engine(self, dtype: np.dtype[Any]) -> Engine:
        """The engine that runs pictures of that dtype. With precision auto, that for 16 bits and
        floats may differ from that for 8 bits. Of `auto`, that of its first model. Raises
        `EngineError` or `OptionError`.
        """
        if self.weights.choices:
            return self.chosen(next(iter(self.weights.choices))).engine(dtype)
        high_depth = dtype != np.uint8 and self.options.precision == "auto"
        # A forked process has engines of its own: its parent's, and their lock, are as they were.
        key = os.getpid(), bool(high_depth)
        engine: Engine
        with self._lock:
            if key not in self._engines:
                if can_use("engines"):
                    keep(engine := pick_engine(self.weights, self.options, dtype))
                else:
                    if self._is_foreign_network:
                        check_can_use("engines", f"{self.path.name}, until it is prepared,")
                    engine = ForkedEngine(self.weights, self.options, dtype)
                self._engines[key] = engine
            return self._engines[key]

    @property
    def _is_foreign_network(self) -> bool:
        return self.weights.network is not None and self.card.is_from_spandrel

    @property
    def _lock(self) -> threading.Lock:
        """The lock of this process."""
        return self._locks.setdefault(os.getpid(), threading.Lock())

    def chosen(self, kind: str) -> OpenModel:
        """Of the model `auto`, the one for a kind of picture. Raises `EngineError` or `OptionError`
        on first use if any of its models cannot run with the options.
        """
        weights = self.weights.choices[kind]
        with self._lock:
            if not self._chosen:
                check_engine(self.weights, self.options)
            if weights.path not in self._chosen:
                self._chosen[weights.path] = OpenModel(weights, self.options, auto=self)
            return self._chosen[weights.path]

    def forget(self) -> bool:
        """Free the compiled networks that no picture is using: this model's and, if `auto` chose
        it, those of the others. Whether there were any.
        """
        models = [self] if self._auto is None else list(self._auto._chosen.values())
        here = os.getpid()
        engines = [
            engine
            for model in models
            for (process, _), engine in list(model._engines.items())
            if process == here
        ]
        freed = [engine.forget() for engine in engines]
        return any(freed)

    def card_for(self, engine: Engine) -> Card:
        """The card with the working sets of this engine; of `auto`, the largest of any model."""
        cards = [one.stored_for(engine.precision).card for one in self.weights.members]
        measured = max((card.tiles for card in cards), key=_largest) or self.card.tiles
        sets = {side: round(size * engine.memory_factor) for side, size in measured.items()}
        return replace(self.card, tiles=sets)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the model's file, in hexadecimal digits; of one that was converted, that
        of the checkpoint.
        """
        if self.weights.choices:
            return _digest_of_all(one.digest for one in self.weights.members)
        source = self.weights.source
        return self.weights.digest if source is None else file_digest(source)

    def digest_for(self, dtype: np.dtype[Any]) -> str:
        """The same for pictures of that dtype: where they are computed in int8, that of the 8-bit
        form.
        """
        if self.weights.choices:
            return _digest_of_all(self.chosen(k).digest_for(dtype) for k in self.weights.choices)
        if self.weights.int8 is None:
            return self.digest
        return self.weights.stored_for(self.engine(dtype).precision).digest

    @property
    def options_of_checkpoint(self) -> dict[str, Any] | None:
        """For a checkpoint: engine, device and precision as given, since those that run it change
        once it is prepared. None for other models.
        """
        if self.weights.source is None:
            return None
        return {name: getattr(self.options, name) for name in ("engine", "device", "precision")}

    @property
    def is_provisional(self) -> bool:
        """Whether this is a checkpoint in torch that will run in another engine once prepared."""
        return self.weights.network is not None and self.options.engine == "auto"

    def current(self) -> OpenModel:
        """The model that a new picture is to be enlarged with: this one or, if its checkpoint has
        been prepared meanwhile, the prepared one.
        """
        if not self.is_provisional:
            return self
        from enlarge.weights.preparing import find_prepared

        digest = self.digest
        with self._lock:
            now = time.monotonic()
            if self._prepared is None and now - self._looked >= _INTERVAL:
                self._looked = now
                if (found := find_prepared(self.path, digest)) is not None:
                    self._prepared = OpenModel(found, self.options)
            return self._prepared or self

    def claim_preparing(self) -> bool:
        """Whether the checkpoint is to be prepared in the background: once for each model, unless
        that has failed before, or another process prepares it.
        """
        digest = self.digest
        with self._lock:
            if self._is_claimed:
                return False
            self._is_claimed = True
        from enlarge.weights.preparing import has_failed, is_underway

        return not has_failed(self.path, digest) and not is_underway(self.path, digest)


def _largest(tiles: Mapping[int, int]) -> int:
    return max(tiles.values(), default=0)


def _digest_of_all(digests: Iterable[str]) -> str:
    """Of `auto`: changes with any of its models and with the rules by which it chooses."""
    return hashlib.sha256(" ".join([RULES, *digests]).encode()).hexdigest()


def engine_options(settings: Settings) -> EngineOptions:
    """The settings that concern engines."""
    return EngineOptions(settings.engine, settings.device, settings.precision, settings.threads)
