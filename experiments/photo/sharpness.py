"""Is photo-sharp more than grain or an unsharp mask? SSIMULACRA 2 at equal NIQE.

    pip install ssimulacra2
    python -m experiments.photo.sharpness MODEL…

Set14 through the chain `compressed`, seed 0. `photo`'s result gets as much grain, or as strong an
unsharp mask, as brings its NIQE down to the model's (or as near as it gets); SSIMULACRA 2 against
HR (100: equal, higher is better) then says which of the three is nearer to the photograph.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from ssimulacra2 import compute_ssimulacra2_with_alpha

from enlarge.data.degradations import Floats, blur, gaussian_kernel, to_float, to_pixels
from enlarge.metrics.naturalness import niqe
from experiments.photo.__main__ import Pixels, degraded, method

Change = Callable[[Pixels, float], Pixels]


def unsharp(pixels: Pixels, amount: float) -> Pixels:
    """The picture minus its blur (σ 1.5), `amount` times, added to it."""
    image: Floats = to_float(pixels)
    return to_pixels(image + amount * (image - blur(image, gaussian_kernel(9, 1.5))))


def grainy(pixels: Pixels, sigma: float) -> Pixels:
    """Gray Gaussian grain of `sigma` levels."""
    random = np.random.default_rng(0)
    noise = random.standard_normal((*pixels.shape[:2], 1)) * sigma / 255.0
    return to_pixels(to_float(pixels) + noise)


def similarity(pixels: Pixels, high: Pixels) -> float:
    """SSIMULACRA 2 of a picture to HR."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("high.png", "other.png")]
        for path, picture in zip(paths, (high, pixels), strict=True):
            file = io.BytesIO()
            Image.fromarray(picture).save(file, "PNG")
            path.write_bytes(file.getvalue())
        return float(compute_ssimulacra2_with_alpha(*map(str, paths)))


def mean(values: list[float]) -> float:
    """The mean, as a float."""
    return float(np.mean(values))


def matched(
    pictures: list[Pixels], change: Change, most: float, wanted: float
) -> tuple[float, Any]:
    """The weakest change whose mean NIQE is `wanted`, by bisection; the lowest found if none is."""
    tried: dict[float, tuple[float, list[NDArray[Any]]]] = {}

    def score(amount: float) -> float:
        changed = [change(picture, amount) for picture in pictures]
        tried[amount] = (mean([niqe(picture) for picture in changed]), changed)
        return tried[amount][0]

    steps = [most * share for share in (0.125, 0.25, 0.5, 1.0)]
    reached = next((amount for amount in steps if score(amount) <= wanted), None)
    if reached is None:
        best = min(tried, key=lambda amount: tried[amount][0])
        return best, tried[best]
    low, high = reached / 2 if reached > steps[0] else 0.0, reached
    for _ in range(4):
        middle = (low + high) / 2
        low, high = (low, middle) if score(middle) <= wanted else (middle, high)
    return high, tried[high]


def main() -> None:
    """Print NIQE and SSIMULACRA 2 of the models, and of photo changed to look as sharp."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    told = parser.parse_args()
    pairs = degraded("compressed", 0)
    highs = [high for _, high in pairs]
    run = method("photo")
    plain = [run(low) for low, _ in pairs]

    def tell(name: str, pictures: list[Pixels], natural: float) -> None:
        close = mean([similarity(p, h) for p, h in zip(pictures, highs, strict=True)])
        print(f"{name.ljust(28)} NIQE {natural:.3f}  SSIMULACRA2 {close:.2f}", flush=True)

    tell("photo", plain, mean([niqe(picture) for picture in plain]))
    for model in told.models:
        run = method(model)
        sharp = [run(low) for low, _ in pairs]
        natural = mean([niqe(picture) for picture in sharp])
        tell(Path(model).stem, sharp, natural)
        changes: tuple[tuple[str, Change, float], ...] = (
            ("unsharp", unsharp, 4.0),
            ("grain", grainy, 16.0),
        )
        for name, change, most in changes:
            amount, (reached, pictures) = matched(plain, change, most, natural)
            tell(f"  photo + {name} {amount:.2f}", pictures, reached)


if __name__ == "__main__":
    main()
