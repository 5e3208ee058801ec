"""The queue: turns, places, cancelling, failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enlarge.app.queue import Queue, QueuedJob, turns_before
from enlarge.errors import Cancelled, InputError
from enlarge.picture.hooks import Progress


class Gate:
    """Work that waits until it is let go, and notes who was served."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.open = threading.Event()

    def job(self, owner: str, name: str = "") -> QueuedJob:
        def work(progress: Any, cancel: threading.Event) -> str:
            self.served.append(name or owner)
            while not self.open.wait(0.005):
                if cancel.is_set():
                    raise Cancelled("cancelled")
            return name

        return QueuedJob(owner, work)


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate()
    yield found
    found.open.set()


def until(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def test_visitors_take_turns(gate: Gate) -> None:
    queue = Queue()
    first = gate.job("ann", "a0")
    queue.add(first)
    until(lambda: first.state == "running")
    rest = [gate.job("ann", f"a{i}") for i in (1, 2, 3)] + [
        gate.job("bob", f"b{i}") for i in (0, 1)
    ]
    for job in rest:
        queue.add(job)
    gate.open.set()
    until(lambda: all(job.state == "done" for job in rest))
    assert gate.served == ["a0", "a1", "b0", "a2", "b1", "a3"]
    assert rest[0].result == "a1"


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_the_place_is_what_turns_make_of_it(counts: list[int], data: Any) -> None:
    lines = {f"visitor {i}": count for i, count in enumerate(counts)}
    owner = data.draw(st.sampled_from(list(lines)))
    place = data.draw(st.integers(0, lines[owner] - 1))
    waiting = {name: list(range(count)) for name, count in lines.items()}
    before = 0
    while True:  # as Queue._next
        name = next(iter(waiting))
        jobs = waiting.pop(name)
        if name == owner and jobs[0] == place:
            break
        if jobs[1:]:
            waiting[name] = jobs[1:]
        before += 1
    assert turns_before(lines, owner, place) == before


def test_everybody_sees_their_place(gate: Gate) -> None:
    queue = Queue()
    running, mine, theirs = gate.job("ann"), gate.job("ann"), gate.job("bob")
    queue.add(running)
    until(lambda: running.state == "running")
    queue.add(mine)
    queue.add(theirs)
    assert [queue.ahead(job) for job in (running, mine, theirs)] == [0, 1, 2]


def test_a_waiting_job_is_taken_out_at_once(gate: Gate) -> None:
    queue = Queue()
    running, waiting = gate.job("ann"), gate.job("bob", "never")
    queue.add(running)
    queue.add(waiting)
    until(lambda: running.state == "running")
    queue.cancel(waiting)
    assert waiting.state == "cancelled"
    gate.open.set()
    until(lambda: running.state == "done")
    assert "never" not in gate.served


def test_a_running_job_stops_and_the_next_begins(gate: Gate) -> None:
    queue = Queue()
    running, next_one = gate.job("ann"), gate.job("bob")
    queue.add(running)
    queue.add(next_one)
    until(lambda: running.state == "running")
    queue.cancel(running)
    until(lambda: next_one.state == "running")
    assert running.state == "cancelled"


def test_leaving_takes_all_of_an_owner(gate: Gate) -> None:
    queue = Queue()
    jobs = [gate.job("ann") for _ in range(3)]
    other = gate.job("bob")
    for job in (*jobs, other):
        queue.add(job)
    until(lambda: jobs[0].state == "running")
    queue.leave("ann")
    assert [job.state for job in jobs] == ["cancelled"] * 3
    until(lambda: other.state == "running")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(InputError("cut off"), "cut off"), (ZeroDivisionError("oops"), "ZeroDivisionError: oops")],
)
def test_a_failure_is_told_and_the_queue_goes_on(error: Exception, sentence: str) -> None:
    queue = Queue()

    def fail(progress: Any, cancel: Any) -> None:
        raise error

    bad, good = QueuedJob("ann", fail), QueuedJob("ann", lambda progress, cancel: 7)
    queue.add(bad)
    queue.add(good)
    until(lambda: good.state == "done")
    assert (bad.state, bad.problem) == ("failed", sentence)
    assert good.result == 7


def test_progress_and_the_seconds_left() -> None:
    seen: list[Progress] = []
    job = QueuedJob("ann", lambda progress, cancel: None, watch=seen.append)
    assert job.seconds_left() is None
    job.state, job.started = "running", time.monotonic() - 2.0
    tile = np.zeros((1, 1, 3), np.uint8)
    job.tell(Progress(3, 4, 0, 0, tile, last=False))
    assert job.done == 0
    job.tell(Progress(1, 4, 0, 0, tile, last=True))
    assert (job.done, job.total, len(seen)) == (1, 4, 1)
    assert job.seconds_left() == pytest.approx(6.0, rel=0.1)


def test_at_the_end_nothing_runs(gate: Gate) -> None:
    queue = Queue()
    jobs = [gate.job("ann"), gate.job("ann"), gate.job("bob")]
    for job in jobs:
        queue.add(job)
    until(lambda: jobs[0].state == "running")
    queue.end()
    assert [job.state for job in jobs] == ["cancelled"] * 3
