"""The machines of a Ray cluster: a `ClusterNode` as an actor on each, driven from here.

Why actors and not a Ray Data job: a ledger's row goes doing → sealed → name → done, and only this
process writes it, so between computing a picture and naming it each machine waits for an answer
from here; a Dataset's stages flow one way. Pictures are claimed when a machine has room for them,
so that other processes can work on the same ledger; a Dataset is claimed as a whole. The rows of a
huge picture are read, and joined, in order and within bounded memory; a Dataset wants them all as
blocks. And Ray alone installs without pyarrow and pandas.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

from numpy.typing import NDArray

from enlarge.batch.jobs import PictureJob
from enlarge.batch.lanes import LANES
from enlarge.batch.ray_connection import ANSWER, connect
from enlarge.batch.ray_node import ClusterNode, Setup, model_files
from enlarge.batch.worker import SealDigest
from enlarge.errors import Cancelled, EngineError, MachineError
from enlarge.picture.layout import Layout
from enlarge.picture.run import Done

PATIENCE = 60.0
"""Seconds to wait for a machine when there is none."""
TRIES = 3
"""How often a picture may lose its machine, and a machine its process during start-up."""
_LOSSES = 2 * TRIES
"""How often a machine may lose its process before it finishes something: a picture that is to blame
is given up first."""
STOP = 5.0
"""Seconds that machines have to remove unfinished files when a run is interrupted."""
_POLL = 0.25
_ROWS_EACH = 2
"""Rows of tiles at a machine: one is computed, one is in transit."""


T = TypeVar("T")
IsCancelled = Callable[[], bool]
"""Tells whether the caller asked to stop."""


def _never() -> bool:
    return False


class ProcessLost(Exception):
    """The machine, or its process, is gone."""


@dataclass
class _Machine:
    """An actor on a node: how many calls it is serving, and whether one is to be alone there."""

    node: str
    host: str
    actor: Any
    started: Any
    busy: int = 0
    alone: bool = False


@dataclass
class _Node:
    """A node: how often its actor was lost since it last finished something; why it is not used."""

    losses: int = 0
    problem: Exception | None = None


@dataclass
class _State:
    """What threads share, under `changed`."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    ready: dict[str, _Machine] = field(default_factory=dict)
    starting: dict[str, _Machine] = field(default_factory=dict)
    known: dict[str, _Node] = field(default_factory=dict)
    is_closed: bool = False


class Pool:
    """The machines of a cluster, one actor on each node that has processors. Use it in `with`.

    `address`: HOST:PORT of the cluster's head, or auto: the cluster that this machine belongs to,
    or RAY_ADDRESS. Nodes that join later are used too; the work of nodes that leave goes to the
    others. `report` receives a line for each machine that was lost. Raises `EngineError` if there
    is no such cluster, or none of its machines can help.
    """

    def __init__(
        self,
        address: str,
        setup: Setup,
        *,
        threads: int = 0,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._setup, self._threads, self._report = setup, threads, report
        self._ray = connect(address)
        self._state = _State()
        self._files = self._ray.put(model_files(setup))
        self._actor = self._ray.remote(ClusterNode)
        self._supervisor = threading.Thread(
            target=self._supervise, name="enlarge-cluster", daemon=True
        )
        self._supervisor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._state.changed:
            self._state.is_closed = True
            self._state.changed.notify_all()
        self._supervisor.join()
        answers = []
        for machine in self._state.ready.values():
            with contextlib.suppress(Exception):  # it may be gone already
                answers.append(machine.actor.stop.remote())
        if answers:
            self._ray.wait(answers, num_returns=len(answers), timeout=STOP)
        for machine in (*self._state.ready.values(), *self._state.starting.values()):
            with contextlib.suppress(Exception):  # it may be gone already
                self._ray.kill(machine.actor)
        self._ray.shutdown()

    @property
    def size(self) -> int:
        """The number of machines that are ready, or starting; at least 1."""
        with self._state.changed:
            return max(1, len(self._state.ready) + len(self._state.starting))

    def wait(self) -> None:
        """Wait until every machine is ready, at most `PATIENCE` seconds for the first.

        Raises `EngineError` if there is none by then.
        """
        end = time.monotonic() + PATIENCE
        state = self._state
        with state.changed:
            state.changed.wait_for(lambda: bool(state.ready) or self._is_hopeless(), PATIENCE)
            if not state.ready:
                raise self._no_machine()
            left = min(end - time.monotonic(), ANSWER)
            state.changed.wait_for(lambda: not state.starting, left)

    def problems(self) -> list[str]:
        """Why machines of the cluster are not used, a line each."""
        with self._state.changed:
            known = [entry.problem for entry in self._state.known.values()]
        return [str(problem) for problem in known if problem is not None]

    def make(self, job: PictureJob, seal: SealDigest | None, is_cancelled: IsCancelled) -> Done:
        """Enlarge a picture on one of the machines; on another one if that is lost.

        A picture that lost its machine is alone on the next, which tells whose fault it was. Raises
        `EnlargeError`s; after `TRIES` losses, a `MachineError`.
        """

        def attempt(machine: _Machine, number: int) -> Done:
            again = replace(job, replace=True) if number else job  # the first may have named it
            begun = self._ask(machine.actor.begin.remote(again), is_cancelled)
            if isinstance(begun, Exception):
                raise begun
            key, digest = begun
            try:
                if seal is not None:
                    seal(digest)
            except BaseException:
                machine.actor.drop.remote(key)
                raise
            done = self._ask(machine.actor.finish.remote(key), _never)
            if isinstance(done, Exception):
                raise done
            return done

        return self._retry(attempt, str(job.source), is_cancelled)

    def rows(
        self,
        kind: str,
        layout: Layout,
        number: int,
        strip: NDArray[Any],
        is_cancelled: IsCancelled,
    ) -> list[NDArray[Any]]:
        """A row of tiles: see `ClusterNode.rows`. Raises as `make` does."""

        def attempt(machine: _Machine, _: int) -> list[NDArray[Any]]:
            made = self._ask(machine.actor.rows.remote(kind, layout, number, strip), is_cancelled)
            if isinstance(made, Exception):
                raise made
            return made

        return self._retry(attempt, f"row {number + 1} of tiles", is_cancelled, most=_ROWS_EACH)

    def _retry(
        self,
        attempt: Callable[[_Machine, int], T],
        what: str,
        is_cancelled: IsCancelled,
        most: int = LANES,
    ) -> T:
        why: Exception | None = None
        for number in range(TRIES):
            with self._reserved(is_cancelled, most=most, alone=number > 0) as machine:
                try:
                    result = attempt(machine, number)
                except ProcessLost as error:
                    why = error
                    self._lost(machine)
                    continue
            with self._state.changed:
                if (known := self._state.known.get(machine.node)) is not None:
                    known.losses = 0
            return result
        raise MachineError(
            f"{what}: lost its machine {TRIES} times, most recently: {why}; it may need more "
            "memory than the machines have: try a lower --memory, or a smaller --tile"
        ) from why

    def _ask(self, answer: Any, is_cancelled: IsCancelled) -> Any:
        """Wait for the answer of an actor. Raises `ProcessLost`, or `Cancelled`."""
        errors = self._ray.exceptions
        while not self._ray.wait([answer], timeout=_POLL)[0]:
            if is_cancelled():
                raise Cancelled("cancelled")
        try:
            return self._ray.get(answer)
        except errors.RayTaskError as error:
            raise EngineError(f"a machine of the cluster failed: {error.cause}") from error
        except errors.RayError as error:
            raise ProcessLost(str(error).strip().splitlines()[0]) from error

    @contextlib.contextmanager
    def _reserved(self, is_cancelled: IsCancelled, *, most: int, alone: bool) -> Iterator[_Machine]:
        """A place on the least busy machine; with `alone`, nothing else runs there."""
        state = self._state
        with state.changed:
            since = time.monotonic()
            while (machine := self._free(1 if alone else most)) is None:
                if is_cancelled():
                    raise Cancelled("cancelled")
                if state.ready:
                    since = time.monotonic()
                elif self._is_hopeless() or time.monotonic() - since > PATIENCE:
                    raise self._no_machine()
                state.changed.wait(_POLL)
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
        """Whether no known machine can help."""
        known = self._state.known.values()
        return bool(known) and all(entry.problem is not None for entry in known)

    def _no_machine(self) -> EngineError:
        why = next((entry.problem for entry in self._state.known.values() if entry.problem), None)
        if why is not None:
            return EngineError(f"no machine of the cluster can help: {why}")
        return EngineError(
            f"no machine of the cluster became free within {PATIENCE:.0f} s; `ray status` shows "
            "what they are doing"
        )

    def _lost(self, machine: _Machine) -> None:
        state = self._state
        with state.changed:
            if state.ready.get(machine.node) is machine:
                del state.ready[machine.node]
                self._count_loss(machine, _LOSSES, "")
                self._report(f"{machine.host} lost its process; its unfinished work is done again")
            state.changed.notify_all()
        with contextlib.suppress(Exception):  # it is gone already
            self._ray.kill(machine.actor)

    def _count_loss(self, machine: _Machine, most: int, why: str) -> None:
        """Count the loss of an actor; after `most` in a row, its node is no longer used."""
        known = self._state.known[machine.node]
        known.losses += 1
        if known.losses >= most:
            known.problem = EngineError(
                f"{machine.host} lost its process {known.losses} times in a row{why}"
            )

    def _supervise(self) -> None:
        """Start actors on nodes that have none, until the pool is closed. Runs in a thread."""
        state = self._state
        while not state.is_closed:
            self._start_actors()
            self._check_starting()
            with state.changed:
                state.changed.wait(_POLL)

    def _start_actors(self) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as Affinity

        state, is_gpu = self._state, self._setup.device == "cuda"
        try:
            nodes = self._ray.nodes()
        except Exception:  # the head is gone: whoever waits for an answer reports it
            return
        for node in nodes:
            name, cores = node["NodeID"], int(node["Resources"].get("CPU", 0))
            able = node["Alive"] and cores and (not is_gpu or node["Resources"].get("GPU", 0) >= 1)
            if not able or name in state.ready or name in state.starting:
                continue
            known = state.known.setdefault(name, _Node())
            if known.problem is not None:
                continue
            actor = self._actor.options(
                num_cpus=cores,
                num_gpus=int(is_gpu),
                max_concurrency=2 * LANES + _ROWS_EACH,
                scheduling_strategy=Affinity(node_id=name, soft=False),
            ).remote(self._setup, self._threads or cores)
            started = actor.open.remote(self._files)
            with state.changed:
                state.starting[name] = _Machine(name, node["NodeManagerHostname"], actor, started)

    def _check_starting(self) -> None:
        state = self._state
        for name, machine in list(state.starting.items()):
            if not self._ray.wait([machine.started], timeout=0)[0]:
                continue
            try:
                answer = self._ray.get(machine.started)
            except self._ray.exceptions.RayError as error:
                answer = error
            with state.changed:
                del state.starting[name]
                if isinstance(answer, self._ray.exceptions.RayError):
                    self._count_loss(machine, TRIES, f" ({str(answer).strip().splitlines()[0]})")
                elif isinstance(answer, Exception):
                    state.known[name].problem = answer
                else:
                    state.ready[name] = machine
                state.changed.notify_all()


class ClusterRows:
    """A `RowExecutor` on the machines of a pool: computes the rows of tiles of one picture.

    `kind`: of the picture (see `Setup.models`); `memory`: bytes that the rows in transit may take
    here. Use it in `with`.
    """

    def __init__(self, pool: Pool, kind: str, memory: int, is_cancelled: IsCancelled) -> None:
        self._pool, self._kind = pool, kind
        self._memory, self._is_cancelled = memory, is_cancelled
        self._is_over = False
        self._threads = ThreadPoolExecutor(_ROWS_EACH * pool.size, "enlarge-rows")

    def ahead(self, layout: Layout) -> int:
        """How many rows may be in flight at once."""
        return max(1, min(_ROWS_EACH * self._pool.size, self._memory // layout.row_bytes))

    def __call__(
        self, layout: Layout, number: int, strip: NDArray[Any]
    ) -> Future[list[NDArray[Any]]]:
        """Start computing a row of tiles."""

        def is_cancelled() -> bool:
            return self._is_over or self._is_cancelled()

        return self._threads.submit(
            self._pool.rows, self._kind, layout, number, strip, is_cancelled
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._threads.shutdown(wait=True, cancel_futures=True)
