"""How fast models are on this machine: each is measured in processes of its own.

`python -m enlarge.metrics.speed` is such a process: it says as JSON how long the start took, how
long each call after it, and how much memory the process had at most.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np

from enlarge.card import Card
from enlarge.engines import Placement
from enlarge.errors import EngineError
from enlarge.memory import peak
from enlarge.weights.files import Weights

_LEAST_SECONDS, _LEAST_CALLS, _MOST_CALLS = 1.0, 3, 50


@dataclass(frozen=True)
class Machine:
    """What was measured on. `engines`: their versions. `matmul`: the measured peak of a large
    matrix product in OpenVINO, in FLOP/s, by precision, with as many threads as the models had.
    """

    processor: str
    cores: int
    memory: int
    system: str
    python: str
    engines: dict[str, str]
    matmul: dict[str, float]


@dataclass(frozen=True)
class Speed:
    """A model at one size and precision. `width`, `height`: of the input. `latency`: seconds of a
    call, the median and the fastest; `throughput`: output megapixels a second, by the median.
    `cold`, `warm`: seconds from starting a process to its first result, without and with compiled
    models in the cache. `peak_memory`: of that process, in bytes. `share`: of the machine's peak
    at this precision, by the card's operations (0: unknown, as on GPUs).
    """

    model: str
    engine: str
    device: str
    precision: str
    width: int
    height: int
    latency: float
    fastest: float
    throughput: float
    cold: float
    warm: float
    peak_memory: int
    share: float


def describe_machine(
    precisions: Sequence[str], engines: Sequence[str], threads: int = 0
) -> Machine:
    """The machine at hand, its peak measured at the given precisions (about a second each)."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        memory=_memory(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        engines={name: _version(name) for name in engines},
        matmul={precision: matmul_peak(precision, threads) for precision in precisions},
    )


def matmul_peak(
    precision: str, threads: int = 0, *, side: int = 2048, seconds: float = 0.7
) -> float:
    """The most FLOP/s that a product of two `side`×`side` matrices reaches in OpenVINO, on that
    many threads (0: on all cores).
    """
    import openvino as ov
    from openvino import opset13 as op

    left = op.parameter([side, side], ov.Type.f32)
    right = np.random.default_rng(1).standard_normal((side, side), np.float32)
    graph = ov.Model([op.matmul(left, op.constant(right), False, False)], [left])
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    request = ov.Core().compile_model(graph, "CPU", options).create_infer_request()
    values = np.random.default_rng(2).standard_normal((side, side), np.float32)
    best, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < seconds:
        started = time.perf_counter()
        request.infer([values], share_inputs=True)
        best = min(best, time.perf_counter() - started)
    return 2.0 * side**3 / best


def measure(
    weights: Weights,
    place: Placement,
    precision: str,
    width: int,
    height: int,
    machine: Machine,
    threads: int = 0,
) -> Speed:
    """Measure a model in one place, precision and input size, in two fresh processes: the first
    finds no compiled model, the second does. Raises `EngineError` where they fail.
    """
    with tempfile.TemporaryDirectory(prefix="enlarge-") as cache:
        job = [str(weights.path), weights.card.to_json(), place.engine, place.device, precision]
        job += [str(width), str(height), str(threads)]
        cold = _child([*job, "first"], cache)
        warm = _child([*job, "all"], cache)
    median = statistics.median(warm["calls"])
    output = width * height * weights.card.scale**2
    top = machine.matmul.get(precision, 0.0) if place.device == "cpu" else 0.0
    return Speed(
        model=weights.path.stem,
        engine=place.engine,
        device=place.device,
        precision=precision,
        width=width,
        height=height,
        latency=median,
        fastest=min(warm["calls"]),
        throughput=output / 1e6 / median,
        cold=cold["start"],
        warm=warm["start"],
        peak_memory=warm["peak"],
        share=weights.card.flops * output / median / top if top else 0.0,
    )


def to_document(machine: Machine, found: Sequence[Speed]) -> dict[str, Any]:
    """What `enlarge benchmark --json` prints."""
    return {"machine": asdict(machine), "results": [asdict(speed) for speed in found]}


def _child(arguments: Sequence[str], cache: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "enlarge.metrics.speed", str(time.time()), *arguments]
    done = subprocess.run(
        command, env={**os.environ, "ENLARGE_CACHE": cache}, capture_output=True, text=True
    )
    if done.returncode:
        silent = f"its process ended with status {done.returncode}"
        if done.returncode == -signal.SIGKILL:
            silent = "its process was killed, as the system does where memory runs out"
        reason = (done.stderr.strip().splitlines() or [silent])[-1]
        path, _, engine, device, precision, width, height, *_ = arguments
        raise EngineError(
            f"{Path(path).stem} in {engine} on {device} in {precision} at {width}×{height} could "
            f"not be measured: {reason}"
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _run(
    spawned: str,
    path: str,
    card: str,
    engine: str,
    device: str,
    precision: str,
    width: str,
    height: str,
    threads: str,
    calls: str,
) -> None:
    """What a child process does: a first call, then more until a second has passed."""
    from enlarge.upscaler import Upscaler

    model = Upscaler(
        Weights(Path(path).resolve(), Card.from_json(card, path)),
        engine=engine,
        device=device,
        precision=precision,
        threads=int(threads),
    )
    picture = np.random.default_rng(1).integers(0, 256, (int(height), int(width), 3), np.uint8)
    model.upscale(picture)
    start = time.time() - float(spawned)
    times: list[float] = []
    while calls == "all" and (
        len(times) < _LEAST_CALLS or (sum(times) < _LEAST_SECONDS and len(times) < _MOST_CALLS)
    ):
        begun = time.perf_counter()
        model.upscale(picture)
        times.append(time.perf_counter() - begun)
    print(json.dumps({"start": start, "calls": times, "peak": peak()}))


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(engine: str) -> str:
    """The version of an engine's package, whatever the distribution is called that it came in."""
    found = packages_distributions().get(engine)
    return version(found[0]) if found else "?"


def _memory() -> int:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names:
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return 0


if __name__ == "__main__":
    _run(*sys.argv[1:])
