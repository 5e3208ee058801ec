"""Pictures rich in detail, to look at: bicubic, models, and the original.

    python -m experiments.detail docs/images/detail.jpg fast quality

The `detail` photographs may not be shown here, so these are CC0 pictures that come with
scikit-image: grass, gravel and bricks (ambientCG), and a cat (Chelsea, by Stéfan van der Walt).
They are reduced by MATLAB's bicubic and enlarged again; the figures under `detail` are in
docs/results.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import skimage

from enlarge.data.photos import read_rgb
from enlarge.media.resample import imresize
from experiments.photo.__main__ import SCALE, method
from experiments.photo.sheets import sheet

PART = 48
SHOWN = (("grass", 40, 60), ("gravel", 70, 40), ("brick", 30, 50), ("chelsea", 40, 14))
"""Pictures, and the corners of the parts that are shown, in LR pixels."""


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="+")
    told = parser.parse_args()
    folder = Path(skimage.__file__).parent / "data"
    lows, highs = [], []
    for name, x, y in SHOWN:
        whole = read_rgb(folder / f"{name}.png")
        large = whole[SCALE * y : SCALE * (y + PART), SCALE * x : SCALE * (x + PART)]
        height, width = (side // SCALE for side in whole.shape[:2])
        low = imresize(whole[: height * SCALE, : width * SCALE], height, width)
        lows.append(low[y : y + PART, x : x + PART])
        highs.append(large)
    methods = [method(model) for model in ("bicubic", *told.models)]
    found = sheet(lows, methods, side=PART, shrink=1, highs=highs)
    found.save(told.out, quality=88)


if __name__ == "__main__":
    main()
