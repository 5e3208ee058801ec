"""How fast models are on this machine, measured in fresh processes.

`python -m enlarge.metrics.speed` is such a process. It prints JSON: the seconds of the start, of
each call after it, and the process's peak memory.
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
from enlarge.cores import usable_cores
from enlarge.errors import EngineError
from enlarge.memory import peak
from enlarge.model_file import Weights

_LEAST_SECONDS, _LEAST_CALLS, _MOST_CALLS = 1.0, 3, 50


@dataclass(frozen=True)
class Machine:
    """The machine of a measurement.

    `memory`: in bytes. `engines`: their versions. `matmul`: by precision, the measured peak of a
    large matrix product in OpenVINO, in FLOP/s, with as many threads as the models had.
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
    """The speed of a model at one size and precision.

    `width`, `height`: of the input. `latency`, `fastest`: median and minimum seconds of a call.
    `throughput`: output megapixels per second, by the median. `cold`, `warm`: seconds from starting
    a process to its first result, without and with the compiled model in the cache. `peak_memory`:
    of the warm process, in bytes. `share`: of the machine's peak at this precision, by the
    operations on the card (0: unknown, as on GPUs).
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
    """Describe this machine. Its peak is measured at the given precisions (about a second each)."""
    return Machine(
        processor=_processor(),
        cores=usable_cores(),
        memory=_memory(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        engines={name: _version(name) for name in engines},
        matmul={precision: matmul_peak(precision, threads) for precision in precisions},
    )


def matmul_peak(
    precision: str, threads: int = 0, *, side: int = 2048, seconds: float = 0.7
) -> float:
    """The peak FLOP/s of a product of two `side`×`side` matrices in OpenVINO (threads 0: all)."""
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


@dataclass(frozen=True)
class SpeedCase:
    """What is measured: a model, where it runs and how, and the size of the input in pixels."""

    weights: Weights
    engine: str
    device: str
    precision: str
    width: int
    height: int
    threads: int = 0

    def __str__(self) -> str:
        name = self.weights.path.stem
        size = f"{self.width}×{self.height}"
        return f"{name} in {self.engine} on {self.device} in {self.precision} at {size}"

    def to_json(self) -> str:
        """For the process that measures."""
        values = {**vars(self), "weights": None}
        card = self.weights.card.to_json()
        return json.dumps(values | {"path": str(self.weights.path), "card": card})

    @staticmethod
    def from_json(text: str) -> SpeedCase:
        """The case that `to_json` wrote."""
        values = json.loads(text)
        path, card = values.pop("path"), values.pop("card")
        weights = Weights(Path(path).resolve(), Card.from_json(card, path))
        return SpeedCase(**values | {"weights": weights})


def measure_speed(case: SpeedCase, machine: Machine) -> Speed:
    """Measure a case in two fresh processes: the second finds the compiled model in the cache.

    Raises `EngineError` if a process fails.
    """
    with tempfile.TemporaryDirectory(prefix="enlarge-") as cache:
        cold = _run_child(case, "first", cache)
        warm = _run_child(case, "all", cache)
    median = statistics.median(warm["calls"])
    card = case.weights.card
    output = case.width * case.height * card.scale**2
    top = machine.matmul.get(case.precision, 0.0) if case.device == "cpu" else 0.0
    return Speed(
        model=case.weights.path.stem,
        engine=case.engine,
        device=case.device,
        precision=case.precision,
        width=case.width,
        height=case.height,
        latency=median,
        fastest=min(warm["calls"]),
        throughput=output / 1e6 / median,
        cold=cold["start"],
        warm=warm["start"],
        peak_memory=warm["peak"],
        share=card.flops * output / median / top if top else 0.0,
    )


def speed_document(machine: Machine, found: Sequence[Speed]) -> dict[str, Any]:
    """The document of `enlarge benchmark --json`."""
    return {"machine": asdict(machine), "results": [asdict(speed) for speed in found]}


def _run_child(case: SpeedCase, calls: str, cache: str) -> dict[str, Any]:
    """Run `_measure_here` in a process with a folder of its own for compiled models."""
    command = [sys.executable, "-m", "enlarge.metrics.speed"]
    command += [str(time.time()), calls, case.to_json()]
    done = subprocess.run(
        command, env={**os.environ, "ENLARGE_CACHE": cache}, capture_output=True, text=True
    )
    if done.returncode:
        silent = f"its process ended with status {done.returncode}"
        if done.returncode == -signal.SIGKILL:
            silent = "its process was killed, probably because memory ran out"
        reason = (done.stderr.strip().splitlines() or [silent])[-1]
        raise EngineError(f"{case} could not be measured: {reason}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _measure_here(case: SpeedCase, spawned: float, calls: str) -> None:
    """Enlarge once; then, if `calls` is "all", again until a second has passed. Print the times."""
    from enlarge.engines import EngineOptions
    from enlarge.upscaler import Upscaler

    options = EngineOptions(case.engine, case.device, case.precision, case.threads)
    model = Upscaler(case.weights, options)
    picture = np.random.default_rng(1).integers(0, 256, (case.height, case.width, 3), np.uint8)
    model.upscale(picture)
    start = time.time() - spawned
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
    """The version of an engine's package, whatever distribution provides it."""
    found = packages_distributions().get(engine)
    return version(found[0]) if found else "?"


def _memory() -> int:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names:
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return 0


if __name__ == "__main__":
    _measure_here(SpeedCase.from_json(sys.argv[3]), float(sys.argv[1]), sys.argv[2])
