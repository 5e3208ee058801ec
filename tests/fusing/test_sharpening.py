"""Sharpening by the camera: found where edges overshoot, and taken back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import enlarge
from enlarge.fusing import resolution
from enlarge.fusing.page import fusion_page
from enlarge.fusing.sharpening import estimated_sharpening
from tests.fusing.bursts import burst, psnr


def bars() -> NDArray[np.uint8]:
    """Dark bars of several widths on a light ground, in two directions."""
    scene = np.full((256, 384, 3), 215, np.uint8)
    for number, at in enumerate(range(40, 340, 50)):
        scene[40:150, at : at + 8 + 4 * number] = 40
        scene[180 : 196 + 4 * number, at : at + 34] = 60
    return scene


def sharpened(frame: NDArray[Any], amount: float) -> NDArray[np.uint8]:
    """The frame after an unsharp mask."""
    values = frame.astype(np.float32)
    sharp = values + amount * (values - cv2.GaussianBlur(values, (0, 0), 1.0))
    return np.clip(sharp, 0, 255).round().astype(np.uint8)


def sharp_frames(amount: float) -> list[NDArray[Any]]:
    frames = burst(9, scene=bars(), sigma=4).frames
    return [sharpened(frame, amount) for frame in frames] if amount else frames


@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_halos_are_found(amount: float) -> None:
    found = enlarge.fuse(sharp_frames(amount), then="none").report
    assert found.resolution.sharpening == pytest.approx(amount, abs=0.35)
    assert found.document()["sharpening"] == pytest.approx(found.resolution.sharpening, abs=1e-3)


def test_without_halos_nothing_is_found() -> None:
    made = enlarge.fuse(sharp_frames(0), then="none")
    assert made.report.resolution.sharpening == 0
    assert "sharpened" not in fusion_page(made)


def test_halos_are_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = sharp_frames(1.0)
    made = enlarge.fuse(frames, then="none")
    assert "the camera sharpened its frames" in fusion_page(made)
    monkeypatch.setattr(resolution, "estimated_sharpening", lambda *_: 0.0)
    unaware = enlarge.fuse(frames, then="none")
    assert psnr(made.picture, bars()) > psnr(unaware.picture, bars()) + 0.5


@pytest.mark.parametrize("size", [(12, 12), (40, 40), (64, 200)])
def test_small_and_flat_pictures_have_no_edges(size: tuple[int, int]) -> None:
    assert estimated_sharpening(np.full(size, 90, np.float32), 4) == 0
    noise = np.random.default_rng(0).normal(90, 3, size).astype(np.float32)
    assert estimated_sharpening(noise, 4) == 0
