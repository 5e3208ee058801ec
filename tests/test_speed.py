"""What the speed benchmark does with its measurements, and what its page says of them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import caps
from benchmarks.record import RESULTS, instruction_sets
from benchmarks.speed.page import page
from benchmarks.speed.plans import COUNT, LEAST, MOST, mean_and_worst, sizes, window
from benchmarks.speed.turns import in_turns, quartiles, times_as_fast

from enlarge.tiling import make_plan

KNOWN = {"date": "2030-01-02", "commit": "abc1234", "machine": "Some CPU, 2 cores, AVX2"}
ENGINES = {
    **KNOWN,
    "side": 256,
    "operations": 24e9,
    "default": "enlarge, int8",
    "seconds": {
        "enlarge, int8": [0.100, 0.200, 0.100],
        "enlarge, f32": [0.200, 0.400, 0.200],
        "torch eager f32": [0.300, 0.600, 0.300],
        "ONNX Runtime f32": [0.180, 0.360, 0.180],
    },
    "matmul": {"f32": 115e9},
}
SIDES = {
    "fast": {
        **KNOWN,
        "default": "enlarge, int8",
        "seconds": {
            "64": {
                "enlarge, int8": [0.004],
                "enlarge, f32": [0.008],
                "ONNX Runtime f32": [0.010],
                "ncnn f32": [0.012],
                "ncnn bf16 storage": [0.006],
            }
        },
    }
}
PLANS = {
    "quality": {
        **KNOWN,
        "precision": "f32",
        "rows": [
            {
                "width": 1000, "height": 800, "tile": [520, 420], "tiles": 4, "seconds": 2.5,
                "computed": 1.25, "share": share, "share of square": share - 0.1,
            }
            for share in (0.9, 0.7)
        ],
    }
}  # fmt: skip


def row(text: str, first: str) -> list[str]:
    """The cells of the table's row that begins with that."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_says_how_many_times_as_fast() -> None:
    text = page({"none": {"engines": ENGINES}})
    assert row(text, "**enlarge, int8**") == [
        "**enlarge, int8**", "100", "100 to 150", "240", "3.00", "1.80",
    ]  # fmt: skip
    assert row(text, "torch eager f32")[-2:] == ["1.00", "0.60"]
    assert "Some CPU, 2 cores, AVX2" in text
    assert "Not measured, for lack of it: ONNX Runtime int8, ncnn." in text
    assert "115 in f32" in text


def test_the_page_takes_ncnn_in_its_fastest_setting() -> None:
    cells = row(page({"none": {"sides": SIDES}}), "64²")
    assert cells == ["64²", "4", "8", "10", "6 (bf16 storage)", "2.50×", "1.50×"]


def test_the_page_says_the_mean_and_the_worst_share() -> None:
    text = page({"none": {"plans": PLANS}})
    assert row(text, "quality, f32")[1:] == ["0.80", "0.70", "0.70", "0.60", "0.80"]
    assert mean_and_worst([0.9, 0.7]) == pytest.approx((0.8, 0.7))


def test_a_cap_has_tables_of_its_own_and_says_whom_it_does_not_bind() -> None:
    text = page({"none": {"engines": ENGINES}, "AVX2": {"engines": ENGINES}})
    before, after = text.split("### Capped at AVX2")
    assert "### With all of the processor" in before
    assert "ONNX Runtime and ncnn have no such" in after
    assert "have no such" not in before


def test_the_committed_page_is_the_record() -> None:
    recorded = json.loads((RESULTS / "speed.json").read_text(encoding="utf-8"))
    written = (RESULTS.parent / "docs" / "speed.md").read_text(encoding="utf-8")
    assert written == page(recorded)


def test_calls_take_turns() -> None:
    said: list[str] = []
    calls = {name: lambda name=name: said.append(name) for name in "ab"}
    found = in_turns(calls, 3)
    assert said == ["a", "b", "a", "b", "b", "a", "a", "b"]  # a warm-up; then another one is first
    assert {name: len(each) for name, each in found.items()} == {"a": 3, "b": 3}
    assert len(in_turns(calls, 9, limit=0)["a"]) == 3


def test_ratios_are_taken_within_a_turn() -> None:
    """A machine that is slower for a while changes no ratio."""
    seconds = {"slow": [2.0, 20.0, 2.0, 20.0], "fast": [1.0, 10.0, 1.0, 10.0]}
    assert times_as_fast(seconds, "fast", "slow") == 2.0
    values = [5.0, 1.0, 4.0, 2.0, 9.0, 3.5]
    assert quartiles(values) == pytest.approx(tuple(np.percentile(values, [25, 50, 75])))


def test_the_sizes_of_pictures_never_change() -> None:
    found = sizes()
    assert found[:2] == [(3492, 2766), (2338, 1517)]
    assert len(set(found)) == COUNT
    assert all(LEAST <= side <= MOST for size in found for side in size)


def test_a_window_is_the_corner_of_a_plan() -> None:
    plan = make_plan(1500, 900, ladder=[256], halo=20)
    assert plan is not None
    part = window(plan, 2, 3)
    assert (len(part.columns), len(part.rows)) == (2, 3)
    assert (part.tile_width, part.tile_height) == (256, 256)
    assert [tile.columns.start for tile in part][:2] == [0, plan.columns[1].start]
    assert (part.width, part.height) == (plan.columns[1].stop, plan.rows[2].stop)
    assert window(plan, 99, 99) == plan


def test_the_instruction_sets_of_a_processor() -> None:
    zen3 = "processor\t: 0\nflags\t\t: fpu avx avx2 fma\n\nprocessor\t: 1\nflags\t\t: avx512f\n"
    assert instruction_sets(zen3) == ["AVX2"]
    zen4 = "flags\t\t: avx2 avx512f avx512_vnni avx512_bf16\n"
    assert instruction_sets(zen4) == ["AVX2", "AVX-512", "VNNI", "bf16"]
    assert instruction_sets("") == []


def test_a_cap_is_put_on_every_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *call: begun.append(call))
    for name in caps.variables("AVX2"):
        monkeypatch.delenv(name, raising=False)
    caps.restart_under(None, "benchmarks.speed")
    assert not begun
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")  # as OpenVINO alone would be capped
    monkeypatch.setattr(sys, "argv", ["speed", "plans"])
    caps.restart_under(None, "benchmarks.speed")
    _, line, environment = begun.pop()
    assert line[1:] == ["-m", "benchmarks.speed", "plans"]
    assert environment["ATEN_CPU_CAPABILITY"] == "avx2"
    assert environment["OV_CPU_MAX_ISA"] == environment["DNNL_MAX_CPU_ISA"] == "AVX2"
    monkeypatch.setattr(os, "environ", environment)
    caps.restart_under("AVX2", "benchmarks.speed")
    assert not begun
    assert caps.cap_in_force(environment) == "AVX2"
