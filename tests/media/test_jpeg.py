"""The quality of a JPEG, against the encoder that wrote it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.media.formats.jpeg import quality_of


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("quality", [25, 50, 60, 75, 85, 90, 95])
def test_it_is_the_encoders(tmp_path: Path, quality: int, progressive: bool) -> None:
    path = tmp_path / "a.jpg"
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    picture.save(path, quality=quality, progressive=progressive, exif=b"Exif\0\0" + bytes(40))
    with path.open("rb") as file:
        found = quality_of(file)
    assert found is not None
    assert abs(found - quality) <= 2


def test_what_is_no_jpeg_has_none() -> None:
    for content in (
        b"",
        b"\x89PNG",
        b"\xff\xd8",
        b"\xff\xd8\xff\xdb\x00\x43\x00\x01",
        b"\xff\xd8\xff\xdb",
    ):
        assert quality_of(io.BytesIO(content)) is None
