"""A small version of the proof: everything goes wrong, and nothing is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from benchmarks.proofs.bad_day import bad_day
from PIL import Image

from enlarge.batch.ledger import Ledger
from enlarge.batch.record import Row
from enlarge.cli import run
from tests.batch.conftest import fill

Said = pytest.CaptureFixture[str]


def test_a_bad_day() -> None:
    result = bad_day(20, 2, seed=1)
    assert result.holds, result.measured


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_as_if_killed(results: Path) -> dict[str, Row]:
    """The rows of a ledger, which then becomes what it is if every run was killed after its files
    had their names.
    """
    with Ledger(results) as ledger:
        before = ledger.rows()
        ledger._base.execute(
            "UPDATE pictures SET state = 'doing', owner = 'gone-1-00.lock', sealed = digest, "
            "digest = NULL, shape = NULL, width = NULL, height = NULL"
        )
    return before


def test_a_result_that_a_killed_run_could_not_record_is_recorded(here: Path) -> None:
    fill(here / "in", 2)
    assert run(["in", "-o", "out/", "--quiet"]) == 0
    before = rows_as_if_killed(here / "out")
    assert run(["in", "-o", "out/", "--quiet"]) == 0
    with Ledger(here / "out") as ledger:
        after = ledger.rows()
    facts = ("state", "owner", "sealed", "digest", "shape", "width", "height")
    for name, row in before.items():
        assert [getattr(after[name], fact) for fact in facts] == [
            getattr(row, fact) for fact in facts
        ]


def test_a_result_is_recorded_although_its_input_is_gone(here: Path) -> None:
    fill(here / "in", 2)
    assert run(["in", "-o", "out/", "--quiet"]) == 0
    before = rows_as_if_killed(here / "out")
    next((here / "in").rglob("*.png")).unlink()
    assert run(["in", "-o", "out/", "--quiet"]) == 0
    with Ledger(here / "out") as ledger:
        after = ledger.rows()
    assert len(before) == 2
    for name, row in before.items():
        assert (after[name].state, after[name].digest) == ("done", row.digest)
        assert (after[name].owner, after[name].sealed) == (None, None)


def test_links_to_nothing_are_named(here: Path, capsys: Said) -> None:
    fill(here / "in", 1)
    Path("in/gone.png").symlink_to("nothing.png")
    Path("in/circle.png").symlink_to("circle.png")
    assert run(["in", "-o", "out/", "--json"]) == 3
    failed = json.loads(capsys.readouterr().out)["failed"]
    assert {entry["input"]: entry["error"] for entry in failed} == {
        "in/gone.png": "in/gone.png: is a link to nothing",
        "in/circle.png": "in/circle.png: cannot be read: Too many levels of symbolic links",
    }


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_locked_picture_is_named(here: Path, capsys: Said) -> None:
    fill(here / "in", 1)
    Image.fromarray(np.zeros((7, 9, 3), np.uint8)).save("in/locked.png")
    Path("in/locked.png").chmod(0)
    assert run(["in", "-o", "out/", "--quiet"]) == 3
    assert "in/locked.png: cannot be read: Permission denied" in capsys.readouterr().err
