"""What networks are calibrated on: crops of the pictures as they are reduced, some held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pyvips

from enlarge.data import calibration
from enlarge.data.calibration import calibration_crops, calibration_photos
from enlarge.data.photos import bicubic_pair
from enlarge.errors import DataError


def save(path: Path, height: int, width: int, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    pyvips.Image.new_from_array(pixels).pngsave(str(path))
    return path


def is_part(crop: np.ndarray, low: np.ndarray) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(low, crop.shape)[:, :, 0]
    return bool((windows == crop).all((2, 3, 4)).any())


@pytest.mark.parametrize("scale", [2, 4])
def test_crops_are_parts_of_the_reduced_pictures(
    tmp_path: Path, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "SIDE", 32)
    photos = [save(tmp_path / f"{n}.png", 40 * scale + 3, 48 * scale + 1, n) for n in range(9)]
    lows = {photo: bicubic_pair(photo, scale).low for photo in photos}
    crops = calibration_crops(calibration_photos(tmp_path), scale, multiple=8)
    assert (len(crops.calibration), len(crops.held_out)) == (64, 12)
    found = []
    for part in crops:
        assert {crop.shape for crop in part} == {(32, 32, 3)}
        found.append({p for crop in part for p, low in lows.items() if is_part(crop, low)})
    assert [len(each) for each in found] == [8, 1]
    assert not found[0] & found[1]
    again = calibration_crops(photos, scale, multiple=8)
    assert all(map(np.array_equal, again.calibration, crops.calibration))


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: no such folder"):
        calibration_photos(tmp_path / "gone")
    with pytest.raises(DataError, match="contains no pictures; expected photographs"):
        calibration_photos(tmp_path)
    save(tmp_path / "a.png", 50, 60)
    with pytest.raises(DataError, match="contains one picture; expected at least two"):
        calibration_photos(tmp_path)
    save(tmp_path / "b.png", 50, 60)
    with pytest.raises(DataError, match="too small; reduced by 4, a side must have 24 pixels"):
        calibration_crops(calibration_photos(tmp_path), 4)
    assert calibration_crops(calibration_photos(tmp_path), 2).held_out[0].shape == (25, 30, 3)
