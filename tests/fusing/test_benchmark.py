"""`benchmarks.fuse`: its bursts move as they say, and its reader is scored as it should be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from benchmarks.fuse.camera import MOTIONS, Camera, burst
from benchmarks.fuse.judging import bob
from benchmarks.fuse.page import into_page
from benchmarks.fuse.reader import Score, score
from benchmarks.fuse.scenes import whole

from tests.fusing.bursts import sample


@pytest.mark.parametrize("rolling", [0.0, 3.0])
@pytest.mark.parametrize("motion", MOTIONS)
def test_frames_show_the_scene_where_they_say(motion: str, rolling: float) -> None:
    scene = whole("sample", sample().astype(np.float32))
    camera = Camera(motion, rolling=rolling, noise=0.0, jpeg=None, lens=(0.8, 0.8))
    given = burst(scene, camera, 5, np.random.default_rng(1))
    x, y, width, height = scene.region
    columns, rows = np.meshgrid(np.arange(x, x + width), np.arange(y, y + height))
    points = np.column_stack([columns.ravel(), rows.ravel()]).astype(np.float64)
    wanted = given.frames[given.reference][y : y + height, x : x + width].astype(np.float64)

    def difference(number: int, shift: float) -> float:
        places = (given.truth(number, points) + np.array([shift, 0.0])).astype(np.float32)
        across, down = places.reshape(height, width, 2).transpose(2, 0, 1)
        frame = given.frames[number].astype(np.float32)
        shown = cv2.remap(frame, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return float(np.square(shown[4:-4, 4:-4] - wanted[4:-4, 4:-4]).mean())

    for number in (0, 1, 3, 4):
        shifts = np.linspace(-0.3, 0.3, 7)
        curve = np.polyfit(shifts, [difference(number, shift) for shift in shifts], 2)
        assert abs(-curve[1] / (2 * curve[0])) < 0.03  # the best shift is none


def test_fields_show_the_scene_where_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.fuse.camera.coded", lambda frames, _camera: frames)
    scene = whole("sample", sample().astype(np.float32))
    camera = Camera(noise=0.0, codec="interlaced-mpeg2", lens=(0.8, 0.8))
    given = burst(scene, camera, 3, np.random.default_rng(1))
    assert (len(given.frames), len(given.poses)) == (3, 6)
    x, y, width, height = scene.region
    columns, rows = np.meshgrid(np.arange(x, x + width), np.arange(y, y + height))
    points = np.column_stack([columns.ravel(), rows.ravel()]).astype(np.float64)
    wanted = bob(given.frames[given.reference])[y : y + height, x : x + width].astype(np.float64)
    for moment, other in ((0, 1), (3, 2), (5, 4)):
        frame = given.frames[moment // 2]
        field = bob(frame) if moment % 2 == 0 else np.roll(bob(np.roll(frame, -1, 0)), 1, 0)
        off = []
        for number in (moment, other):
            places = given.truth(number, points).astype(np.float32)
            across, down = places.reshape(height, width, 2).transpose(2, 0, 1)
            shown = cv2.remap(field.astype(np.float32), across, down, cv2.INTER_CUBIC)
            off.append(float(np.square(shown[4:-4, 4:-4] - wanted[4:-4, 4:-4]).mean()))
        assert off[0] < 0.7 * off[1]


def test_a_scene_that_bends_does_not_at_its_reference() -> None:
    scene = whole("sample", sample().astype(np.float32))
    still, bent = (
        burst(scene, Camera(bend=bend, noise=0.0), 4, np.random.default_rng(1)).frames
        for bend in (0.0, 1.0)
    )
    changes = [np.abs(one - two.astype(float)).mean() for one, two in zip(still, bent, strict=True)]
    assert changes[2] == 0
    assert min(changes[:2] + changes[3:]) > 1


def test_characters_are_scored_in_the_best_alignment() -> None:
    read = [("X", 0.9), ("A", 0.9), ("8", 0.9), ("1", 0.3), ("2", 0.8)]
    # X is too many, 8 stands for B, 1 is not sure.
    assert score(read, "AB12") == Score(right=2, wrong=2, unread=0)
    assert score([], "AB12") == Score(0, 0, 4)
    assert score([("A", 0.9), ("1", 0.4)], "AB1") == Score(1, 0, 2)


def test_a_table_replaces_what_stood_between_its_marks() -> None:
    row = {
        "scene": "one", "single": 20.0, "bicubic": 19.25, "none": 20.5, "then": 21.0, "used": 3,
        "given": 4, "foreign_used": 0, "refused": False,
    }  # fmt: skip
    cells = {"cells": [{"name": "4 frames", "scenes": [row], "motion": [0.1, 0.3]}]}
    page = "before\n<!-- frames: command -->\nold\n<!-- /frames -->\nafter\n"
    found = into_page(page, "frames", cells)
    assert "old" not in found
    assert (
        "| 4 frames | 20.00 | +0.50 | **+1.00** | +1.00 | – | +0.50 / +1.00 | +1.25, +1.25 |"
        " 0.100, 0.30 px |" in found
    )
    assert found.endswith("<!-- /frames -->\nafter\n")
    with pytest.raises(ValueError, match="noise"):
        into_page(page, "noise", cells)
