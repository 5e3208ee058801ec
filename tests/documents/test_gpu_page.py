"""The script for GPUs, rehearsed on the CPU, and its page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.gpu.__main__ import PARTS, run_part
from benchmarks.gpu.about import counted
from benchmarks.gpu.page import gathered, page
from benchmarks.gpu.setting import Run, make_pictures, most_levels, photograph, save, usage

from tests.conftest import ROOT

RESULTS: dict[str, Any] = {  # made up
    "about": {
        "date": "2001-02-03", "commit": "abcdef0", "machine": "a processor, 16 cores",
        "gpu": "a made-up GPU", "GiB": 8.0, "cuda": "13.0", "cudnn": 91000, "torch": "2.0",
        "failures": [],
    },
    "network": {"models": {"fast": {"scale": 4, "sides": {
        "64": {"torch bf16": 0.5, "torch bf16, 8 tiles at once": 1.0,
               "MB on the device, bf16": 12.0},
        "128": {"torch bf16": 1.0, "torch bf16, CUDA graph": "RuntimeError: not captured",
                "copying the result": 2.0},
    }}}, "failures": []},
    "files": {"size": [1000, 2000], "failures": [], "models": {"fast": {
        "precision": "bf16", "arrays": {"bf16, automatic tiles": 300.0},
        "files": {"png to png": {"rate": 64.0, "seconds": 0.5, "stages": {"encode": 0.25},
                                 "tiles": 6, "tile": [512, 384]}},
        "command": {"wall": 8.0, "start": 7.0}, "CPU": {"precision": "bf16", "rate": 30.0},
    }}},
    "batch": {"pictures": 200, "most": 1024, "seconds": 50.0, "rate": 12.5, "busy": 0.25,
              "memory": 2048.0, "stages": {"compute": 9.0}, "apart": 1, "failures": []},
    "memory": {"side": 512, "failures": [], "beside another": {
        "left": 9e8, "status": 1, "said": "fast runs out of memory",
    }, "rows": [
        {"model": "fast", "share": 0.5, "needed": 4e8, "tile": [512, 512], "taken": [512, 256],
         "apart": 0},
        {"model": "fast", "share": 0.0, "said": "runs out of memory", "works again": True},
    ]},
    "closeness": {"photographs": 8, "failures": ["fast: f16 is not close enough to f32"], "rows": {
        "fast": {
            "f32": {"against OpenVINO": 0.01, "to the originals": 30.0, "SSIM": 0.9},
            "f16": {"psnr": 40.0, "share": 0.9, "worst": 20.0, "to the originals": 29.5,
                    "SSIM": 0.8},
        },
    }},
    "tests": {"passed": 30, "skipped": 2, "failures": ["tests.a::b"]},
}  # fmt: skip


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """What the parts leave in their folder; `together` did not come to anything."""
    for part, result in RESULTS.items():
        (tmp_path / f"{part}.json").write_text(json.dumps(result))
    codes = {"closeness": 1, "tests": 1, "together": 124, "files": 2}
    lines = [f"{part}\t{codes.get(part, 0)}\t7\n" for part in PARTS]
    (tmp_path / "status.tsv").write_text("".join(lines))
    return tmp_path


def test_the_page_says_what_was_measured_and_what_failed(written: Path) -> None:
    text = page(gathered(written, list(PARTS), small=False))
    assert "rehears" not in text
    for line in (
        "on 2001-02-03, commit abcdef0;",
        "a made-up GPU, 8 GiB; torch 2.0, CUDA 13.0, cuDNN 91000; a processor, 16 cores.",
        "- **closeness**: fast: f16 is not close enough to f32",
        "- **together**: stopped after 7 s, unfinished",
        "- **files**: ended with status 2",
        "- **tests**: tests.a::b",
        "| fast | 64² | 128² |",
        "| torch bf16 | 131.1 | 262.1 |",  # (64·4)² and (128·4)² pixels in 0.5 and 1 ms
        "| torch bf16, 8 tiles at once | 524.3 |  |",
        "| torch bf16, CUDA graph |  | failed |",
        "- torch bf16, CUDA graph, 128²: RuntimeError: not captured",
        "| MB on the device, bf16 | 12 |  |",
        "| copying the result |  | 2.00 ms |",
        "| the command, jpg to png | 4.0 | 8.00 s, of which start 7.00 |",
        "| OpenVINO on the CPU, array, bf16 | 30.0 | the GPU is 10.0× as fast |",
        "50.0 s in all, 0.250 s a picture, 12.5 MP/s. The GPU was busy for 25% of the time, "
        "with at most 2,048 MB of its memory taken.",
        "| fast | 50% of 400 MB | 512×256 | 0 |",
        "| fast | none | runs out of memory. Works again afterwards: yes |  |",
        "While another process holds all but 900 MB, it says: fast runs out of memory.",
        "| fast f16 | 40.0 | 90.0000% | 20.0 | 29.500 | 0.8000 |",
        "30 passed, 2 skipped, 1 failed.",
    ):
        assert line in text.splitlines() or line in text, line
    assert "## Two processes" not in text


def test_a_part_that_was_stopped_leaves_the_page_whole(written: Path) -> None:
    (written / "files.json").write_text(json.dumps({"failures": ["RuntimeError: no"]}))
    (written / "about.json").unlink()
    text = page(gathered(written, list(PARTS), small=True))
    assert "**A rehearsal: its numbers mean nothing.**" in text
    assert "- **files**: RuntimeError: no" in text
    assert "(`files` ended before it had all of its results.)" in text
    assert "The machine did not tell what it is." in text
    assert "## A batch of 200" in text


@pytest.mark.parametrize("part", ["closeness", "network", "files", "batch", "together"])
def test_a_part_is_rehearsed(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENLARGE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)  # no data folder: the sample stands for the photographs
    if part in ("closeness", "network"):
        monkeypatch.setattr(f"benchmarks.gpu.{part}.torch_precisions", lambda device: ("f32",))
    assert run_part(part, Run("cpu", True, tmp_path)) == 0
    (tmp_path / "status.tsv").write_text(f"{part}\t0\t1\n")
    text = page(gathered(tmp_path, list(PARTS), small=True))
    assert "What failed" not in text
    assert "ended before" not in text
    assert len([line for line in text.splitlines() if line.startswith("## ")]) == 1


def test_the_script_rehearses_memory_and_writes_nothing(tmp_path: Path) -> None:
    recorded = [ROOT / "benchmarks" / "gpu.json", ROOT / "docs" / "gpu.md"]
    before = [path.read_bytes() if path.exists() else None for path in recorded]
    done = script("--small", "--device", "cpu", "memory", OUT=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| fast | 35% of 0 MB | 128×128 | 0 |" in done.stdout
    assert "fast runs out of memory even with its smallest tiles" in done.stdout
    assert "Works again afterwards: yes" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"gpu.json", "gpu.md", "gpu.log"}
    assert (tmp_path / "gpu.md").read_text() in done.stdout
    assert [path.read_bytes() if path.exists() else None for path in recorded] == before


def test_the_script_names_what_failed_or_is_unknown() -> None:
    done = script("--small", "--device", "cuda:99")
    assert done.returncode == 1
    assert "- **about**: EngineError: torch does not compute on cuda:99" in done.stdout
    assert "memory …" not in done.stdout
    done = script("--tiny")
    assert done.returncode == 2
    assert "got --tiny; expected --device NAME, --small, or parts: memory" in done.stderr
    done = script("--small", "--device", "cpu", "memory", LIMIT="4")
    assert done.returncode == 1
    assert "- **about**: stopped after 0 s, unfinished" in done.stdout


def script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = ["bash", str(ROOT / "benchmarks" / "gpu.sh"), *arguments]
    told = {"OUT": "", "PYTHON": sys.executable, **environment}
    return subprocess.run(
        line, env={**os.environ, **told}, capture_output=True, text=True, check=False
    )


def test_pictures_of_a_batch_have_the_sizes_that_are_wanted(tmp_path: Path) -> None:
    made = make_pictures(tmp_path, 3, most=40, seed=3)
    assert [path.name for path in made] == ["000.jpg", "001.png", "002.jpg"]
    large = photograph(900, 30, seed=1)  # higher than the sample
    assert large.shape == (900, 30, 3)
    save(large, tmp_path / "a.png")
    other = large.copy()
    other[5, 5, 1] ^= 2
    save(other, tmp_path / "b.png")
    assert most_levels(tmp_path / "a.png", tmp_path / "b.png") == 2
    assert most_levels(tmp_path / "a.png", made[0]) == 255
    assert most_levels(tmp_path / "a.png", tmp_path / "none.png") == 255


def test_what_nvidia_smi_says() -> None:
    busy, memory = usage(["50, 1000", "100, 3000", "[N/A], 5", ""])
    assert busy == 0.75
    assert memory == pytest.approx(3000 * 2**20 / 1e6)
    assert usage(["No devices were found"]) == (None, None)


def test_a_report_is_counted() -> None:
    report = """<testsuites><testsuite>
        <testcase classname="a" name="good"/>
        <testcase classname="a" name="bad"><failure>no</failure></testcase>
        <testcase classname="b" name="worse"><error>no</error></testcase>
        <testcase classname="b" name="later"><skipped/></testcase>
    </testsuite></testsuites>"""
    assert counted(report) == {"passed": 1, "skipped": 1, "failures": ["a::bad", "b::worse"]}


def test_an_error_is_kept_with_what_was_measured(tmp_path: Path) -> None:
    def failing(run: Run) -> Any:
        yield {"half": 1, "failures": ["one"]}
        raise ValueError("broken\nfurther")

    import benchmarks.gpu.about as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "tests", failing)
        assert run_part("tests", Run("cpu", True, tmp_path)) == 1
    found = json.loads((tmp_path / "tests.json").read_text())
    assert found == {"half": 1, "failures": ["one", "ValueError: broken"]}
