"""HEIC, JPEG XL and JPEG 2000 against the plugins' own decoding."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.media.reading import open_picture


@pytest.mark.parametrize(
    ("suffix", "plugin"), [("heic", "pillow_heif"), ("jxl", "pillow_jxl"), ("jp2", "PIL")]
)
def test_plugin_formats(tmp_path: Path, suffix: str, plugin: str) -> None:
    module = pytest.importorskip(plugin, reason='pip install "enlarge[formats]"')
    if suffix == "heic":
        module.register_heif_opener()
    importlib.import_module("PIL.Jpeg2KImagePlugin")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    path = tmp_path / f"사진.{suffix}"
    Image.fromarray(pixels).save(path)
    with Image.open(path) as image:
        wanted = np.asarray(image.convert("RGB"))
    with open_picture(path) as picture:
        assert picture.facts.format == suffix
        assert np.array_equal(picture.rows().read(40), wanted)
