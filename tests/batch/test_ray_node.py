"""What a machine of a cluster does, without Ray: two steps for a picture, and who cannot help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.batch.jobs import PictureJob
from enlarge.batch.locations import File
from enlarge.batch.ray_node import ClusterNode, Setup, StoredModel, model_files, setup_for
from enlarge.digests import file_digest
from enlarge.errors import Cancelled, EngineError, InputError, OutputError
from enlarge.picture.run import Done
from enlarge.settings import Settings
from enlarge.upscaler import open_model


@pytest.fixture(params=["fast", "auto"])
def setup(request: pytest.FixtureRequest) -> Setup:
    return setup_for(open_model(request.param, threads=1), Settings(format="png"), ())


def changed(setup: Setup, change: Callable[[StoredModel], dict[str, Any]]) -> Setup:
    models = {kind: replace(model, **change(model)) for kind, model in setup.models.items()}
    return replace(setup, models=models)


def opened(setup: Setup) -> ClusterNode:
    node = ClusterNode(setup, 1)
    assert isinstance(node.open(model_files(setup)), str)
    return node


@pytest.fixture
def job(tmp_path: Path) -> PictureJob:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return PictureJob(File(tmp_path / "a.png"), File(tmp_path / "large.png"), name="large.png")


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "a.png")


def test_a_name_only_after_the_word(setup: Setup, job: PictureJob, tmp_path: Path) -> None:
    node = opened(setup)
    begun = node.begin(job)
    assert isinstance(begun, tuple)
    key, digest = begun
    (waiting,) = parts(tmp_path)
    assert waiting.endswith(".part")
    done = node.finish(key)
    assert isinstance(done, Done)
    assert parts(tmp_path) == ["large.png"]
    assert file_digest(tmp_path / "large.png") == digest
    assert (done.width, done.height) == (120, 80)


@pytest.mark.parametrize("how", ["drop", "stop"])
def test_nothing_is_left_of_what_is_dropped(
    how: str, setup: Setup, job: PictureJob, tmp_path: Path
) -> None:
    node = opened(setup)
    begun = node.begin(job)
    assert isinstance(begun, tuple)
    node.drop(begun[0]) if how == "drop" else node.stop()
    assert not parts(tmp_path)
    assert isinstance(node.begin(job), tuple if how == "drop" else Cancelled)
    node.stop()


def test_a_bad_picture_is_told_not_raised(setup: Setup, job: PictureJob) -> None:
    assert isinstance(job.source, File)
    job.source.path.write_bytes(b"no picture")
    assert isinstance(opened(setup).begin(job), InputError)


def test_the_model_of_another_machine(
    setup: Setup, job: PictureJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENLARGE_CACHE", str(tmp_path / "cache"))
    files = model_files(setup)
    elsewhere = changed(setup, lambda model: {"path": tmp_path / "not-here" / model.path.name})
    node = ClusterNode(elsewhere, 1)
    assert isinstance(node.open(files), str)
    begun = node.begin(job)
    assert isinstance(begun, tuple)
    node.finish(begun[0])
    copies = (tmp_path / "cache" / "cluster").rglob("*.*")
    assert {copy.name: copy.read_bytes() for copy in copies} == files
    here = opened(setup).begin(replace(job, replace=True))
    assert isinstance(here, tuple)
    assert here[1] == begun[1]


@pytest.mark.parametrize(
    ("change", "kind", "expected"),
    [
        ({"version": "9.9"}, EngineError, "install the same on both"),
        ({"shared": (Path("/nowhere/ledger.sqlite"),)}, OutputError, "does not see /nowhere"),
    ],
)
def test_who_cannot_help(
    change: dict[str, Any], kind: type[Exception], expected: str, setup: Setup
) -> None:
    problem = ClusterNode(replace(setup, **change), 1).open(model_files(setup))
    assert isinstance(problem, kind)
    assert expected in str(problem)


def test_a_machine_that_would_compute_in_another_precision(setup: Setup) -> None:
    other = changed(setup, lambda _: {"precisions": ("f16", "f32")})
    problem = ClusterNode(other, 1).open(model_files(setup))
    assert isinstance(problem, EngineError)
    assert "use --precision f32, which is the same" in str(problem)
