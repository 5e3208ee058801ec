"""`enlarge benchmark`: numbers that hold together, and refusals."""

from __future__ import annotations

import json

import pytest

from enlarge.cli import run
from enlarge.metrics import speed

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = speed.matmul_peak
    monkeypatch.setattr(speed, "matmul_peak", lambda precision: whole(precision, 256, 0.02))


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


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["--sizes", "big"], 2, "640x480"),
        (["--sizes", "0"], 2, "640x480"),
        (["--model", "nobody"], 1, "unknown model"),
        (["--precision", "f8"], 2, "f8"),
    ],
)
def test_refusals(arguments: list[str], status: int, part: str, capsys: Said) -> None:
    assert run(["benchmark", *arguments]) == status
    assert part in capsys.readouterr().err
