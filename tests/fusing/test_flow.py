"""Scenes that are not rigid: dense flow is found, and used only where it helps."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import enlarge
from enlarge.errors import Cancelled
from enlarge.fusing import flow, understanding
from enlarge.fusing.camera import View
from enlarge.fusing.flow import usual_displacement, with_flow
from enlarge.fusing.motion import moved
from enlarge.fusing.tracking import Region
from tests.fusing.bursts import bending, burst, psnr, sample


def view_with_flow(moves: NDArray[Any] | None) -> View:
    motion = np.array([[1.01, 0.02, 3.5], [-0.015, 0.99, 2.25], [1e-5, -2e-5, 1.0]])
    random = np.random.default_rng(2)
    pixels = random.integers(0, 256, (70, 100, 3)).astype(np.uint8)
    return View(1, pixels, motion, 1.0, 0.0, np.ones((70, 100), np.float32), moves)


def test_pixels_lie_where_flow_and_motion_move_the_window() -> None:
    moves = bending(60, 88, 0.5, np.random.default_rng(4)).astype(np.float16)
    view = view_with_flow(moves)
    across, down = view.places()
    inner = (slice(12, -12), slice(12, -12))
    points = np.stack([across[inner].ravel(), down[inner].ravel()], axis=1).astype(np.float64)
    column, row = points.astype(np.float32).T
    here = (column > 1) & (row > 1) & (column < 86) & (row < 58)
    there = cv2.remap(moves.astype(np.float32), column[None], row[None], cv2.INTER_LINEAR)[0]
    ends = moved(view.motion, points + there)
    y, x = np.mgrid[:70, :100]
    wanted = np.stack([x[inner].ravel(), y[inner].ravel()], axis=1)
    assert np.abs(ends - wanted)[here].max() < 0.02
    # And the window shows the pixels' values from there.
    found = view.on_window(x.astype(np.float32), 88, 60)[30, 40]
    wanted_x = moved(view.motion, np.array([[40.0, 30.0]]) + moves[30, 40])[0, 0]
    assert found == pytest.approx(wanted_x, abs=0.05)


def test_a_part_of_a_window_has_its_part_of_the_flow() -> None:
    moves = bending(60, 88, 0.5, np.random.default_rng(4)).astype(np.float16)
    view, part = view_with_flow(moves), Region(20, 12, 40, 30)
    cut = view.part(part)
    assert cut.flow is not None
    assert (cut.flow == moves[12:42, 20:60]).all()
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
    monkeypatch.setattr(understanding, "_EXPLAINS", 0.0)
    rigid = enlarge.fuse(bent, then="none")
    assert rigid.report.flow == 0
    assert psnr(made.picture, scene) > psnr(rigid.picture, scene) + 1


@pytest.mark.parametrize("least", [0.65, np.inf])
def test_a_rigid_scene_has_no_flow(least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the limit on what a flow explains, left-out frames alone refuse it.
    monkeypatch.setattr(understanding, "_EXPLAINS", least)
    report = enlarge.fuse(burst(8).frames, then="none").report
    assert report.flow == 0
    assert "not rigid" not in report.verdict


def test_flow_is_found_with_16_bits_and_in_fields(bent: list[NDArray[Any]]) -> None:
    deep = [frame.astype(np.uint16) * 257 for frame in bent]
    made = enlarge.fuse(deep, then="none")
    assert made.report.flow > 0.5
    assert made.picture.dtype == np.uint16
    assert enlarge.fuse(bent, then="none", fields=True).report.flow > 0.5


def test_flow_leaves_the_reference_where_it_is() -> None:
    views = [replace(view_with_flow(None), frame=number) for number in (0, 1, 1, 2)]
    flowing = with_flow(views, (88, 60), 1)
    # Of two fields of the reference, the second was seen at another moment.
    assert [view.flow is None for view in flowing] == [False, True, False, False]
    assert usual_displacement(views) == 0
    assert usual_displacement(flowing) < 0.05  # all show the same


def test_what_a_view_does_not_show_does_not_bend_what_it_shows() -> None:
    pixels = sample(0, 0, 120, 90)
    whole = View(0, pixels, np.eye(3), 1.0, 0.0, np.ones((90, 120), np.float32))
    part = View(1, pixels[:, :60], np.eye(3), 1.0, 0.0, np.ones((90, 60), np.float32))
    found = with_flow([whole, part], (120, 90), 0)[1].flow
    assert found is not None
    assert float(np.abs(found[:, :60].astype(np.float32)).max()) < 0.1


@pytest.mark.parametrize("bend", [0.0, 1.0])
def test_threads_change_nothing(bend: float) -> None:
    frames = burst(8, sigma=4, bend=bend).frames
    one, several = (enlarge.fuse(frames, then="none", threads=count) for count in (1, 4))
    assert (one.report.flow > 0.5) == bool(bend)
    assert np.array_equal(one.picture, several.picture)
    assert one.report.noise == several.report.noise


def test_cancelling_ends_the_search_for_flow(
    bent: list[NDArray[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, steps, improved = threading.Event(), [], flow._improved

    def watched(*arguments: Any) -> Any:
        steps.append(arguments)
        stop.set()
        return improved(*arguments)

    monkeypatch.setattr(flow, "_improved", watched)
    with pytest.raises(Cancelled):
        enlarge.fuse(bent, then="none", cancel=stop, threads=1)
    assert len(steps) == 1
