"""`enlarge benchmark`: numbers that hold together, and refusals."""

from __future__ import annotations

import json
import sys

import onnxruntime
import pytest

from enlarge.cli import run
from enlarge.errors import EngineError
from enlarge.metrics import speed
from enlarge.metrics.speed import Machine, Speed, SpeedCase

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = speed.matmul_peak

    def small(precision: str, threads: int) -> float:
        return whole(precision, threads, side=256, seconds=0.02)

    monkeypatch.setattr(speed, "matmul_peak", small)


def test_numbers_hold_together(capsys: Said) -> None:
    command = ["benchmark", "--model", "fast", "--sizes", "24x16", "--precision", "f32", "--json"]
    assert run(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["matmul"]["f32"] > 0
    (result,) = found["results"]
    assert (result["width"], result["height"], result["precision"]) == (24, 16, "f32")
    megapixels = 24 * 16 * 16 / 1e6
    assert result["throughput"] == pytest.approx(megapixels / result["latency"])
    assert 0 < result["fastest"] <= result["latency"] < result["warm"]
    assert result["cold"] > 0
    assert result["share"] > 0
    assert result["peak_memory"] > 20e6


def test_engines_stand_side_by_side(capsys: Said) -> None:
    command = ["benchmark", "--model", "fast", "--sizes", "16", "--precision", "f32"]
    assert run([*command, "--engine", "openvino", "onnxruntime", "--threads", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["machine"]["engines"]) == ["openvino", "onnxruntime"]
    assert found["machine"]["engines"]["onnxruntime"] == onnxruntime.__version__
    assert [result["engine"] for result in found["results"]] == ["openvino", "onnxruntime"]
    for result in found["results"]:
        assert result["device"] == "cpu"
        assert min(result[key] for key in ("cold", "warm", "share", "latency")) > 0
        assert result["peak_memory"] > 20e6


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """Stands in for measuring; holds what was asked for. torch's child fails."""
    calls: list[tuple[str, str, int]] = []

    def measure(case: SpeedCase, machine: Machine) -> Speed:
        if case.engine == "torch":
            raise EngineError("its child failed")
        calls.append((case.engine, case.precision, case.width))
        size = (case.engine, case.device, case.precision, case.width, case.height)
        return Speed(case.weights.path.stem, *size, 0.05, 0.04, 1.5, 1.0, 0.5, 10**8, 0.75)

    monkeypatch.setattr(speed, "measure_speed", measure)
    return calls


def test_all_engines_in_one_table(measured: list[tuple[str, str, int]], capsys: Said) -> None:
    command = [
        "benchmark",
        "--model",
        "fast",
        "--sizes",
        "16",
        "8x4",
        "--engine",
        "all",
        "--device",
        "cpu",
    ]
    assert run([*command, "--precision", "f32"]) == 0
    said = capsys.readouterr()
    head, *lines = said.out.splitlines()[2:]
    assert head.split()[:4] == ["model", "engine", "precision", "input"]
    assert [line.split()[:4] for line in lines] == [
        ["fast", engine, "f32", size]
        for engine in ("openvino", "onnxruntime")
        for size in ("16×16", "8×4")
    ]
    assert all(len(line) == len(head) and line.endswith(" 75%") for line in lines)
    assert "left out: its child failed" in said.err
    assert measured == [(e, "f32", w) for e in ("openvino", "onnxruntime") for w in (16, 8)]
    assert run([*command, "--precision", "f32", "--engine", "torch"]) == 0  # still all


def test_a_precision_that_is_missing(
    measured: list[tuple[str, str, int]], capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a processor without bf16."""
    monkeypatch.setattr("enlarge.engines.openvino.has_bf16", lambda: False)
    command = ["benchmark", "--model", "fast", "--sizes", "16", "--engine", "openvino"]
    assert run([*command, "--precision", "f32", "bf16"]) == 0
    said = capsys.readouterr().err
    assert said == "left out: openvino on cpu does not compute in bf16\n"
    assert measured == [("openvino", "f32", 16)]
    assert run(command) == 0  # nobody asked for it
    assert capsys.readouterr().err == ""


def test_an_engine_that_is_missing(
    measured: list[tuple[str, str, int]], capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "enlarge.engines.onnxruntime", raising=False)
    command = ["benchmark", "--model", "fast", "--sizes", "16", "--precision", "f32", "--engine"]
    assert run([*command, "onnxruntime"]) == 1
    assert 'pip install "enlarge[onnx]"' in capsys.readouterr().err
    assert run([*command, "all"]) == 0
    said = capsys.readouterr()
    assert "left out: ONNX Runtime cannot be imported" in said.err
    assert measured == [("openvino", "f32", 16)]
    assert run([*command, "auto", "openvino"]) == 0  # the same here, so measured once
    assert len(measured) == 2
    assert run([*command, "all", "--device", "cuda:7"]) == 1
    assert "nothing can be measured; left out: --engine openvino" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["--sizes", "big"], 2, "640x480"),
        (["--sizes", "0"], 2, "640x480"),
        (["--model", "nobody"], 1, "unknown model"),
        (["--precision", "f8"], 2, "f8"),
        (["--device", "cpu", "--precision", "f16"], 2, "nothing to measure in f16; what runs here"),
        (["--engine", "tensorflow"], 2, "tensorflow"),
        (["--model", "fast", "--engine", "openvino", "--device", "cuda"], 2, "contradicts"),
    ],
)
def test_refusals(arguments: list[str], status: int, part: str, capsys: Said) -> None:
    assert run(["benchmark", *arguments]) == status
    assert part in capsys.readouterr().err
