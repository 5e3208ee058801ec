"""Sheets to look at: pictures without HR, and plates and faces as a surveillance camera sees them.

    python -m experiments.photo.sheets OUT MODEL… [--plates] [--faces FOLDER]

Writes OUT/*.jpg: one row for each picture, columns bicubic and the models, cut to 96 LR pixels.
`--plates` renders number plates and puts them through `cctv`. `--faces FOLDER` does so with two
portraits that are works of the United States' government, and so in the public domain: Eileen
Collins (NASA), `astronaut.png` of scikit-image, and Grace Hopper (US Navy), `grace_hopper.jpg` of
matplotlib's wheel. Each stands there at two sizes, and the original in a last column.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from benchmarks.sets import data_root
from PIL import Image, ImageDraw, ImageFont

from enlarge.data.degradations import cctv
from enlarge.data.photos import find_pictures, read_rgb
from enlarge.media.resample import imresize
from experiments.photo.__main__ import SCALE, Enlarge, Pixels, method

SIDE = 96
FACE = 40
PORTRAITS = (
    ("astronaut.png", 1.0, 146, 30),
    ("astronaut.png", 2.0, 33, 0),
    ("grace_hopper.jpg", 2.0, 50, 10),
    ("grace_hopper.jpg", 3.2, 0, 0),
)
"""File, what it is reduced by, and there the corner of the part, 4 · FACE pixels a side."""
PLATES = ("12가 3456", "B·KR 2471", "7ABC123", "KA 05 NB 1786")
FONTS = ("/usr/share/fonts/truetype/nanum/NanumGothicBold.ttf", "DejaVuSans-Bold.ttf")


def middle(picture: Pixels, side: int) -> Pixels:
    """The picture's middle, at most `side` pixels a side."""
    height, width = picture.shape[:2]
    y, x = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return picture[y : y + side, x : x + side]


def sheet(
    lows: Sequence[Pixels],
    methods: Sequence[Enlarge],
    *,
    side: int = SIDE,
    shrink: int = 2,
    highs: Sequence[Pixels] = (),
) -> Image.Image:
    """A row for each picture, a column of at most `side` LR pixels for each method, and a last one
    for originals where there are; reduced by `shrink`.
    """
    rows = []
    tall = min(side, max(low.shape[0] for low in lows)) * SCALE
    for number, low in enumerate(lows):
        cells = []
        for large in (*(run(low) for run in methods), *highs[number : number + 1]):
            cell = np.full((tall, side * SCALE, 3), 255, np.uint8)
            cell[: large.shape[0], : large.shape[1]] = large[:tall, : side * SCALE]
            cells.append(cell)
        rows.append(np.concatenate(cells, axis=1))
    found = Image.fromarray(np.concatenate(rows))
    size = (found.width // shrink, found.height // shrink)
    return found.resize(size, Image.Resampling.LANCZOS)


def portraits(folder: Path) -> list[Pixels]:
    """The parts of `PORTRAITS` as HR."""
    parts = []
    for name, less, x, y in PORTRAITS:
        whole = read_rgb(folder / name)
        small = imresize(whole, int(whole.shape[0] / less), int(whole.shape[1] / less))
        parts.append(small[y : y + SCALE * FACE, x : x + SCALE * FACE])
    return parts


def plate(text: str) -> Pixels:
    """A number plate, 384 × 160, as HR."""
    image = Image.new("RGB", (384, 160), (70, 74, 80))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((40, 40, 344, 120), 8, (236, 236, 228), (20, 20, 20), 3)
    font = next(f for path in FONTS if (f := _font(path)) is not None)
    draw.text((192, 80), text, (20, 22, 28), font, anchor="mm")
    return np.asarray(image)


def _font(path: str) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(path, 48)
    except OSError:
        return None


def main() -> None:
    """Write the sheets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--plates", action="store_true")
    parser.add_argument("--faces", type=Path)
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    methods = [method(model) for model in ("bicubic", *told.models)]

    def write(name: str, lows: Sequence[Pixels]) -> None:
        sheet(lows, methods).save(told.out / f"{name}.jpg", quality=88)

    if told.plates:
        random = np.random.default_rng(4)
        write("plates", [cctv(plate(text), SCALE, random)[0] for text in PLATES])
    if told.faces:
        random = np.random.default_rng(5)
        highs = portraits(told.faces)
        lows = [cctv(high, SCALE, random)[0] for high in highs]
        found = sheet(lows, methods, side=FACE, shrink=1, highs=highs)
        found.save(told.out / "faces.jpg", quality=88)
    if told.plates or told.faces:
        return
    pictures = find_pictures(data_root() / "real/lr_only")
    for number in range(0, len(pictures), 5):
        lows = [middle(read_rgb(path), SIDE) for path in pictures[number : number + 5]]
        write(f"lr_only_{number // 5}", lows)


if __name__ == "__main__":
    main()
