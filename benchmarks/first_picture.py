"""The README's first picture: bicubic interpolation on the left, `photo` on the right.

python -m benchmarks.first_picture        writes docs/before_after.jpg

Above, a portrait as messengers send it, a JPEG of quality 35 (Eileen Collins by NASA, in the public
domain, `astronaut.png` of scikit-image at half its size). Below, a part of a picture postcard of
about 1910, a scan from `real/lr_only`.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image

from benchmarks.photo import bicubic, method
from benchmarks.record import DOCS
from enlarge.data.photos import read_rgb
from enlarge.training.config import data_root

Pixels = NDArray[np.uint8]
WIDTH, HEIGHT = 112, 84
GAP = 6


def portrait() -> Pixels:
    """The head, (HEIGHT, WIDTH, 3), after JPEG."""
    with Image.open(Path(skimage.__file__).with_name("data") / "astronaut.png") as image:
        small = image.convert("RGB").resize((256, 256), Image.Resampling.LANCZOS)
    coded = BytesIO()
    small.save(coded, "JPEG", quality=35)
    return np.asarray(Image.open(coded).convert("RGB"))[6 : 6 + HEIGHT, 60 : 60 + WIDTH]


def postcard() -> Pixels:
    """The face, (HEIGHT, WIDTH, 3)."""
    scan = read_rgb(data_root() / "real/lr_only/oldphoto6.png")
    return scan[84 : 84 + HEIGHT, 116 : 116 + WIDTH]


def main() -> None:
    """Enlarge both parts both ways."""
    photo = method("photo")
    rows = []
    for low in (portrait(), postcard()):
        large = bicubic(low)
        gap = np.full((len(large), GAP, 3), 255, np.uint8)
        rows += [np.concatenate([large, gap, photo(np.ascontiguousarray(low))], axis=1)]
    space = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    picture = Image.fromarray(np.concatenate([rows[0], space, rows[1]]))
    picture.save(DOCS / "before_after.jpg", quality=90)


if __name__ == "__main__":
    main()
