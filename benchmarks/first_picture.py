"""The README's first picture: a part of the sample, bicubic on the left, `fast` on the right.

python -m benchmarks.first_picture        writes docs/before_after.jpg
"""

from __future__ import annotations

import numpy as np
from PIL import Image

import enlarge
from benchmarks.record import DOCS
from enlarge.media.resample import imresize

SAMPLE = DOCS.parent / "samples" / "photo.jpg"
X, Y, WIDTH, HEIGHT = 238, 358, 110, 80
GAP = 6


def main() -> None:
    """Enlarge the part both ways."""
    with Image.open(SAMPLE) as image:
        low = np.asarray(image.convert("RGB"))[Y : Y + HEIGHT, X : X + WIDTH]
    gap = np.full((4 * HEIGHT, GAP, 3), 255, np.uint8)
    pictures = [imresize(low, 4 * HEIGHT, 4 * WIDTH), gap, enlarge.upscale(low)]
    Image.fromarray(np.concatenate(pictures, axis=1)).save(
        DOCS / "before_after.jpg", quality=92, subsampling=0
    )


if __name__ == "__main__":
    main()
