"""Engines in a process that was forked from one that computed with them.

Their threads do not survive a fork (see `forks`). In such a process the network is therefore
computed in a new one, which is started (not forked) on first use and ends with it. Tiles and
results travel through pipes.

A process that is forked before its parent computed anything has engines of its own, as usual.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from enlarge.engines.options import EngineOptions
from enlarge.engines.protocol import Engine, TileSpec
from enlarge.errors import EngineError, EnlargeError
from enlarge.forks import REMEDY
from enlarge.model_file import Weights

_SERVE = "import sys; from enlarge.engines.forked import respond; respond(*map(int, sys.argv[1:]))"


class ForkedEngine:
    """An `Engine` in a process of its own. Raises what making the engine there raises."""

    def __init__(self, weights: Weights, options: EngineOptions, dtype: np.dtype[Any]) -> None:
        import subprocess

        self._lock = threading.Lock()
        theirs, to_it = os.pipe()
        from_it, back = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable or "python3", "-c", _SERVE, str(theirs), str(back)],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs, back),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except OSError as error:
            raise EngineError(
                f"cannot start a process to compute in ({error}); {REMEDY}"
            ) from error
        finally:
            os.close(theirs)
            os.close(back)
        self._to, self._from = os.fdopen(to_it, "wb"), os.fdopen(from_it, "rb")
        facts = self._ask(("engine", (weights, options, dtype)))
        self.name, self.device, self.precision, self.memory_factor = facts

    def session(self, spec: TileSpec) -> ForkedSession:
        """See `Engine.session`."""
        self._ask(("session", spec))
        return ForkedSession(self, spec)

    def forget(self) -> bool:
        """See `Engine.forget`."""
        return bool(self._ask(("forget", None)))

    def compute(self, spec: TileSpec, tile: NDArray[Any]) -> NDArray[Any]:
        """Enlarge one tile; see `Session.__call__`."""
        large: NDArray[Any] = self._ask((spec, np.ascontiguousarray(tile)))
        return large

    def _ask(self, question: Any) -> Any:
        """The answer of the other process. Raises the exception that it answers with."""
        with self._lock:
            try:
                _send(self._to, question)
                answer = pickle.load(self._from)
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                status = self._process.poll()
                raise EngineError(
                    f"the process that computes for this forked one ended (status {status}); "
                    f"{REMEDY}"
                ) from error
        if isinstance(answer, EnlargeError):
            raise answer
        return answer


class ForkedSession:
    """See `Session`. Each call returns a new array."""

    def __init__(self, engine: ForkedEngine, spec: TileSpec) -> None:
        self._engine, self._spec = engine, spec

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """See `Session.__call__`."""
        return self._engine.compute(self._spec, tile)


def _send(stream: BinaryIO, content: Any) -> None:
    pickle.dump(content, stream, protocol=5)
    stream.flush()


def respond(source: int, target: int) -> None:
    """The other process: make the engine, then answer until the pipe is closed."""
    from enlarge.engines.pick import pick_engine

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that it serves decides
    asked, answers = os.fdopen(source, "rb"), os.fdopen(target, "wb")
    engine: Engine | None = None
    sessions: dict[TileSpec, Any] = {}

    def answer(question: Any) -> Any:
        nonlocal engine
        what, subject = question
        if engine is None:
            engine = pick_engine(*subject)
            return engine.name, engine.device, engine.precision, engine.memory_factor
        if what == "session":
            sessions[subject] = engine.session(subject)
            return None
        if what == "forget":
            sessions.clear()
            return engine.forget()
        return sessions[what](subject)

    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            question = pickle.load(asked)
            try:
                found = answer(question)
            except EnlargeError as error:
                found = error
            _send(answers, found)
