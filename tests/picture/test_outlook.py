"""The forecast of a picture's enlargement, and what a run does by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.engines import EngineOptions
from enlarge.errors import OptionError, OutputError
from enlarge.media.reading import Facts, open_picture
from enlarge.picture.hooks import Hooks, Progress
from enlarge.picture.model import OpenModel
from enlarge.picture.outlook import RESUMABLE, Outlook, plan_picture
from enlarge.picture.resuming import Transfer, plan_text
from enlarge.picture.run import enlarge_file
from enlarge.settings import Settings
from enlarge.tiling import Plan, Span
from enlarge.weights.catalog import find_weights

MODEL = OpenModel(find_weights("fast"), EngineOptions(precision="f32"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (150, 210, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    return path


def facts_of(path: Path, **changes: Any) -> Facts:
    with open_picture(path) as picture:
        return replace(picture.facts, **changes)


@pytest.mark.parametrize(
    ("options", "size", "passes"),
    [
        ({}, (840, 600), 1),
        ({"scale": 2.5}, (525, 375), 1),
        ({"scale": 6}, (1260, 900), 2),
        ({"width": 300}, (300, 214), 1),
        ({"crop": (10, 20, 100, 50), "scale": 3}, (300, 150), 1),
    ],
)
def test_a_run_does_what_the_outlook_says(
    options: dict[str, Any], size: tuple[int, int], passes: int, source: Path, tmp_path: Path
) -> None:
    settings = Settings(tile=72, **options)
    outlook = plan_picture(facts_of(source), settings, MODEL)
    assert ((outlook.width, outlook.height), len(outlook.passes)) == (size, passes)
    seen: list[Progress] = []
    target = tmp_path / "out.png"
    done = enlarge_file(Transfer(source, target), settings, MODEL, hooks=Hooks(seen.append))
    tiles = outlook.tiles()
    assert done.tiles == len(seen) == sum(map(len, tiles))
    assert done.tile == (tiles[-1].tile_width, tiles[-1].tile_height)
    made = facts_of(target)
    assert (made.width, made.height) == (done.width, done.height) == size
    assert target.stat().st_size <= outlook.file_bytes


def test_what_the_disk_must_hold(source: Path) -> None:
    side = int(RESUMABLE**0.5) // 4
    facts = facts_of(source, width=side, height=side)

    def outlook(**options: Any) -> Outlook:
        return plan_picture(facts, Settings(**options), MODEL)

    assert outlook().bands_bytes == (4 * side) ** 2 * 3
    assert outlook(resume=False).bands_bytes == 0
    assert outlook(scale=3.9).bands_bytes == 0
    assert outlook().scratch_bytes == 0
    assert outlook(format="tif", pyramid=True).file_bytes > outlook(format="tif").file_bytes
    facts = replace(facts, in_order=False, memory_bytes=10**9, disk_bytes=7 * 10**8)
    assert outlook(memory=10**10).scratch_bytes == 0
    assert outlook(memory=10**9).scratch_bytes == 7 * 10**8


def test_what_memory_must_hold(source: Path) -> None:
    """Buffers of decoders and encoders count, and so does the engine's share of a tile."""
    facts = facts_of(source)
    plain = plan_picture(facts, Settings(tile=128), MODEL)
    pyramid = plan_picture(facts, Settings(tile=128, format="tif", pyramid=True), MODEL)
    assert pyramid.best_bytes > plain.best_bytes
    whole = replace(facts, in_order=False, memory_bytes=10**8)
    buffered = plan_picture(whole, Settings(tile=128), MODEL)
    assert buffered.best_bytes - plain.best_bytes == 10**8
    eight = plan_picture(facts, Settings(tile=128, ensemble=True), MODEL)
    assert eight.best_bytes > plain.best_bytes


def test_the_engines_share_of_memory_makes_tiles_smaller(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = facts_of(source, width=2000, height=2000)
    held = 300_000_000
    monkeypatch.setattr("enlarge.picture.budget.resident", lambda: held)
    budget = int((held + plan_picture(facts, Settings(), MODEL).best_bytes) / 0.95) + 10**6
    outlook = plan_picture(facts, Settings(memory=budget), MODEL)
    (before,) = outlook.tiles()
    monkeypatch.setattr(MODEL.engine(facts.dtype), "memory_factor", 3.0)
    (after,) = outlook.tiles()
    assert after.tile_width * after.tile_height < before.tile_width * before.tile_height


@pytest.mark.parametrize(
    ("options", "kind", "part"),
    [
        ({"crop": (200, 0, 11, 150)}, OptionError, "--crop 200,0,11,150"),
        ({"width": 209}, OptionError, "210×150 input"),
        ({"width": 3361}, OptionError, "got 3361×2401"),
        ({"format": "webp", "width": 16_800}, OptionError, "16800"),
    ],
)
def test_what_does_not_suit_the_picture(
    options: dict[str, Any], kind: type[Exception], part: str, source: Path
) -> None:
    with pytest.raises(kind, match=part):
        plan_picture(facts_of(source), Settings(**options), MODEL)


def test_a_format_that_cannot_hold_the_result(source: Path) -> None:
    facts = facts_of(source, width=4096, height=100)
    with pytest.raises(OutputError, match="WebP holds at most 16,383 pixels per side"):
        plan_picture(facts, Settings(format="webp"), MODEL)


def test_a_plan_is_recorded_as_version_0_1_0_did() -> None:
    """Else the bands that an interrupted run left would be of no use to this version."""
    plan = Plan(8, 5, 1, (Span(0, 8, 0, 8),), (Span(0, 4, 0, 3), Span(1, 5, 3, 5)))
    assert plan_text(plan) == (
        "Plan(width=8, height=5, halo=1, "
        "columns=(Span(start=0, stop=8, keep_start=0, keep_stop=8),), "
        "rows=(Span(start=0, stop=4, keep_start=0, keep_stop=3), "
        "Span(start=1, stop=5, keep_start=3, keep_stop=5)))"
    )
