"""Parts of pictures by subject, to look at: `sheets()` for `benchmarks.looks`.

Real pictures without originals come from `real/lr_only`. The others are pictures of scikit-image,
reduced to a quarter and degraded by the chain `real`: Eileen Collins (NASA, public domain), a cup
of coffee (Pikolo Espresso Bar, CC0), grass, gravel and bricks (ambientCG, CC0), and the cat Chelsea
(Stéfan van der Walt, CC0). The screenshot is drawn here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.photo import SCALE
from enlarge.data.degradations import CHAINS
from enlarge.data.photos import read_rgb
from enlarge.training.config import data_root

Pixels = NDArray[np.uint8]
PART = 56
"""Side of the part that is shown, in LR pixels."""


@dataclass(frozen=True)
class Part:
    """A picture of `real/lr_only`, or a file of scikit-image, and the corner of the part in its
    LR pixels.
    """

    file: str
    x: int
    y: int


SUBJECTS = {
    "people": (
        ("portrait", Part("astronaut.png", 30, 4)),
        ("portrait, 1863", Part("Lincoln.png", 50, 28)),
        ("old print", Part("oldphoto6.png", 135, 92)),
        ("old print", Part("oldphoto2.png", 50, 50)),
    ),
    "nature": (
        ("grass", Part("grass.png", 40, 50)),
        ("stone", Part("gravel.png", 56, 40)),
        ("fur", Part("chelsea.png", 36, 8)),
        ("fur, compressed", Part("tiger.png", 190, 100)),
    ),
    "things": (
        ("wall", Part("brick.png", 30, 44)),
        ("cup and wood", Part("coffee.png", 40, 30)),
        ("night", Part("building.png", 20, 30)),
        ("lettering", Part("dped_crop00061.png", 20, 80)),
        ("screenshot", Part("screenshot", 0, 0)),
    ),
}
"""By sheet, its rows: what they show, and where it is."""


def sheets() -> Iterator[tuple[str, list[str], list[Pixels]]]:
    """Of every sheet: its name, the subjects, and the LR parts."""
    for number, (name, rows) in enumerate(SUBJECTS.items()):
        random = np.random.default_rng(number)
        lows = [low_part(part, random) for _, part in rows]
        yield name, [subject for subject, _ in rows], lows


def low_part(part: Part, random: np.random.Generator) -> Pixels:
    """The part, (PART, PART, 3); pictures that have an original are degraded."""
    real = data_root() / "real/lr_only" / part.file
    if part.file == "screenshot":
        low = screenshot()
    elif real.exists():
        low = read_rgb(real)
    else:
        high = read_rgb(Path(skimage.__file__).with_name("data") / part.file)
        height, width = (side // SCALE * SCALE for side in high.shape[:2])
        low, _ = CHAINS["real"](high[:height, :width], SCALE, random)
    return low[part.y : part.y + PART, part.x : part.x + PART]


def screenshot() -> Pixels:
    """A window with small text, lines and a button, as a screen shows it."""
    image = Image.new("RGB", (PART, PART), (246, 246, 248))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, PART, 11), (52, 84, 140))
    font = ImageFont.load_default(9)
    draw.text((2, 0), "Settings", "white", font)
    draw.text((3, 15), "Width 512", (30, 30, 30), font)
    draw.text((3, 26), "Scale x4", (30, 30, 30), font)
    draw.line((0, 39, PART, 39), (190, 190, 196))
    draw.rounded_rectangle((26, 42, 53, 53), 2, (36, 132, 72))
    draw.text((33, 42), "OK", "white", font)
    return np.asarray(image)
