"""What a fusion gains: decided by frames that were left out, and said in plain words."""

from __future__ import annotations

from html import escape
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import enlarge
from enlarge.fusing.blur import colour_blur
from enlarge.fusing.page import fusion_page
from tests.fusing.bursts import burst


def coded(frame: NDArray[Any], subsampling: str) -> NDArray[np.uint8]:
    """The frame as it comes out of a JPEG."""
    file = BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=85, subsampling=subsampling)
    return np.asarray(Image.open(file).convert("RGB"))


def levels(frame: NDArray[Any]) -> NDArray[np.float32]:
    import cv2

    return np.asarray(cv2.cvtColor(frame.astype(np.float32), cv2.COLOR_RGB2YCrCb))


@pytest.mark.parametrize("sigma", [4.0, 8.0])
def test_colour_of_half_the_resolution_is_noticed(sigma: float) -> None:
    frames = burst(3, sigma=sigma).frames
    whole = [levels(frame) for frame in frames]
    halved = [levels(coded(frame, "4:2:0")) for frame in frames]
    assert colour_blur(whole, 0.7) == pytest.approx(0.7)
    assert colour_blur(halved, 0.7) == pytest.approx((0.7**2 + 1) ** 0.5)


def test_left_out_frames_are_predicted_better_by_many() -> None:
    made = enlarge.fuse(burst(8).frames, then="none")
    held = made.report.held_out
    assert made.report.gains
    assert 0 not in held.frames  # the reference
    assert len(held.frames) == 2
    assert held.fused < 0.85 * held.single
    assert "predicted better by the others than by one" in made.report.verdict
    assert escape(made.report.verdict) in fusion_page(made)
    assert made.report.document()["verdict"] == made.report.verdict


def test_one_picture_again_and_again_gives_what_it_gives_alone() -> None:
    frame = burst(1).frames[0]
    made = enlarge.fuse([frame] * 5)
    assert not made.report.gains
    assert (made.picture == enlarge.upscale(frame, model="photo", scale=4)).all()
    assert [entry.number for entry in made.report.used] == [0]
    assert "Nothing was gained" in made.report.verdict
    assert "They do not move against each other" in made.report.verdict
    assert "fused from 1 of 5 frames" in made.report.provenance
    assert "adds nothing" in made.report.rejected[0].reason
    plain = enlarge.fuse([frame] * 5, then="none")
    assert not plain.report.gains
    assert "one frame, deblurred" in fusion_page(plain)


def test_of_two_frames_none_can_be_left_out() -> None:
    report = enlarge.fuse(burst(2).frames, then="none").report
    assert report.gains
    assert not report.held_out.is_known
    assert "was not checked: it takes three" in report.verdict
