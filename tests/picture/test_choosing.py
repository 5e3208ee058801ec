"""The model `auto`: what it takes, and that its results are those of the model that it takes."""

from __future__ import annotations

import io
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import enlarge
from enlarge.cli import run
from enlarge.errors import OptionError, WeightsError
from enlarge.media.metadata.provenance import provenance_of
from enlarge.media.reading import open_picture
from enlarge.media.rows import ArrayRows, PeekedRows
from enlarge.picture import choosing, model
from enlarge.picture.choosing import finding_in_file
from enlarge.picture.model import OpenModel
from enlarge.settings import Settings
from enlarge.weights.catalog import AUTO, CHOICES, auto_weights, find_weights
from enlarge.weights.starting import starting_weights

CLEANING = next(name for name in CHOICES["degraded"] if name in {c.name for c in enlarge.models()})


@pytest.fixture(scope="module")
def clean() -> NDArray[np.uint8]:
    """A small photograph without noise."""
    with Image.open(Path(__file__).parents[2] / "samples" / "photo.jpg") as image:
        return np.asarray(image.convert("RGB").resize((image.width // 4, image.height // 4), 3))


@pytest.fixture(scope="module")
def noisy(clean: NDArray[np.uint8]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(0, 10, clean.shape)
    return (clean + noise).round().clip(0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path, clean: NDArray[np.uint8], noisy: NDArray[np.uint8]) -> Path:
    """clean.png, noisy.png, and coarse.jpg, of which only the tables tell."""
    inputs = tmp_path / "in"
    inputs.mkdir()
    Image.fromarray(clean).save(inputs / "clean.png")
    Image.fromarray(noisy).save(inputs / "noisy.png")
    Image.fromarray(clean).save(inputs / "coarse.jpg", quality=70)
    return inputs


def test_arrays_and_files_get_the_model_for_their_looks(
    folder: Path, clean: NDArray[np.uint8], noisy: NDArray[np.uint8]
) -> None:
    opened = enlarge.open_model(AUTO)
    for pixels, name in ((clean, "fast"), (noisy, CLEANING)):
        wanted = enlarge.upscale(pixels, model=name)
        assert np.array_equal(enlarge.upscale(pixels, model=AUTO), wanted)
        assert np.array_equal(opened.upscale(pixels), wanted)
    coarse = folder / "coarse.jpg"
    assert np.array_equal(opened.upscale(coarse), enlarge.upscale(coarse, model=CLEANING))


def test_a_crop_is_judged_by_what_is_in_it(noisy: NDArray[np.uint8]) -> None:
    """A picture half of which is flat, so that all of it passes for clean."""
    half = noisy.copy()
    half[:96] = 120
    crop = (0, 96, half.shape[1], half.shape[0] - 96)
    wanted = enlarge.upscale(half, crop=crop, model=CLEANING)
    assert np.array_equal(enlarge.upscale(half, model=AUTO, crop=crop), wanted)
    assert np.array_equal(enlarge.upscale(half, model=AUTO), enlarge.upscale(half, model="fast"))


def test_small_factors_take_the_smaller_networks(
    clean: NDArray[np.uint8], noisy: NDArray[np.uint8]
) -> None:
    for pixels, name in ((clean, "fast"), (noisy, CLEANING)):
        wanted = enlarge.upscale(pixels, model=name, scale=2)
        assert np.array_equal(enlarge.upscale(pixels, model=AUTO, scale=2), wanted)
    assert auto_weights(2).choices["clean"].path.stem == "fast-x2"


def test_a_batch_says_what_it_took_and_keeps_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["enlarge", str(folder), "-o", str(out), "--model", AUTO]
    assert run(command[1:]) == 0
    lines = {Path(line.split("  ")[0]).name: line for line in capsys.readouterr().out.splitlines()}
    assert lines["clean.png"].endswith("; fast: no noise, blocks or blur")
    assert f"; {CLEANING}: noise of about " in lines["noisy.png"]
    assert f"; {CLEANING}: JPEG of quality 70" in lines["coarse.png"]
    for name, taken in (("clean", "fast"), ("noisy", CLEANING), ("coarse", CLEANING)):
        with open_picture(out / f"{name}.png") as picture:
            facts = provenance_of(picture.metadata)
        assert facts is not None
        assert facts["model"] == taken
        assert facts["chosen"] in lines[f"{name}.png"]
    with sqlite3.connect(out / ".enlarge" / "ledger.sqlite") as base:
        recorded = dict(base.execute("SELECT output, chosen FROM pictures"))
    assert recorded["clean.png"] == "fast: no noise, blocks or blur"
    assert recorded["coarse.png"] == f"{CLEANING}: JPEG of quality 70"
    assert run([*command[1:], "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["kept"]) == 3
    assert run([str(folder), "-o", str(out), "--json", "--model", "fast"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 3, "another model makes them anew"


def test_a_dry_run_says_what_it_would_take(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([str(folder), "--model", AUTO, "--dry-run"]) == 0
    assert f"auto takes {CLEANING} for 2, fast for 1" in capsys.readouterr().out
    assert run([str(folder / "noisy.png"), "--model", AUTO, "--dry-run", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    (choice,) = facts["choices"].values()
    assert choice["model"] == CLEANING
    assert choice["reason"].startswith("noise of about ")
    assert run([str(folder / "noisy.png"), "--model", "fast", "--dry-run", "--json"]) == 0
    assert "choices" not in json.loads(capsys.readouterr().out)


def test_what_it_says_beforehand_is_what_it_takes(folder: Path) -> None:
    for path in folder.iterdir():
        found = finding_in_file(path, Settings())
        done = enlarge.open_model(AUTO).upscale_file(path, io.BytesIO())
        assert done.model == auto_weights().choices[found.kind].path.stem
        assert done.reason == found.reason


def test_results_are_made_again_when_a_model_or_a_rule_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    depth = np.dtype(np.uint8)
    before = OpenModel(auto_weights())
    assert before.digest != find_weights("fast").digest
    assert before.digest_for(depth) == OpenModel(auto_weights()).digest_for(depth)
    monkeypatch.setattr(model, "RULES", "0")
    assert OpenModel(auto_weights()).digest != before.digest


def test_videos_are_compressed_and_not_looked_at(tmp_path: Path) -> None:
    pytest.importorskip("av")
    from enlarge.video.outlook import forecast_video
    from tests.video.material import Recipe, make

    video = make(tmp_path / "tape.mp4", Recipe())
    outlook = forecast_video(video, Settings(), OpenModel(auto_weights()))
    assert outlook.model.card.name == CLEANING


def test_it_is_refused_where_nothing_is_looked_at() -> None:
    with pytest.raises(WeightsError, match="auto chooses a model for each picture; here, name one"):
        find_weights(AUTO)
    with pytest.raises(OptionError, match=r"--strength 0\.5 needs --model photo"):
        starting_weights(AUTO, strength=0.5)


def test_tiles_are_planned_for_the_largest_of_its_models() -> None:
    auto = OpenModel(auto_weights())
    engine = auto.engine(np.dtype(np.uint8))
    run = [w.stored_for(engine.precision) for w in auto_weights().choices.values()]
    largest = max(max(weights.card.tiles.values()) for weights in run)
    assert max(auto.card_for(engine).tiles.values()) == round(largest * engine.memory_factor)


def test_only_the_top_of_a_large_picture_is_looked_at(
    clean: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "SEEN", 96 * clean.shape[1])
    half = clean.copy()
    half[100:] = np.random.default_rng(0).integers(0, 256, half[100:].shape, dtype=np.uint8)
    assert np.array_equal(enlarge.upscale(half, model=AUTO), enlarge.upscale(half, model="fast"))


@given(st.integers(1, 30), st.data())
def test_peeked_rows_are_all_rows_in_order(height: int, data: st.DataObject) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, 3, 1), dtype=np.uint8)
    rows = ArrayRows(pixels)
    peeked = PeekedRows(rows, rows.read(data.draw(st.integers(0, height))))
    parts: list[NDArray[np.uint8]] = []
    while sum(len(part) for part in parts) < height:
        parts.append(peeked.read(data.draw(st.integers(1, 9))))
        assert len(parts[-1])
    assert np.array_equal(np.concatenate(parts), pixels)
    assert not len(peeked.read(2))
    peeked.close()


def test_a_folder_called_auto_is_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noisy: NDArray[np.uint8]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("auto").mkdir()
    assert np.array_equal(enlarge.upscale(noisy), enlarge.upscale(noisy, model=CLEANING))


@pytest.mark.parametrize(("quality", "taken"), [(30, CLEANING), (95, "fast")])
def test_of_a_tiny_picture_only_the_jpeg_quality_counts(
    quality: int, taken: str, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=quality)
    assert enlarge.open_model().upscale_file(tmp_path / "a.jpg", io.BytesIO()).model == taken


def test_networks_of_the_other_models_are_freed_too(
    clean: NDArray[np.uint8], noisy: NDArray[np.uint8]
) -> None:
    auto = enlarge.open_model()
    auto.upscale(clean)
    auto.upscale(noisy)
    first, second = (auto.chosen(kind) for kind in ("clean", "degraded"))
    assert second.forget()
    assert not first.forget()


def test_what_one_of_the_models_cannot_compute_is_refused_at_the_first_picture(
    clean: NDArray[np.uint8],
) -> None:
    auto = enlarge.open_model(precision="int8")
    with pytest.raises(OptionError, match="auto may take photo-fast"):
        auto.upscale(clean)
