"""Scenes that are not rigid: dense flow is found, and used where it helps alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import enlarge
from enlarge.fusing import understanding
from enlarge.fusing.camera import View
from enlarge.fusing.flow import strength, with_flow
from enlarge.fusing.motion import moved
from enlarge.fusing.tracking import Region
from tests.fusing.bursts import bending, burst, psnr


def view_with_flow(flow: NDArray[Any] | None) -> View:
    motion = np.array([[1.01, 0.02, 3.5], [-0.015, 0.99, 2.25], [1e-5, -2e-5, 1.0]])
    random = np.random.default_rng(2)
    pixels = random.integers(0, 256, (70, 100, 3)).astype(np.uint8)
    return View(1, pixels, motion, 1.0, 0.0, np.ones((70, 100), np.float32), flow)


def test_pixels_lie_where_flow_and_motion_move_the_window() -> None:
    flow = bending(60, 88, 0.5, np.random.default_rng(4)).astype(np.float16)
    view = view_with_flow(flow)
    across, down = view.places()
    inner = (slice(12, -12), slice(12, -12))
    points = np.stack([across[inner].ravel(), down[inner].ravel()], axis=1).astype(np.float64)
    column, row = points.round().astype(int).T
    here = (column > 1) & (row > 1) & (column < 86) & (row < 58)
    # Flow at whole pixels next to the points: it changes by less than 0.1 in a pixel.
    ends = moved(view.motion, points + flow[row.clip(0, 59), column.clip(0, 87)])
    y, x = np.mgrid[:70, :100]
    wanted = np.stack([x[inner].ravel(), y[inner].ravel()], axis=1)
    assert np.abs(ends - wanted)[here].max() < 0.4
    assert np.abs(ends - wanted)[here].mean() < 0.05
    # And the window shows the pixels' values from there.
    shown = view.on_window(x.astype(np.float32) + 0 * y, 88, 60)
    found = shown[30, 40]
    wanted_x = moved(view.motion, np.array([[40.0, 30.0]]) + flow[30, 40])[0, 0]
    assert found == pytest.approx(wanted_x, abs=0.05)


def test_a_part_of_a_window_has_its_part_of_the_flow() -> None:
    flow = bending(60, 88, 0.5, np.random.default_rng(4)).astype(np.float16)
    view, part = view_with_flow(flow), Region(20, 12, 40, 30)
    cut = view.part(part)
    assert cut.flow is not None
    assert (cut.flow == flow[12:42, 20:60]).all()
    luma = view.levels()[..., 0].copy()
    whole = view.on_window(luma, 88, 60)[12:42, 20:60]
    alone = cut.on_window(cut.levels()[..., 0].copy(), 40, 30)
    np.testing.assert_allclose(alone, whole, atol=0.1)


@pytest.fixture
def bent() -> list[NDArray[Any]]:
    return burst(12, sigma=4, bend=1.0).frames


def test_frames_of_a_scene_that_bends_are_fused_by_flow(
    bent: list[NDArray[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = burst(1).scene
    made = enlarge.fuse(bent, then="none")
    assert made.report.flow > 0.5
    assert made.report.document()["flow"] == pytest.approx(made.report.flow, abs=0.001)
    assert "not rigid" in made.report.verdict
    assert "dense flow" in made.report.verdict
    monkeypatch.setattr(understanding, "_BENDING", np.inf)
    rigid = enlarge.fuse(bent, then="none")
    assert rigid.report.flow == 0
    assert psnr(made.picture, scene) > psnr(rigid.picture, scene) + 1


def test_a_rigid_scene_has_no_flow() -> None:
    report = enlarge.fuse(burst(8).frames, then="none").report
    assert report.flow == 0
    assert "not rigid" not in report.verdict


def test_flow_leaves_the_reference_where_it_is() -> None:
    views = [replace(view_with_flow(None), frame=number) for number in range(3)]
    flowing = with_flow(views, (88, 60), 1)
    assert flowing[1].flow is None
    assert all(flowing[number].flow is not None for number in (0, 2))
    assert strength(views) == 0
    assert strength(flowing) < 0.05  # all show the same
