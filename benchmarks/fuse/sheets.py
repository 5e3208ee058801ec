"""Sheets of what fusing gives, of material that is free: docs/images/fuse-*.jpg.

The portraits are works of the United States' government and in the public domain: Eileen Collins
(NASA), `astronaut.png` of scikit-image; the cat is Chelsea by Stéfan van der Walt (CC0), there too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image

from benchmarks.fuse.camera import SCALE, Burst, Camera, Pixels, Scene, burst
from benchmarks.fuse.judging import cut, enlarger, fused
from benchmarks.fuse.reading import CAMERA, dimmed
from benchmarks.fuse.scenes import STYLES, plate, whole
from enlarge.data.photos import read_rgb
from enlarge.media.resample import imresize

PARTS = (
    ("astronaut.png", 1.0, 100, 0, 256, 256),
    ("astronaut.png", 2.0, 10, 0, 256, 192),
    ("chelsea.png", 1.0, 60, 20, 320, 256),
)
"""File, the factor that it is reduced by, then left, top, width and height in what results."""
HEIGHTS = (7, 8, 9, 10, 8, 11)


def write_sheets(folder: Path) -> None:
    """Columns: one frame (bicubic), one frame (`photo`), 16 frames without and with a network, the
    original.
    """
    _rows(pictures(), Camera()).save(folder / "fuse-pictures.jpg", quality=88)
    random = np.random.default_rng(11)
    plates = [
        dimmed(plate(country, height, random), random).scene
        for country, height in zip(STYLES, HEIGHTS, strict=True)
    ]
    _rows(plates, CAMERA).save(folder / "fuse-plates.jpg", quality=88)


def pictures() -> list[Scene]:
    """The free pictures as scenes."""
    found = []
    for name, factor, x, y, width, height in PARTS:
        whole_picture = read_rgb(Path(skimage.__file__).parent / "data" / name)
        high, wide = (int(side / factor) for side in whole_picture.shape[:2])
        small = imresize(whole_picture, high, wide) if factor > 1 else whole_picture
        part = small[y : y + height, x : x + width].astype(np.float32)
        found.append(whole(name, np.ascontiguousarray(part)))
    return found


def _rows(scenes: list[Scene], camera: Camera) -> Image.Image:
    rows = []
    for number, scene in enumerate(scenes):
        given = burst(scene, camera, 16, np.random.default_rng([5, number]))
        rows.append(np.concatenate(_row(given, scene), axis=1))
    width = max(row.shape[1] for row in rows)
    padded = [
        np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for row in rows
    ]
    return Image.fromarray(np.concatenate(padded))


def _row(given: Burst, scene: Scene) -> list[NDArray[np.uint8]]:
    frame = given.frames[given.reference]
    cells: list[Pixels] = [
        cut(enlarger(model)(frame), scene.region) for model in ("bicubic", "photo")
    ]
    cells += [fused(given, scene, then="none").picture, fused(given, scene).picture, scene.wanted]
    return [np.pad(cell, ((0, 0), (0, SCALE), (0, 0)), constant_values=255) for cell in cells]
