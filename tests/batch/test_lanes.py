from __future__ import annotations

import threading
import time

import pytest

from enlarge.batch.lanes import MemoryLimit, ordered_map


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_results_come_in_order_and_errors_stop_nothing(lanes: int, count: int) -> None:
    def do(number: int) -> int:
        time.sleep(0.001 * (number * 7 % 5))
        if number % 10 == 3:
            raise ValueError(number)
        return number * number

    results = list(ordered_map(range(count), do, threading.Event(), lanes))
    assert [piece for piece, _ in results] == list(range(count))
    for number, result in results:
        if number % 10 == 3:
            assert isinstance(result, ValueError)
        else:
            assert result == number * number


def test_three_at_once_and_no_more() -> None:
    together = threading.Barrier(3, timeout=30)
    at_once, most = 0, 0
    lock = threading.Lock()

    def do(number: int) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        together.wait()
        with lock:
            at_once -= 1

    assert len(list(ordered_map(range(9), do, threading.Event(), 3))) == 9
    assert most == 3


def test_an_interrupt_cancels_what_is_at_work() -> None:
    cancel, begun = threading.Event(), []

    def do(number: int) -> None:
        begun.append(number)
        if number:
            assert cancel.wait(30)

    results = ordered_map(range(100), do, cancel, 3)
    next(results)
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt())
    assert cancel.is_set()
    assert len(begun) < 10


def test_room_is_shared_and_the_large_one_gets_it_alone() -> None:
    room, taken, lock = MemoryLimit(100), [], threading.Lock()

    def do(size: int) -> int:
        with room.reserved(size):
            with lock:
                taken.append(size)
                held = list(taken)
            time.sleep(0.002)
            with lock:
                taken.remove(size)
        return sum(held) if len(held) > 1 else 0

    sizes = [40, 60, 500, 10, 10, 90, 101, 50, 50, 50]
    shared = [held for _, held in ordered_map(sizes, do, threading.Event(), 4)]
    assert all(isinstance(held, int) and held <= 100 for held in shared), shared
