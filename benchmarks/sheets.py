"""Contact sheets for the documentation: bicubic and models side by side.

    python -m benchmarks.sheets fast photo photo-sharp                  docs/images/photo-real-N.jpg
    python -m benchmarks.sheets fast photo photo-sharp --plates         docs/images/photo-plates.jpg
    python -m benchmarks.sheets fast photo photo-sharp --faces FOLDER   docs/images/photo-faces.jpg
    python -m benchmarks.sheets fast quality --detail                   docs/images/detail.jpg

Every sheet has one row for each picture and one column for bicubic and for each model.

- Without an option: the middles (96 pixels) of the pictures without HR in `real/lr_only`.
- `--plates`: rendered number plates, put through the chain `cctv`.
- `--faces FOLDER`: two portraits at two sizes each through `cctv`; the last column is the original.
  Both are works of the United States' government and in the public domain: Eileen Collins (NASA),
  `astronaut.png` of scikit-image, and Grace Hopper (US Navy), `grace_hopper.jpg` of matplotlib.
- `--detail`: grass, gravel and bricks (ambientCG) and a cat (Chelsea, by Stéfan van der Walt), CC0
  pictures of scikit-image reduced by MATLAB's bicubic; the last column is the original. The
  photographs of the validation part `detail` must not be published, so these stand for them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageDraw, ImageFont

from benchmarks.photo import SCALE, Enlarge, Pixels, method
from benchmarks.record import DOCS
from enlarge.data.degradations import cctv
from enlarge.data.photos import find_pictures, read_rgb
from enlarge.media.resample import imresize
from enlarge.training.config import data_root

SIDE, FACE, PART = 96, 40, 48
"""Sides of the parts shown of real pictures, faces and detail, in LR pixels."""
PORTRAITS = (
    ("astronaut.png", 1.0, 146, 30),
    ("astronaut.png", 2.0, 33, 0),
    ("grace_hopper.jpg", 2.0, 50, 10),
    ("grace_hopper.jpg", 3.2, 0, 0),
)
"""File, the factor that it is reduced by, and the corner of the part in the reduced picture."""
PLATES = ("12가 3456", "B·KR 2471", "7ABC123", "KA 05 NB 1786")
FONTS = ("/usr/share/fonts/truetype/nanum/NanumGothicBold.ttf", "DejaVuSans-Bold.ttf")
DETAIL = (("grass", 40, 60), ("gravel", 70, 40), ("brick", 30, 50), ("chelsea", 40, 14))
"""Pictures of scikit-image, and the corner of the part in LR pixels."""


@dataclass(frozen=True)
class Rows:
    """The pictures of one sheet: LR, their HR where there is one, and how they are laid out."""

    name: str
    lows: Sequence[Pixels]
    highs: Sequence[Pixels] = ()
    side: int = SIDE
    shrink: int = 2


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
    """One row for each picture and one column of at most `side` LR pixels for each method.

    Originals (`highs`), if any, stand in a last column. The sheet is reduced by `shrink`.
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


def real() -> Iterator[Rows]:
    """Pictures without HR, five to a sheet."""
    pictures = find_pictures(data_root() / "real/lr_only")
    for number in range(0, len(pictures), 5):
        lows = [middle(read_rgb(path), SIDE) for path in pictures[number : number + 5]]
        yield Rows(f"photo-real-{number // 5 + 1}", lows)


def plates() -> Iterator[Rows]:
    """Number plates as a surveillance camera sees them."""
    random = np.random.default_rng(4)
    yield Rows("photo-plates", [cctv(plate(text), SCALE, random)[0] for text in PLATES])


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


def faces(folder: Path) -> Iterator[Rows]:
    """The portraits of `PORTRAITS` as a surveillance camera sees them."""
    random = np.random.default_rng(5)
    highs = []
    for name, factor, x, y in PORTRAITS:
        whole = read_rgb(folder / name)
        small = imresize(whole, int(whole.shape[0] / factor), int(whole.shape[1] / factor))
        highs.append(small[y : y + SCALE * FACE, x : x + SCALE * FACE])
    lows = [cctv(high, SCALE, random)[0] for high in highs]
    yield Rows("photo-faces", lows, highs, side=FACE, shrink=1)


def detail() -> Iterator[Rows]:
    """Parts of the pictures of `DETAIL`."""
    folder = Path(skimage.__file__).parent / "data"
    lows, highs = [], []
    for name, x, y in DETAIL:
        whole = read_rgb(folder / f"{name}.png")
        height, width = (side // SCALE for side in whole.shape[:2])
        low = imresize(whole[: height * SCALE, : width * SCALE], height, width)
        lows.append(low[y : y + PART, x : x + PART])
        highs.append(whole[SCALE * y : SCALE * (y + PART), SCALE * x : SCALE * (x + PART)])
    yield Rows("detail", lows, highs, side=PART, shrink=1)


def main() -> None:
    """Write the sheets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--plates", action="store_true")
    kind.add_argument("--faces", type=Path, metavar="FOLDER")
    kind.add_argument("--detail", action="store_true")
    parser.add_argument("--out", type=Path, default=DOCS / "images")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    methods = [method(model) for model in ("bicubic", *arguments.models)]
    if arguments.faces:
        sheets = faces(arguments.faces)
    else:
        sheets = plates() if arguments.plates else detail() if arguments.detail else real()
    for rows in sheets:
        found = sheet(rows.lows, methods, side=rows.side, shrink=rows.shrink, highs=rows.highs)
        found.save(arguments.out / f"{rows.name}.jpg", quality=88)


if __name__ == "__main__":
    main()
