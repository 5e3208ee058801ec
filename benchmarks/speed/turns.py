"""Calls measured in turns, so that whatever else the machine does hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Calls = Mapping[str, Callable[[], Any]]
Seconds = dict[str, list[float]]
"""By name, the seconds of a call in each turn."""

_PAUSE = 0.02  # threads of the engine before spin for some milliseconds


def in_turns(
    calls: Calls, times: int, limit: float = float("inf"), *, is_warm: bool = False
) -> Seconds:
    """The seconds of each call in up to `times` turns, after one that warms up, unless they are
    warm. No turn begins after `limit` seconds once there are three. Each turn begins with another
    call.
    """
    names = list(calls)
    found: Seconds = {name: [] for name in names}
    for name in () if is_warm else names:
        calls[name]()
    begun = time.perf_counter()
    for turn in range(times):
        if turn >= 3 and time.perf_counter() - begun > limit:
            break
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(_PAUSE)
            started = time.perf_counter()
            calls[name]()
            found[name].append(time.perf_counter() - started)
    return found


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def times_as_fast(seconds: Mapping[str, Sequence[float]], name: str, other: str) -> float:
    """How many times as fast as `other` a call is: the median of the turns' ratios."""
    pairs = zip(seconds[other], seconds[name], strict=True)
    return statistics.median(slow / fast for slow, fast in pairs)


def rounded(seconds: Seconds) -> Seconds:
    """To a microsecond, as they are recorded."""
    return {name: [round(value, 6) for value in values] for name, values in seconds.items()}
