"""What a machine of a cluster does, without Ray: two steps for a picture, and who cannot help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.batch.bench import Bench, Setup, model_files, setup_of
from enlarge.batch.jobs import Job
from enlarge.batch.worker import Recipe
from enlarge.digests import file_digest
from enlarge.errors import Cancelled, EngineError, InputError, OutputError
from enlarge.picture.run import Done
from enlarge.upscaler import open_model

NAMES = ("scale", "width", "height", "crop", "quality", "memory")
OPTIONS: dict[str, Any] = {
    **dict.fromkeys(NAMES),
    **{"format": "png", "pyramid": False, "tile": "auto", "exact": False, "ensemble": False},
}


@pytest.fixture
def setup() -> Setup:
    return setup_of(open_model("fast", threads=1), Recipe(OPTIONS), "auto", ())


def opened(setup: Setup) -> Bench:
    bench = Bench(setup, 1)
    assert isinstance(bench.open(model_files(setup.path)), str)
    return bench


@pytest.fixture
def job(tmp_path: Path) -> Job:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return Job(str(tmp_path / "a.png"), str(tmp_path / "large.png"), name="large.png")


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "a.png")


def test_a_name_only_after_the_word(setup: Setup, job: Job, tmp_path: Path) -> None:
    bench = opened(setup)
    begun = bench.begin(job)
    assert isinstance(begun, tuple)
    key, digest = begun
    (waiting,) = parts(tmp_path)
    assert waiting.endswith(".part")
    done = bench.finish(key)
    assert isinstance(done, Done)
    assert parts(tmp_path) == ["large.png"]
    assert file_digest(tmp_path / "large.png") == digest
    assert (done.width, done.height) == (120, 80)


@pytest.mark.parametrize("how", ["drop", "stop"])
def test_nothing_is_left_of_what_is_dropped(
    how: str, setup: Setup, job: Job, tmp_path: Path
) -> None:
    bench = opened(setup)
    begun = bench.begin(job)
    assert isinstance(begun, tuple)
    bench.drop(begun[0]) if how == "drop" else bench.stop()
    assert not parts(tmp_path)
    assert isinstance(bench.begin(job), tuple if how == "drop" else Cancelled)
    bench.stop()


def test_a_bad_picture_is_told_not_raised(setup: Setup, job: Job) -> None:
    Path(job.source).write_bytes(b"no picture")
    assert isinstance(opened(setup).begin(job), InputError)


def test_the_model_of_another_machine(
    setup: Setup, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENLARGE_CACHE", str(tmp_path / "cache"))
    files = model_files(setup.path)
    elsewhere = replace(setup, path=tmp_path / "not-here" / setup.path.name)
    bench = Bench(elsewhere, 1)
    assert isinstance(bench.open(files), str)
    begun = bench.begin(job)
    assert isinstance(begun, tuple)
    bench.finish(begun[0])
    (copy,) = (tmp_path / "cache" / "cluster").rglob("*.onnx")
    assert copy.read_bytes() == files[setup.path.name]
    here = opened(setup).begin(replace(job, replace=True))
    assert isinstance(here, tuple)
    assert here[1] == begun[1]


@pytest.mark.parametrize(
    ("change", "kind", "expected"),
    [
        ({"version": "9.9"}, EngineError, "install the same on both"),
        ({"precisions": ("f16", "f32")}, EngineError, "--precision f32 works the same"),
        ({"marks": (Path("/nowhere/ledger.sqlite"),)}, OutputError, "does not see /nowhere"),
    ],
)
def test_who_cannot_help(
    change: dict[str, Any], kind: type[Exception], expected: str, setup: Setup
) -> None:
    problem = Bench(replace(setup, **change), 1).open(model_files(setup.path))
    assert isinstance(problem, kind)
    assert expected in str(problem)
