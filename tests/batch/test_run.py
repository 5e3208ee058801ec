"""A batch from Python: planned, iterated, stopped; and what the ledger records of it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from enlarge.batch.fingerprints import recorded_settings
from enlarge.batch.locations import File, Folder, Zip
from enlarge.batch.plan import BatchPlan, Request
from enlarge.batch.planning import plan_batch
from enlarge.batch.run import run_batch
from enlarge.batch.worker import LocalWorker
from enlarge.errors import EngineError
from enlarge.settings import Settings
from enlarge.upscaler import open_model
from tests.batch.conftest import contents, fill

SETTINGS = Settings(format="png")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "in", 6, broken=1)
    return tmp_path


def statuses(request: Request, model: Any) -> list[str]:
    batch = plan_batch(request, model)
    outcomes = run_batch(batch, LocalWorker(model, request.settings))
    return [outcome.status for outcome in (*batch.failed, *batch.kept, *outcomes)]


def test_outcomes_are_iterated(here: Path) -> None:
    model = open_model("fast", threads=1)
    request = Request((Folder(Path("in")),), SETTINGS, Folder(Path("out")))
    assert statuses(request, model) == ["failed", *["done"] * 5]
    assert statuses(request, model) == ["failed", *["kept"] * 5]
    assert len(contents(here / "out")) == 5


def test_an_archive_is_the_last_outcome(here: Path) -> None:
    model = open_model("fast", threads=1)
    request = Request((Folder(Path("in")),), SETTINGS, Zip(Path("all.zip")))
    batch = plan_batch(request, model)
    *done, archive = run_batch(batch, LocalWorker(model, SETTINGS))
    assert (archive.status, archive.output, archive.count) == ("archived", "all.zip", 5)
    assert sorted(outcome.output for outcome in done)[0] == "all.zip/deep/er/p0003.png"


def test_an_archive_of_names_that_are_no_text(here: Path) -> None:
    name = Path("in", os.fsdecode(b"a\xff.png"))
    try:
        name.write_bytes(Path("in/p0001.png").read_bytes())
    except OSError:
        pytest.skip("this file system holds names that are text only")
    model = open_model("fast", threads=1)
    request = Request((File(name),), SETTINGS, Zip(Path("all.zip")))
    (_, archive) = run_batch(plan_batch(request, model), LocalWorker(model, SETTINGS))
    assert archive.count == 1
    with zipfile.ZipFile("all.zip") as opened:
        assert [name.encode("cp437") for name in opened.namelist()] == [b"a\xff.png"]


def test_a_caller_that_stops_leaves_nothing_half_written(here: Path) -> None:
    model = open_model("fast", threads=1)
    request = Request((Folder(Path("in")),), SETTINGS, Folder(Path("out")))
    with closing(run_batch(plan_batch(request, model), LocalWorker(model, SETTINGS))) as outcomes:
        next(outcomes)
    assert not list((here / "out").rglob("*.part"))
    rest = statuses(request, model)
    assert rest.count("kept") >= 1
    assert rest.count("kept") + rest.count("done") == 5


def test_a_worker_that_fails_while_it_stops_is_heard(here: Path) -> None:
    class Lost(LocalWorker):
        @contextmanager
        def opened(self, batch: BatchPlan, shared: tuple[Path, ...]) -> Iterator[None]:
            with super().opened(batch, shared):
                try:
                    yield
                finally:
                    raise EngineError("the cluster is gone")

    model = open_model("fast", threads=1)
    request = Request((Folder(Path("in")),), SETTINGS, Folder(Path("out")))
    outcomes = run_batch(plan_batch(request, model), Lost(model, SETTINGS))
    next(outcomes)
    with pytest.raises(EngineError, match="the cluster is gone"):
        outcomes.close()


@pytest.mark.parametrize(
    ("options", "dtype", "changed"),
    [
        ({}, np.uint8, {}),
        ({"width": 60}, np.uint8, {'"scale": 4': '"scale": null', '"width": null': '"width": 60'}),
        ({"scale": 2.0}, None, {'"scale": 4': '"scale": 2.0', '"bf16"': '"bf16, bf16"'}),
        ({"threads": 3, "memory": "2GB", "resume": False}, np.uint8, {}),
    ],
)
def test_the_ledger_records_settings_as_version_0_1_0_did(
    options: dict[str, Any], dtype: Any, changed: dict[str, str]
) -> None:
    """The text was written by that version: any other would make every result again."""
    expected = (
        '{"crop": null, "device": "cpu", "engine": "openvino", "ensemble": false, "exact": false, '
        '"format": "png", "height": null, "metadata": "keep", "precision": "bf16", '
        '"provenance": true, "pyramid": false, "quality": null, "scale": 4, "tile": "auto", '
        '"width": null}'
    )
    for old, new in changed.items():
        assert old in expected
        expected = expected.replace(old, new)
    engine = SimpleNamespace(name="openvino", device="cpu", precision="bf16")
    card = SimpleNamespace(scale=4, strength=None)
    model: Any = SimpleNamespace(card=card, engine=lambda dtype: engine, options_of_checkpoint=None)
    settings = Settings(format="png", **options)
    assert recorded_settings(settings, model, dtype) == expected
