"""The time limit of the tests: one that hangs ends, even in its teardown, with its stack."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

HANGS = """
import time, pytest

@pytest.fixture
def browser():
    yield
    time.sleep(600)

def test_fails(browser):
    raise AssertionError("it failed")
"""


def test_a_failed_test_whose_teardown_hangs_ends(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_runtest_teardown\n")
    (tmp_path / "test_it.py").write_text(HANGS)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml")]
    command += ["-o", "faulthandler_timeout=3", "-p", "no:cacheprovider", "-n", "1"]
    command += ["--rootdir", str(tmp_path), str(tmp_path)]
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert ended.returncode == 1
    assert "it failed" in ended.stdout
    assert "in browser" in ended.stderr  # where it hung
