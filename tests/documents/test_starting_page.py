"""How soon a checkpoint is usable: the page is the record's, and what it measures is measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import record, starting
from PIL import Image

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="a measurement on Linux")


def test_the_page_is_the_records() -> None:
    if not (record.RESULTS / "starting.json").exists():
        pytest.skip("no benchmarks/starting.json yet; python -m benchmarks.starting writes it")
    text = (record.RESULTS / "starting.json").read_text(encoding="utf-8")
    page = (record.DOCS / "starting.md").read_text(encoding="utf-8")
    assert page == starting.page(json.loads(text))


def test_the_page_says_which_bars_hold() -> None:
    figures: dict[str, Any] = {bar.key: 0.5 for bar in starting.BARS}
    figures |= {"first_wall": 10.0, "later_wall": 2.51, "difference": 2}
    result = {"date": "2026-01-01", "commit": "abc", "machine": "a", "figures": figures}
    rows = {line.split("|")[1].strip(): line for line in starting.page(result).splitlines()[12:]}
    assert rows["first call: result after"].endswith("| 10.00 s | 10 s | yes |")
    assert rows["later call: result after"].endswith("| 2.51 s | 2.5 s | **no** |")
    assert rows["first call: processor time"].endswith("| 0.50 s |  |  |")
    worst = next(line for name, line in rows.items() if "difference" in name)
    assert worst.endswith("| 2 levels | 1 level | **no** |")


def test_differences_of_either_sign_are_found(tmp_path: Path) -> None:
    image = np.full((4, 4, 3), 100, np.uint8)
    for name, value in (("a.png", 100), ("b.png", 97), ("c.png", 255)):
        image[1, 2, 0] = value
        Image.fromarray(image).save(tmp_path / name)
    assert starting.difference(tmp_path / "a.png", tmp_path / "b.png") == 3
    assert starting.difference(tmp_path / "b.png", tmp_path / "c.png") == 158


BUSY = "import time; begun = time.process_time()\nwhile time.process_time() - begun < {}: pass"
ORPHAN = """
import os, sys
from benchmarks.starting import adopt_orphans, run, wait_for_orphans
adopt_orphans()
leave = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]])"
found = run([sys.executable, "-c", leave, sys.argv[1]], os.environ)
print(found.cpu, wait_for_orphans())
"""


@needs_linux
def test_a_command_costs_what_it_computes_and_what_it_waits_for() -> None:
    waits = "import subprocess, sys; print('here', flush=True)\n"
    waits += "subprocess.run([sys.executable, '-c', sys.argv[1]])"
    found = starting.run([sys.executable, "-c", waits, BUSY.format(0.4)], {})
    assert found.text == "here\r\n"
    assert 0.4 <= found.cpu <= 5
    assert 0 < found.shown < found.wall - 0.3


@needs_linux
def test_a_process_that_outlives_its_command_is_counted_by_itself() -> None:
    command = [sys.executable, "-c", ORPHAN, BUSY.format(0.8)]
    done = subprocess.run(command, cwd=record.RESULTS.parent, capture_output=True, text=True)
    its, orphans = map(float, done.stdout.split())
    assert its < 0.6
    assert 0.8 <= orphans < 5


@needs_linux
def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        starting.run([sys.executable, "-c", "raise SystemExit('no such thing')"], {})
