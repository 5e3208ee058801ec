"""Fusing frames: what is gained, what is refused, and what the report says."""

from __future__ import annotations

import hashlib
import threading
from functools import cache

import cv2
import numpy as np
import pytest

import enlarge
from enlarge import fusing
from enlarge.errors import BudgetError, Cancelled, InputError, OptionError
from enlarge.fusing.page import fusion_page
from enlarge.fusing.tracking import to_luma
from tests.fusing.bursts import Burst, burst, errors, psnr, sample


@cache
def eight() -> Burst:
    return burst(8)


@cache
def fused() -> fusing.FusedPicture:
    return enlarge.fuse(eight().frames, then="none")


def test_motions_are_found_to_a_tenth_of_a_pixel() -> None:
    frames, motions, _ = burst(8, seed=3)
    found = fusing.register(frames)
    assert [entry.frame for entry in found] == list(range(8))
    assert all(entry.is_used for entry in found)
    height, width = frames[0].shape[:2]
    off = np.concatenate(
        [
            errors(entry.motion, true, width, height)
            for entry, true in zip(found[1:], motions[1:], strict=True)
        ]
    )
    assert np.median(off) < 0.06
    assert np.quantile(off, 0.95) < 0.16


def test_motions_agree_with_opencv() -> None:
    # Enhanced correlation coefficient (Evangelidis and Psarakis 2008): another criterion.
    frames, _, _ = burst(4, sigma=2, seed=3)
    lumas = [to_luma(frame) for frame in frames]
    height, width = frames[0].shape[:2]
    ends = cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 200, 1e-8
    for luma, entry in zip(lumas[1:], fusing.register(frames)[1:], strict=True):
        start = entry.motion[:2].astype(np.float32)
        _, affine = cv2.findTransformECC(
            lumas[0], luma, start, cv2.MOTION_AFFINE, ends, np.ones((height, width), np.uint8), 1
        )
        other = np.vstack([affine, [0, 0, 1]])
        assert np.median(errors(entry.motion, other, width, height)) < 0.05


def test_a_region_is_registered_alone() -> None:
    # The background stands still; what is marked moves.
    scene, moving = sample(0, 0, 160, 120), sample(200, 300, 60, 40)
    frames = []
    for step in range(4):
        frame = scene.copy()
        frame[30:70, 20 + 3 * step : 80 + 3 * step] = moving
        frames.append(frame)
    found = fusing.register(frames, (24, 34, 50, 32))
    for step, entry in enumerate(found):
        assert entry.motion[0, 2] == pytest.approx(3 * step, abs=0.1)
        assert entry.motion[1, 2] == pytest.approx(0, abs=0.1)


def test_eight_frames_show_more_than_one() -> None:
    frames, _, scene = eight()
    one = enlarge.upscale(frames[0], model="photo")
    assert psnr(fused().picture, scene) > psnr(one, scene) + 0.2
    with_network = enlarge.fuse(frames)
    assert psnr(with_network.picture, scene) > psnr(one, scene) + 0.8
    assert with_network.report.then == "photo"
    assert "knowledge comes from other pictures" in with_network.report.provenance


def test_the_report_says_what_was_done() -> None:
    frames = eight().frames
    made = fused()
    report = made.report
    assert made.picture.shape == (256, 384, 3)
    assert made.picture.dtype == np.uint8
    assert (made.single == frames[0]).all()
    assert len(report.used) == 8
    assert not report.rejected
    assert report.then == "none"
    assert "nothing in this picture was learned" in report.provenance
    assert report.digest == hashlib.sha256(made.picture.tobytes()).hexdigest()
    assert len({frame.digest for frame in report.frames}) == 8
    assert report.samples.shape == (64, 96)
    assert 6 < float(report.samples.mean()) <= 8
    assert 4.5 < report.noise < 6.5  # of the luma of noise of 8 levels in each channel
    document = report.document()
    assert document["used"] == 8
    assert document["frames"][0]["motion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_the_same_frames_give_the_same_picture() -> None:
    again = enlarge.fuse(eight().frames, then="none")
    assert again.report.digest == fused().report.digest


def test_a_frame_of_something_else_is_named() -> None:
    frames = list(eight().frames)
    frames[3] = burst(1, scene=sample(0, 450)).frames[0]
    report = enlarge.fuse(frames, then="none").report
    assert [frame.number for frame in report.rejected] == [3]
    assert "something else" in report.rejected[0].reason


def test_brightness_is_matched() -> None:
    frames, _, scene = burst(6, sigma=2, seed=5)
    dimmed = [
        frame if not number % 2 else (frame * 0.8 + 6).round().astype(np.uint8)
        for number, frame in enumerate(frames)
    ]
    plain = psnr(enlarge.fuse(frames, then="none").picture, scene)
    made = enlarge.fuse(dimmed, then="none")
    assert psnr(made.picture, scene) > plain - 0.3
    assert made.report.frames[1].gain == pytest.approx(1.25, abs=0.03)


def test_sixteen_bits_stay_sixteen() -> None:
    frames = [frame.astype(np.uint16) * 257 for frame in eight().frames[:4]]
    made = enlarge.fuse(frames, then="none")
    assert made.picture.dtype == np.uint16
    eight_bits = enlarge.fuse(eight().frames[:4], then="none").picture
    assert np.abs(made.picture / 257 - eight_bits).mean() < 0.6


def test_of_too_many_frames_the_sharpest_are_used() -> None:
    frames = list(eight().frames)
    soft = frames[5].astype(np.float32)
    soft[1:-1, 1:-1] = (
        sum(soft[1 + y : 63 + y, 1 + x : 95 + x] for y in (-1, 0, 1) for x in (-1, 0, 1)) / 9
    )
    frames[5] = soft.astype(np.uint8)
    report = enlarge.fuse(frames, then="none", limit=7).report
    assert [frame.number for frame in report.rejected] == [5]
    assert report.rejected[0].reason == "not among the 7 sharpest"
    assert len(report.frames) == 8


def test_progress_and_cancelling() -> None:
    said: list[tuple[int, int]] = []
    enlarge.fuse(eight().frames[:3], then="none", progress=lambda *done: said.append(done))
    assert said[-1][0] == said[-1][1]
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        enlarge.fuse(eight().frames[:3], then="none", cancel=stop)


@pytest.mark.parametrize(
    ("frames", "options", "error", "words"),
    [
        ([], {}, InputError, "there are no frames"),
        ("a.jpg", {}, InputError, "expected several frames, got one path, 'a.jpg'"),
        (1, {}, InputError, "frame 0 is the only frame"),
        (2, {"region": (80, 40, 20, 30)}, OptionError, "--region 80,40,20,30 is not inside"),
        (2, {"region": (0, 0, 10, 30)}, OptionError, "too small to register"),
        (2, {"region": "1,2,3"}, OptionError, "--region must be X,Y,W"),
        (2, {"reference": 2}, OptionError, "there is no frame 2"),
        (2, {"scale": 9}, OptionError, "--scale must be between 1 and 8"),
        (2, {"nosuch": 9}, TypeError, "unexpected keyword argument 'nosuch'"),
    ],
)
def test_refusals(
    frames: object, options: dict[str, object], error: type[Exception], words: str
) -> None:
    given = eight().frames[:frames] if isinstance(frames, int) else frames
    with pytest.raises(error, match=words):
        enlarge.fuse(given, **options)  # type: ignore[arg-type]


def test_frames_of_two_sizes_are_refused() -> None:
    frames = eight().frames
    with pytest.raises(InputError, match="frame 0 is 96×64, frame 1 is 90×64"):
        enlarge.fuse([frames[0], frames[1][:, :90]])


def test_floats_are_refused() -> None:
    frames = [frame.astype(np.float32) for frame in eight().frames]
    with pytest.raises(InputError, match="expected uint8 or uint16, got float32"):
        enlarge.fuse(frames)


def test_frames_without_a_common_scene_are_refused() -> None:
    other = burst(1, scene=sample(0, 450)).frames[0]
    with pytest.raises(InputError, match="no frame shows the region of frame 0 again: 1 others"):
        enlarge.fuse([eight().frames[0], other])


def test_fields_are_frames_of_their_own() -> None:
    # Even rows of one moment, odd rows of the next: without `fields` they do not fit together.
    moments, _, scene = burst(12, sigma=3, seed=9)
    woven = []
    for first, second in zip(moments[::2], moments[1::2], strict=True):
        frame = first.copy()
        frame[1::2] = second[1::2]
        woven.append(frame)
    by_field = enlarge.fuse(woven, then="none", fields=True)
    by_frame = enlarge.fuse(woven, then="none")
    assert psnr(by_field.picture, scene) > psnr(by_frame.picture, scene) + 1
    assert len(by_field.report.frames) == 12
    assert by_field.report.frames[3].name == "frame 1, odd rows"
    later = enlarge.fuse(woven[:3], then="none", fields=True, reference=2)
    assert "of frame 2, even rows." in fusion_page(later)


def test_what_covers_the_scene_in_a_frame_counts_less() -> None:
    frames, _, scene = burst(8, sigma=3, seed=5)
    covered = list(frames)
    for number in (2, 5):
        covered[number] = frames[number].copy()
        covered[number][20:40, 30:60] = 20
    clean = psnr(enlarge.fuse(frames, then="none").picture, scene)
    assert psnr(enlarge.fuse(covered, then="none").picture, scene) > clean - 0.7


def test_no_foreign_frame_is_used() -> None:
    # A tenth of the frames shows another scene.
    frames = list(burst(20, seed=2).frames)
    strangers = burst(2, scene=sample(0, 450)).frames
    frames[4], frames[13] = strangers
    report = enlarge.fuse(frames, then="none").report
    assert [frame.number for frame in report.rejected] == [4, 13]
    # Nor do they change how the others are matched in brightness.
    gains = [frame.gain for frame in report.frames if frame.used]
    assert min(gains) > 0.97
    assert max(gains) < 1.03


def test_a_timestamp_does_not_hold_the_motion() -> None:
    frames, motions, _ = burst(8, seed=3, scene=sample(200, 300))
    height, width = frames[0].shape[:2]
    for frame in frames:
        cv2.putText(frame, "12:07:33", (4, 60), cv2.FONT_HERSHEY_PLAIN, 0.9, (255, 255, 255), 1)
    off = [
        errors(entry.motion, true, width, height)
        for entry, true in zip(fusing.register(frames)[1:], motions[1:], strict=True)
    ]
    assert np.median(off) < 0.1
    assert np.quantile(off, 0.95) < 0.3  # 0.6 where it counts


def test_too_little_memory_is_refused_with_what_fits() -> None:
    with pytest.raises(BudgetError, match="choose a smaller --region, or allow more"):
        enlarge.fuse(eight().frames, memory="100MB")
    large = [np.zeros((2000, 3000, 3), np.uint8)] * 40
    with pytest.raises(BudgetError, match=r"fusing 40 frames .* use --frames \d+, or allow more"):
        enlarge.fuse(large, region=(0, 0, 64, 64), then="none", memory="1.5GB")
