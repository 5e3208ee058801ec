"""`enlarge try`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import enlarge
from enlarge.cli import run
from enlarge.engines import EngineOptions
from enlarge.trying.part import Part, Region
from enlarge.trying.results import Trials
from enlarge.weights.catalog import find_weights
from enlarge.weights.installed import list_pairs
from tests.weights.ncnn.tiny import write_pair

Said = pytest.CaptureFixture[str]


@pytest.fixture
def photo(here: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.png")
    return Path("photo.png")


def test_a_sheet_and_a_page_of_the_models(photo: Path, capsys: Said) -> None:
    assert run(["try", str(photo), "--model", "fast", "--crop", "8,4,20,16", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["part"] == [8, 4, 20, 16]
    assert [row["model"] for row in told["models"]] == ["fast"]
    assert told["models"][0]["purpose"]
    assert told["output"] == ["photo_try.png", "photo_try.html"]
    with Image.open("photo_try.png") as sheet:
        drawn = np.asarray(sheet)
    # With 16 pixels around it that the network saw, less than it looks at.
    with Image.open(photo) as image:
        seen = np.asarray(image)[0:36, 0:44]
    wanted = enlarge.upscale(seen, model="fast")[16:80, 32:112]
    assert (drawn[12:76, 104:184] == wanted).all()
    assert "photo.png" in Path("photo_try.html").read_text()


def test_existing_outputs_are_kept(photo: Path, capsys: Said) -> None:
    Path("photo_try.html").write_text("mine")
    assert run(["try", str(photo), "--model", "fast"]) == 1
    assert "photo_try.html exists; --overwrite replaces it" in capsys.readouterr().err
    assert not Path("photo_try.png").exists()
    assert Path("photo_try.html").read_text() == "mine"


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        (["--scale", "3"], 2, "no model enlarges ×3; those at hand: ×2, ×4"),
        (["--crop", "0,0,51,1"], 2, "--crop 0,0,51,1 is not inside photo.png, 50×40"),
        (["--model", "nosuch"], 1, "unknown model 'nosuch'"),
        (["--limit", "1.5"], 2, "--limit must be a whole number from 0 on"),
        (["-o", "photo.png"], 1, "photo.png: is not a folder"),
        (["-o", "sheet.png"], 1, "sheet.png: names a file; -o names the folder"),
    ],
)
def test_refusals(photo: Path, capsys: Said, more: list[str], status: int, words: str) -> None:
    assert run(["try", str(photo), *more]) == status
    assert words in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["photo.png"]


def test_slow_models_are_announced_and_left_out() -> None:
    part = Part(
        np.zeros((24, 24, 3), np.uint8), Region(0, 0, 24, 24), Region(0, 0, 24, 24), (240, 240), ()
    )
    trials = Trials(part, 4, EngineOptions(precision="f32"), limit=1.0)
    fast, quality = find_weights("fast"), find_weights("quality")
    assert trials.expected(quality) == 0.0, "nothing ran yet"
    assert not trials.is_too_slow(quality)
    tried = trials.run(fast)
    assert tried.pixels.shape == (96, 96, 3)
    assert tried.whole == pytest.approx(100 * tried.seconds)
    share = quality.card.flops / fast.card.flops
    assert trials.expected(quality) == pytest.approx(tried.seconds * share)
    trials.limit = tried.seconds * share * 0.9
    assert trials.is_too_slow(quality)
    assert not trials.is_too_slow(fast)


def test_a_model_that_fails_is_named_and_the_others_are_shown(photo: Path, capsys: Said) -> None:
    Path("broken.onnx").write_bytes(find_weights("fast").path.read_bytes()[:-70_000])
    status = run(["try", str(photo), "--model", "fast", "./broken.onnx"])
    captured = capsys.readouterr()
    assert status == 1
    assert "broken.onnx" in captured.err


def test_a_pair_of_ncnn_is_tried_with_its_preparing_announced(
    photo: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    write_pair(folder)
    monkeypatch.setenv("ENLARGE_MODELS", str(folder))
    monkeypatch.setenv("ENLARGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("enlarge.weights.measuring.FEW", (64,))
    (pair,) = list_pairs()
    fast = find_weights("fast-x2")
    part = Part(
        np.zeros((24, 24, 3), np.uint8), Region(0, 0, 24, 24), Region(0, 0, 24, 24), (240, 240), ()
    )
    trials = Trials(part, 2, EngineOptions(precision="f32"))
    trials.run(fast)
    before = trials.expected(pair)
    assert before > trials.expected(fast) * 0.01
    tried = trials.run(pair)
    assert (tried.model, tried.call, tried.pixels.shape) == ("tiny", "tiny", (48, 48, 3))
    (pair,) = list_pairs()
    assert trials.expected(pair) < before, "prepared by now"
    assert run(["try", str(photo), "--scale", "2", "--json"]) == 0
    names = [row["model"] for row in json.loads(capsys.readouterr().out)["models"]]
    assert set(names) == {"fast-x2", "quality-x2", "tiny"}
