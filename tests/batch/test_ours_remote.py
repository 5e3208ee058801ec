"""What a scan of a store leaves out: it finds out when a picture is read, not by its name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from enlarge.batch.ledger import Ledger
from enlarge.cli import run
from tests.batch.conftest import contents

Said = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A store in memory with a picture, two that are named as its results, and a result."""
    monkeypatch.chdir(tmp_path)
    files = fsspec.filesystem("memory")
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    for name in ("hero.png", "hero_640x480.png", "hero_x2.png"):
        Image.fromarray(pixels).save(name)
        files.pipe(f"/given/{name}", Path(name).read_bytes())
    assert run(["hero.png", "--quiet"]) == 0
    files.pipe("/given/great.png", Path("hero_x4.png").read_bytes())
    yield files
    files.rm("/", recursive=True)


def test_provenance_tells(store: Any, tmp_path: Path, capsys: Said) -> None:
    assert run(["memory://given/", "-o", "out/", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (entry,) = document["skipped"]
    assert entry["input"].endswith("given/great.png")
    assert entry["reason"] == "its metadata says that enlarge made it"
    assert sorted(contents(tmp_path / "out")) == [
        "hero.png", "hero_640x480.png", "hero_x2.png",
    ]  # fmt: skip
    assert run(["memory://given/", "-o", "out/"]) == 0
    said = capsys.readouterr()
    assert "given/great.png: skipped, because its metadata says that enlarge made it" in said.err
    assert "3 of 3 were already done" in said.err
    with Ledger(tmp_path / "out") as ledger:
        assert sorted(name for name, row in ledger.rows().items() if row.is_made) == sorted(
            contents(tmp_path / "out")
        )
    # One that is named is enlarged.
    assert run(["memory://given/great.png", "-o", "out/", "--quiet"]) == 0
    assert "great.png" in contents(tmp_path / "out")


def test_names_that_are_no_text(store: Any, tmp_path: Path) -> None:
    """A store's names are text."""
    name = os.fsdecode(b"latin\xe9.png")
    try:
        Path("hero.png").rename(name)
    except OSError:
        pytest.skip("this file system holds names that are text only")
    for _ in range(2):
        assert run([name, "-o", "memory://made/", "--ledger", "books", "--quiet"]) == 0
    assert [Path(path).name for path in store.find("/made")] == ["latin\\xe9.png"]
