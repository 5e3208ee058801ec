"""Chains of degradations, as seeded callables.

A *chain* takes 8-bit HR and returns 8-bit LR and the HR that belongs to it. The same state of the
random generator gives the same pictures. Sizes are at LR scale, noise in 8-bit levels.

    bicubic      MATLAB's imresize, as in the field's benchmarks
    compressed   bicubic, then JPEG or WebP of quality 30–75, once or twice
    mild         bicubic, then noise σ ≤ 12, a JPEG of quality 60–98, or both
    phone        a telephone's camera: sharpened, JPEG of quality 70–95, often reduced afterwards
    old          fading (of LR and HR alike), blur ≤ 1.5 px, grain σ 4–16, scratches
    cctv         motion ≤ 7 px, low light with noise σ 4–16, then interlace or coarse 8×8 coding
    real         Real-ESRGAN's second-order chain (Wang et al., ICCV Workshops 2021,
                 https://arxiv.org/abs/2107.10833, section 3): twice blur, resize, noise, JPEG, at
                 the end a sinc filter

To add a chain, write a function and add it to `CHAINS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.data.effects import (
    Floats,
    Pixels,
    block_coding,
    blur,
    fade,
    gaussian_noise,
    grain,
    interlace,
    jpeg,
    poisson_noise,
    resize,
    scratches,
    sharpened,
    to_float,
    to_pixels,
    webp,
)
from enlarge.data.kernels import (
    Random,
    gaussian_kernel,
    motion_kernel,
    random_kernel,
    sinc_kernel,
)
from enlarge.errors import OptionError
from enlarge.media.resample import imresize

Chain = Callable[[Pixels, int, Random], tuple[Pixels, Pixels]]
"""(HR, factor, generator) → (LR, HR), sides of HR multiples of the factor."""


def _small(high: NDArray[Any], scale: int) -> NDArray[Any]:
    return imresize(high, high.shape[0] // scale, high.shape[1] // scale)


def bicubic(high: Pixels, scale: int, random: Random) -> tuple[Pixels, Pixels]:
    """MATLAB's bicubic; nothing is random."""
    return _small(high, scale), high


def compressed(high: Pixels, scale: int, random: Random) -> tuple[Pixels, Pixels]:
    """Bicubic, then one or two lossy files; between two, the blocks are shifted by a crop's worth
    of pixels, as when a picture was cut and saved again.
    """
    low = to_float(_small(high, scale))
    for again in range(1 + int(random.random() < 0.5)):
        shift = tuple(random.integers(0, 8, 2)) if again else (0, 0)
        code = jpeg if random.random() < 0.7 else webp
        quality = int(random.integers(30, 76))
        edges = ((int(shift[0]), 0), (int(shift[1]), 0), (0, 0))
        low = code(np.pad(low, edges, mode="edge"), quality)[shift[0] :, shift[1] :]
    return to_pixels(low), high


def mild(high: Pixels, scale: int, random: Random) -> tuple[Pixels, Pixels]:
    """What most pictures have: bicubic, then slight noise, a high-quality JPEG, or both, a third of
    the time each.
    """
    low = to_float(_small(high, scale))
    noisy, coded = ((False, True), (True, False), (True, True))[random.integers(3)]
    if noisy:
        low = gaussian_noise(low, float(random.uniform(1.0, 12.0)), random)
    if coded:
        low = jpeg(low, int(random.integers(60, 99)))
    return to_pixels(low), high


def phone(high: Pixels, scale: int, random: Random) -> tuple[Pixels, Pixels]:
    """A telephone's picture: a little noise, sharpening and JPEG in the camera; half of them were
    taken at up to twice the size and reduced afterwards, and a third saved again.
    """
    size = (high.shape[0] // scale, high.shape[1] // scale)
    larger = float(random.uniform(1.0, 2.0)) if random.random() < 0.5 else 1.0
    taken = (round(size[0] * larger), round(size[1] * larger))
    image = resize(to_float(high), *taken, "bicubic")
    image = gaussian_noise(image, float(random.uniform(0.0, 3.0)), random)
    image = sharpened(image, float(random.uniform(0.6, 1.5)), float(random.uniform(0.0, 1.0)))
    image = jpeg(image, int(random.integers(70, 96)))
    if larger > 1.0:
        image = resize(image, *size, _any_kernel(random))
    if random.random() < 1.0 / 3.0:
        image = jpeg(image, int(random.integers(75, 96)))
    return to_pixels(image), high


def old(high: Pixels, scale: int, random: Random) -> tuple[Pixels, Pixels]:
    """An old print, scanned: HR is faded too, for detail is to be restored, not colour."""
    yellow = float(random.uniform(0.0, 0.25))
    tint = (1.0, 1.0 - 0.3 * yellow, 1.0 - yellow)
    contrast, lift = float(random.uniform(0.55, 0.95)), float(random.uniform(0.0, 0.15))
    faded = to_pixels(fade(to_float(high), contrast, lift, tint))
    low = to_float(_small(faded, scale))
    low = blur(low, gaussian_kernel(11, float(random.uniform(0.2, 1.5))))
    low = grain(low, float(random.uniform(4.0, 16.0)), random)
    area = low.shape[0] * low.shape[1]
    low = scratches(low, int(random.poisson(min(8.0, 1.0 + area / 20_000))), random)
    return to_pixels(low), faded


def cctv(high: Pixels, scale: int, random: Random) -> tuple[Pixels, Pixels]:
    """A surveillance camera at dusk."""
    low = to_float(_small(high, scale))
    length = float(random.uniform(1.0, 7.0))
    low = blur(low, motion_kernel(length, float(random.uniform(0, math.pi))))
    interlaced = random.random() < 0.5
    if interlaced:
        low = interlace(low, float(random.uniform(-4.0, 4.0)))
    sigma = float(random.uniform(4.0, 16.0))
    dark = np.sqrt(np.clip(1.25 - low.mean(axis=2, keepdims=True), 0.25, 1.25))
    noise = gaussian_noise(np.zeros_like(low), sigma, random, gray=random.random() < 0.5)
    low = np.clip(low + noise * dark / float(dark.mean()), 0.0, 1.0).astype(np.float32)
    if not interlaced or random.random() < 0.5:
        low = block_coding(low, float(random.uniform(4.0, 16.0)))
    return to_pixels(low), high


def real(high: Pixels, scale: int, random: Random) -> tuple[Pixels, Pixels]:
    """Real-ESRGAN's second-order chain, with its published ranges."""
    height, width = high.shape[:2]
    size = (height // scale, width // scale)
    image = blur(to_float(high), random_kernel(random, (0.2, 3.0), sinc=0.1))
    image = _resized(image, random, (height, width), (0.2, 0.7, 0.1), (0.15, 1.5))
    image = _noisy(image, random, (1.0, 30.0), (0.05, 3.0))
    image = jpeg(image, int(random.integers(30, 96)))
    if random.random() < 0.8:
        image = blur(image, random_kernel(random, (0.2, 1.5), sinc=0.1))
    image = _resized(image, random, size, (0.3, 0.4, 0.3), (0.3, 1.2))
    image = _noisy(image, random, (1.0, 25.0), (0.05, 2.5))
    last = sinc_kernel(2 * int(random.integers(3, 11)) + 1, random.uniform(math.pi / 3, math.pi))
    ringing, quality = random.random() < 0.8, int(random.integers(30, 96))
    kernel = _any_kernel(random)
    if random.random() < 0.5:
        image = resize(image, *size, kernel)
        image = blur(image, last) if ringing else image
        image = jpeg(image, quality)
    else:
        image = jpeg(image, quality)
        image = resize(image, *size, kernel)
        image = blur(image, last) if ringing else image
    return to_pixels(image), high


def _any_kernel(random: Random) -> str:
    return str(random.choice(["bicubic", "linear", "lanczos3"]))


def _resized(
    image: Floats,
    random: Random,
    size: tuple[int, int],
    chances: tuple[float, float, float],
    factors: tuple[float, float],
) -> Floats:
    """Larger, smaller or at `size`, with these chances; never below 8 pixels a side."""
    kind = int(random.choice(3, p=chances))
    factor = 1.0
    if kind == 0:
        factor = random.uniform(1.0, factors[1])
    elif kind == 1:
        factor = random.uniform(factors[0], 1.0)
    height, width = (max(8, round(side * factor)) for side in size)
    return resize(image, height, width, _any_kernel(random))


def _noisy(
    image: Floats, random: Random, sigma: tuple[float, float], scale: tuple[float, float]
) -> Floats:
    gray = random.random() < 0.4
    if random.random() < 0.5:
        return gaussian_noise(image, float(random.uniform(*sigma)), random, gray=gray)
    return poisson_noise(image, float(random.uniform(*scale)), random, gray=gray)


CHAINS: dict[str, Chain] = {
    "bicubic": bicubic,
    "compressed": compressed,
    "mild": mild,
    "phone": phone,
    "old": old,
    "cctv": cctv,
    "real": real,
}


def chain_of(name: str) -> Chain:
    """The chain of that name. Raises `OptionError`."""
    if name not in CHAINS:
        raise OptionError(f"a chain is one of {', '.join(CHAINS)}, got {name!r}")
    return CHAINS[name]


def mixed_chain(shares: Mapping[str, float]) -> Chain:
    """One of several chains, by name, drawn anew for every picture. Raises `OptionError`."""
    chains = [chain_of(name) for name in shares]
    if len(chains) == 1:
        return chains[0]
    if not chains or min(shares.values()) < 0.0 or not sum(shares.values()) > 0.0:
        raise OptionError(f"a mixture of chains needs shares above 0, got {dict(shares)}")
    total = sum(shares.values())
    return Mixture(tuple(chains), tuple(share / total for share in shares.values()))


@dataclass(frozen=True)
class Mixture:
    """A chain that is one of several, each with its chance: a class, so that it can be pickled."""

    chains: tuple[Chain, ...]
    chances: tuple[float, ...]

    def __call__(self, high: Pixels, scale: int, random: Random) -> tuple[Pixels, Pixels]:
        """LR and HR of a picture, by one of the chains."""
        which = int(random.choice(len(self.chains), p=self.chances))
        return self.chains[which](high, scale, random)
