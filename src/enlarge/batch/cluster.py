"""A batch on the machines of a Ray cluster: `Bench` as an actor on each, driven from here.

Why actors and not a Ray Data job: a ledger's row goes doing → sealed → name → done, and only this
process writes it, so between a picture's computing and its name each machine waits for a word from
here; a Dataset's stages flow one way. Pictures are claimed when a machine has room for them, so
that other processes may work on the same ledger; a Dataset is claimed whole. The rows of a huge
picture are read, and joined, in order and within bounded memory; a Dataset wants them all as
blocks. And Ray alone installs without pyarrow and pandas.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

from numpy.typing import NDArray

from enlarge.batch.addresses import INSTALL
from enlarge.batch.bench import Bench, Setup, model_files
from enlarge.batch.jobs import Job
from enlarge.batch.lanes import LANES
from enlarge.batch.worker import Seal
from enlarge.errors import Cancelled, EngineError, MachineError
from enlarge.picture.layout import Layout
from enlarge.picture.run import Done

AUTO = "auto"
PORT = 6379
"""Where `ray start --head` listens, unless told otherwise."""
ANSWER = 15.0
"""Seconds within which an address has to answer."""
PATIENCE = 60.0
"""Seconds to wait for a machine when there is none."""
TRIES = 3
"""How often a picture may lose its machine, and a machine its process while that begins."""
_LOSSES = 2 * TRIES
"""How often a machine may lose its process before it finishes something: a picture that is to blame
is given up first."""
STOP = 5.0
"""Seconds that machines have to remove what is under way, when a run is interrupted."""
_LOOK = 0.25
_ROWS_EACH = 2
"""Rows of tiles at a machine: one is computed, one is on its way."""


T = TypeVar("T")
Asking = Callable[[], bool]
"""Says whether the caller asked to stop."""


def _never() -> bool:
    return False


class _Lost(Exception):
    """The machine, or its process, is gone."""


@dataclass
class _Machine:
    """An actor on a node: what it is doing, and whether something is to be alone there."""

    node: str
    host: str
    actor: Any
    hello: Any
    busy: int = 0
    alone: bool = False


@dataclass
class _Known:
    """A node: how often its actor was lost since it last finished something, why it is not used."""

    losses: int = 0
    problem: Exception | None = None


@dataclass
class _State:
    """What threads share, under `changed`."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    ready: dict[str, _Machine] = field(default_factory=dict)
    coming: dict[str, _Machine] = field(default_factory=dict)
    known: dict[str, _Known] = field(default_factory=dict)
    is_closed: bool = False


class Pool:
    """The machines of a cluster, one actor on each node that has processors. Use it in `with`.

    `address`: HOST:PORT of the cluster's head, or auto: the one that this machine belongs to, or
    RAY_ADDRESS. Nodes that join later are used too; those that go are replaced by the others.
    `tell` is given a line for each machine that was lost. Raises `EngineError` where there is no
    such cluster, or none of its machines can help.
    """

    def __init__(
        self,
        address: str,
        setup: Setup,
        *,
        threads: int = 0,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._setup, self._threads, self._tell = setup, threads, tell
        self._ray = _connected(address)
        self._state = _State()
        self._files = self._ray.put(model_files(setup.path))
        self._actor = self._ray.remote(Bench)
        self._keeper = threading.Thread(target=self._keep, name="enlarge-cluster", daemon=True)
        self._keeper.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._state.changed:
            self._state.is_closed = True
            self._state.changed.notify_all()
        self._keeper.join()
        answers = []
        for machine in self._state.ready.values():
            with contextlib.suppress(Exception):  # it may be gone already
                answers.append(machine.actor.stop.remote())
        if answers:
            self._ray.wait(answers, num_returns=len(answers), timeout=STOP)
        for machine in (*self._state.ready.values(), *self._state.coming.values()):
            with contextlib.suppress(Exception):  # it may be gone already
                self._ray.kill(machine.actor)
        self._ray.shutdown()

    @property
    def size(self) -> int:
        """Machines that are there, or are getting ready; at least 1."""
        with self._state.changed:
            return max(1, len(self._state.ready) + len(self._state.coming))

    def wait(self) -> None:
        """Wait until every machine is ready, at most `PATIENCE` seconds for the first.

        Raises `EngineError` where there is none by then.
        """
        end = time.monotonic() + PATIENCE
        state = self._state
        with state.changed:
            state.changed.wait_for(lambda: bool(state.ready) or self._is_hopeless(), PATIENCE)
            if not state.ready:
                raise self._none()
            left = min(end - time.monotonic(), ANSWER)
            state.changed.wait_for(lambda: not state.coming, left)

    def problems(self) -> list[str]:
        """Why machines of the cluster are not used, a line each."""
        with self._state.changed:
            known = [entry.problem for entry in self._state.known.values()]
        return [str(problem) for problem in known if problem is not None]

    def make(self, job: Job, seal: Seal | None, is_cancelled: Asking) -> Done:
        """Enlarge a picture on one of the machines; on another one if that is lost.

        One that lost its machine once is alone on the next, so that it is known whose fault it was.
        Raises `EnlargeError`s; after `TRIES` losses a `MachineError`.
        """

        def attempt(machine: _Machine, number: int) -> Done:
            again = replace(job, replace=True) if number else job  # the first may have named it
            begun = self._asked(machine.actor.begin.remote(again), is_cancelled)
            if isinstance(begun, Exception):
                raise begun
            key, digest = begun
            try:
                if seal is not None:
                    seal(digest)
            except BaseException:
                machine.actor.drop.remote(key)
                raise
            done = self._asked(machine.actor.finish.remote(key), _never)
            if isinstance(done, Exception):
                raise done
            return done

        return self._tried(attempt, job.source, is_cancelled)

    def rows(
        self, layout: Layout, number: int, strip: NDArray[Any], is_cancelled: Asking
    ) -> list[NDArray[Any]]:
        """A row of tiles: see `Bench.rows`. Raises as `make` does."""

        def attempt(machine: _Machine, _: int) -> list[NDArray[Any]]:
            made = self._asked(machine.actor.rows.remote(layout, number, strip), is_cancelled)
            if isinstance(made, Exception):
                raise made
            return made

        return self._tried(attempt, f"row {number + 1} of tiles", is_cancelled, most=_ROWS_EACH)

    def _tried(
        self,
        attempt: Callable[[_Machine, int], T],
        what: str,
        is_cancelled: Asking,
        most: int = LANES,
    ) -> T:
        why: Exception | None = None
        for number in range(TRIES):
            with self._taken(is_cancelled, most=most, alone=number > 0) as machine:
                try:
                    result = attempt(machine, number)
                except _Lost as error:
                    why = error
                    self._lose(machine)
                    continue
            with self._state.changed:
                if (known := self._state.known.get(machine.node)) is not None:
                    known.losses = 0
            return result
        raise MachineError(
            f"{what}: lost its machine {TRIES} times, the last time: {why}; it may take more "
            "memory than they have: try --memory, or a smaller --tile"
        ) from why

    def _asked(self, answer: Any, is_cancelled: Asking) -> Any:
        """Wait for an actor. Raises `_Lost`, or `Cancelled`."""
        errors = self._ray.exceptions
        while not self._ray.wait([answer], timeout=_LOOK)[0]:
            if is_cancelled():
                raise Cancelled("cancelled")
        try:
            return self._ray.get(answer)
        except errors.RayTaskError as error:
            raise EngineError(f"a machine of the cluster failed: {error.cause}") from error
        except errors.RayError as error:
            raise _Lost(str(error).strip().splitlines()[0]) from error

    @contextlib.contextmanager
    def _taken(self, is_cancelled: Asking, *, most: int, alone: bool) -> Iterator[_Machine]:
        """A place on the machine that has least to do; with `alone` nothing else is there."""
        state = self._state
        with state.changed:
            since = time.monotonic()
            while (machine := self._free(1 if alone else most)) is None:
                if is_cancelled():
                    raise Cancelled("cancelled")
                if state.ready:
                    since = time.monotonic()
                elif self._is_hopeless() or time.monotonic() - since > PATIENCE:
                    raise self._none()
                state.changed.wait(_LOOK)
            machine.busy += 1
            machine.alone = alone
        try:
            yield machine
        finally:
            with state.changed:
                machine.busy -= 1
                machine.alone = False
                state.changed.notify_all()

    def _free(self, most: int) -> _Machine | None:
        able = [m for m in self._state.ready.values() if not m.alone and m.busy < most]
        return min(able, key=lambda machine: machine.busy, default=None)

    def _is_hopeless(self) -> bool:
        """Whether every machine that is known cannot help."""
        known = self._state.known.values()
        return bool(known) and all(entry.problem is not None for entry in known)

    def _none(self) -> EngineError:
        why = next((entry.problem for entry in self._state.known.values() if entry.problem), None)
        if why is not None:
            return EngineError(f"no machine of the cluster can help: {why}")
        return EngineError(
            f"no machine of the cluster became free within {PATIENCE:.0f} s; `ray status` says "
            "what they are doing"
        )

    def _lose(self, machine: _Machine) -> None:
        state = self._state
        with state.changed:
            if state.ready.get(machine.node) is machine:
                del state.ready[machine.node]
                self._count_loss(machine, _LOSSES, "")
                self._tell(f"{machine.host} lost its process; what it had begun is done again")
            state.changed.notify_all()
        with contextlib.suppress(Exception):  # it is gone already
            self._ray.kill(machine.actor)

    def _count_loss(self, machine: _Machine, most: int, why: str) -> None:
        """A node that loses its actor so often in a row is not used any more."""
        known = self._state.known[machine.node]
        known.losses += 1
        if known.losses >= most:
            known.problem = EngineError(
                f"{machine.host} lost its process {known.losses} times in a row{why}"
            )

    def _keep(self) -> None:
        """The keeper's thread: actors on nodes that have none, and a look at those that begin."""
        state = self._state
        while not state.is_closed:
            self._recruit()
            self._greet()
            with state.changed:
                state.changed.wait(_LOOK)

    def _recruit(self) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as Affinity

        state, is_gpu = self._state, self._setup.device == "cuda"
        try:
            nodes = self._ray.nodes()
        except Exception:  # the head is gone: whoever waits for an answer says so
            return
        for node in nodes:
            name, cores = node["NodeID"], int(node["Resources"].get("CPU", 0))
            able = node["Alive"] and cores and (not is_gpu or node["Resources"].get("GPU", 0) >= 1)
            if not able or name in state.ready or name in state.coming:
                continue
            known = state.known.setdefault(name, _Known())
            if known.problem is not None:
                continue
            actor = self._actor.options(
                num_cpus=cores,
                num_gpus=int(is_gpu),
                max_concurrency=2 * LANES + _ROWS_EACH,
                scheduling_strategy=Affinity(node_id=name, soft=False),
            ).remote(self._setup, self._threads or cores)
            hello = actor.open.remote(self._files)
            with state.changed:
                state.coming[name] = _Machine(name, node["NodeManagerHostname"], actor, hello)

    def _greet(self) -> None:
        state = self._state
        for name, machine in list(state.coming.items()):
            if not self._ray.wait([machine.hello], timeout=0)[0]:
                continue
            try:
                answer = self._ray.get(machine.hello)
            except self._ray.exceptions.RayError as error:
                answer = error
            with state.changed:
                del state.coming[name]
                if isinstance(answer, self._ray.exceptions.RayError):
                    self._count_loss(machine, TRIES, f" ({str(answer).strip().splitlines()[0]})")
                elif isinstance(answer, Exception):
                    state.known[name].problem = answer
                else:
                    state.ready[name] = machine
                state.changed.notify_all()


class ClusterRows:
    """A `Spread` over the machines of a pool: rows of tiles of one picture, joined here.

    `memory`: bytes that the rows under way may take here. Use it in `with`.
    """

    def __init__(self, pool: Pool, memory: int, is_cancelled: Asking) -> None:
        self._pool, self._memory, self._is_cancelled = pool, memory, is_cancelled
        self._is_over = False
        self._threads = ThreadPoolExecutor(_ROWS_EACH * pool.size, "enlarge-rows")

    def ahead(self, layout: Layout) -> int:
        """How many rows may be under way at once."""
        return max(1, min(_ROWS_EACH * self._pool.size, self._memory // layout.row_bytes))

    def __call__(
        self, layout: Layout, number: int, strip: NDArray[Any]
    ) -> Future[list[NDArray[Any]]]:
        """Begin with a row of tiles."""

        def is_unwanted() -> bool:
            return self._is_over or self._is_cancelled()

        return self._threads.submit(self._pool.rows, layout, number, strip, is_unwanted)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._threads.shutdown(wait=True, cancel_futures=True)


def _connected(address: str) -> Any:
    """Ray, connected to the cluster. Raises `EngineError`."""
    # Nobody is told that Ray is used, unless the user says so; nor does it touch CUDA's variables.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise EngineError(f"--cluster needs an extra: {INSTALL}") from error
    if address != AUTO:
        address = address if ":" in address else f"{address}:{PORT}"
        _knock(address)
    earlier = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
        )
    except Exception as error:  # Ray raises whatever it likes here
        first = " ".join(str(error).split())
        if address == AUTO:
            raise EngineError(
                "--cluster auto: this machine belongs to no cluster that answers; begin one with "
                f"`ray start --head`, or name its address ({first})"
            ) from error
        raise EngineError(f"--cluster {address}: cannot be joined: {first}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, earlier)  # Ray sets its own
    _quieten()
    return ray


def _quieten() -> None:
    """Keep Ray from printing, on standard output, what its nodes say of processes that they lost:
    that is for results. There is no option for it.
    """
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


def _knock(address: str) -> None:
    """Raise `EngineError` where nobody, or something else than Ray, listens at HOST:PORT: Ray
    itself would try again for minutes.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise EngineError(f"--cluster {address}: expected auto or HOST:PORT")
    hint = "`ray start --head` on that machine says which address it has"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER) as line:
            is_grpc = "RAY_USE_TLS" in os.environ or _speaks_http2(line)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise EngineError(f"--cluster {address}: nobody answers there ({why}); {hint}") from error
    if not is_grpc:
        raise EngineError(f"--cluster {address}: what answers there is not Ray; {hint}")


def _speaks_http2(line: socket.socket) -> bool:
    """Whether a server begins as gRPC's do: with a SETTINGS frame (RFC 9113, 3.4 and 6.5)."""
    no_settings = b"\0\0\0\x04\0\0\0\0\0"
    line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + no_settings)
    head = b""
    while len(head) < len(no_settings) and (data := line.recv(len(no_settings) - len(head))):
        head += data
    return head[3:4] == b"\x04"
