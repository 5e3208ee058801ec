"""Tiles that do not change are copied, and every frame is what it would be without that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import enlarge
from enlarge.media.rows import ArrayRows
from enlarge.picture.hooks import Hooks
from enlarge.picture.outlook import plan_array
from enlarge.picture.timings import Timings
from enlarge.settings import Settings
from enlarge.video.enlarging import FrameEnlarger
from tests.video.material import Recipe, frames_of, make, scene

WIDTH, HEIGHT = 200, 130


def still(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """A scene whose lower right corner changes, in every second frame."""
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image[-8:, -8:] = 40 * (number // 2)
    return image


@pytest.mark.parametrize("options", [{}, {"scale": 8}, {"scale": 3}, {"model": "quality"}])
def test_frames_are_those_of_pictures(options: dict[str, Any]) -> None:
    """Also through two passes, resampled, and with tiles that fade into each other."""
    name = options.get("model", "fast")
    is_small = name != "fast" or options == {"scale": 8}  # two passes, or a slow network
    settings = Settings(tile=72 if is_small else 96, **options)
    model = enlarge.open_model(name)
    width, height = (104, 72) if is_small else (WIDTH, HEIGHT)
    blank = ArrayRows(np.zeros((height, width, 3), np.uint8))
    enlarger = FrameEnlarger(plan_array(blank, settings, model), timings=Timings())
    kept: dict[str, Any] = {"scale": settings.scale, "tile": settings.tile}
    for number in range(3 if is_small else 4):
        frame = still(number, width, height)
        found = enlarger(frame, Hooks(), 4)
        assert np.array_equal(found, model.upscale(frame, **kept)), number
    assert 0 < enlarger.reused < enlarger.tiles
    if not options:
        across, down = len(enlarger.plans[0].columns), len(enlarger.plans[0].rows)
        changed = 1 + 1  # the first frame, and the corner's tile once
        assert across > 1
        assert enlarger.reused == 4 * across * down - across * down - (changed - 1)


def test_progress_counts_all_frames() -> None:
    model = enlarge.open_model("fast")
    outlook = plan_array(
        ArrayRows(np.zeros((HEIGHT, WIDTH, 3), np.uint8)), Settings(tile=96), model
    )
    enlarger = FrameEnlarger(outlook, timings=Timings())
    seen: list[tuple[int, int]] = []
    for number in range(3):
        frame = scene(number, WIDTH, HEIGHT)
        enlarger(frame, Hooks(progress=lambda step: seen.append((step.done, step.total))), 3)
    total = 3 * enlarger.tiles_of_frame
    assert seen == [(done, total) for done in range(1, total + 1)]


def test_in_a_file(tmp_path: Path) -> None:
    pytest.importorskip("av")
    given = make(
        tmp_path / "given.mkv", Recipe(codec="ffv1", pixels="bgr0", options={}, picture=still)
    )
    done = enlarge.upscale_video(given, tmp_path / "made.mkv", codec="ffv1", tile=60)
    assert any("did not change" in note for note in done.notes)
    made = [
        frame.reformat(format="rgb24").to_ndarray() for frame in frames_of(tmp_path / "made.mkv")
    ]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[1], made[2])
    wanted = enlarge.upscale(still(3, 96, 64), tile=60)
    assert np.array_equal(made[3], wanted)
