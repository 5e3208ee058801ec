"""What happens to a picture on its way to low resolution, as seeded callables.

A step takes and gives float32 H×W×3, RGB in [0, 1]. A *chain* takes 8-bit HR and gives 8-bit LR
and the HR that belongs to it; the same random generator state gives the same pictures. Strengths
are sizes at LR scale, noise in 8-bit levels.

    bicubic      MATLAB's imresize, as the field's benchmarks
    compressed   bicubic, then JPEG or WebP of quality 30–75, once or twice
    phone        a telephone's camera: sharpened, JPEG of quality 70–95, often reduced afterwards
    old          fading (of LR and HR alike), blur ≤ 1.5 px, grain σ 4–16, scratches
    cctv         motion ≤ 7 px, low light with noise σ 4–16, then interlace or coarse 8×8 coding
    real         Real-ESRGAN's second-order chain (Wang et al., ICCV Workshops 2021,
                 https://arxiv.org/abs/2107.10833, section 3): twice blur, resize, noise, JPEG, at
                 the end a sinc filter
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from enlarge.errors import OptionError
from enlarge.media.resample import imresize

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Random = np.random.Generator
Chain = Callable[[Pixels, int, Random], tuple[Pixels, Pixels]]
"""(HR, factor, generator) → (LR, HR), sides of HR multiples of the factor."""


def to_float(pixels: Pixels) -> Floats:
    """uint8 to float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255.0)


def to_pixels(image: NDArray[Any]) -> Pixels:
    """Floats in [0, 1], clamped and rounded, as uint8."""
    pixels: Pixels = np.clip(np.rint(image * 255.0), 0, 255).astype(np.uint8)
    return pixels


# Kernels: float64 (k, k), k odd, sums to 1 -----------------------------------------------------


def _distances(size: int, sigma_x: float, sigma_y: float, angle: float) -> NDArray[np.float64]:
    """Squared Mahalanobis distances from the centre, of an ellipse turned by `angle` radians."""
    axis = np.arange(size) - size // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    u = x * math.cos(angle) + y * math.sin(angle)
    v = -x * math.sin(angle) + y * math.cos(angle)
    squared: NDArray[np.float64] = (u / sigma_x) ** 2 + (v / sigma_y) ** 2
    return squared


def gaussian_kernel(
    size: int, sigma_x: float, sigma_y: float | None = None, angle: float = 0.0, beta: float = 1.0
) -> NDArray[np.float64]:
    """exp(−½ d^β): isotropic, anisotropic with a second σ, generalised with β ≠ 1."""
    squared = _distances(size, sigma_x, sigma_y or sigma_x, angle)
    kernel = np.exp(-0.5 * squared**beta)
    return kernel / kernel.sum()


def plateau_kernel(
    size: int, sigma_x: float, sigma_y: float | None = None, angle: float = 0.0, beta: float = 1.0
) -> NDArray[np.float64]:
    """1 / (1 + d^β): flat on top (Liu et al., "Estimating generalized Gaussian blur kernels")."""
    kernel = 1.0 / (1.0 + _distances(size, sigma_x, sigma_y or sigma_x, angle) ** beta)
    return kernel / kernel.sum()


def sinc_kernel(size: int, cutoff: float) -> NDArray[np.float64]:
    """The circular low pass of `cutoff` (0 … π): it rings, as sharpened and resized pictures do."""
    axis = np.arange(size) - size // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    radius = np.hypot(x, y)
    radius[size // 2, size // 2] = 1.0
    kernel = cutoff * _bessel_j1(cutoff * radius) / (2.0 * math.pi * radius)
    kernel[size // 2, size // 2] = cutoff**2 / (4.0 * math.pi)
    return kernel / kernel.sum()


def _bessel_j1(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """J₁ by Bessel's integral, (1/π) ∫₀^π cos(t − x sin t) dt; 256 midpoints are exact to 1e-12
    for the arguments of a kernel (below 60).
    """
    t = (np.arange(256) + 0.5) * (math.pi / 256)
    found: NDArray[np.float64] = np.cos(t - x[..., None] * np.sin(t)).mean(axis=-1)
    return found


def motion_kernel(length: float, angle: float) -> NDArray[np.float64]:
    """A line of `length` pixels at `angle` radians, drawn with bilinear weights."""
    half = math.ceil(length / 2) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    for along in np.linspace(-(length - 1) / 2, (length - 1) / 2, max(2, round(4 * length))):
        x, y = half + along * math.cos(angle), half + along * math.sin(angle)
        column, row = int(x), int(y)
        right, below = x - column, y - row
        kernel[row, column] += (1 - right) * (1 - below)
        kernel[row, column + 1] += right * (1 - below)
        kernel[row + 1, column] += (1 - right) * below
        kernel[row + 1, column + 1] += right * below
    return kernel / kernel.sum()


def random_kernel(
    random: Random, sigma: tuple[float, float], *, sinc: float
) -> NDArray[np.float64]:
    """One of Real-ESRGAN's kernels, of side 7 to 21; with the chance `sinc` a sinc filter."""
    size = 2 * int(random.integers(3, 11)) + 1
    if random.random() < sinc:
        low = math.pi / 3 if size < 13 else math.pi / 5
        return sinc_kernel(size, float(random.uniform(low, math.pi)))
    wide, high = random.uniform(*sigma, size=2)
    angle = float(random.uniform(-math.pi, math.pi))
    kind = int(random.choice(6, p=[0.45, 0.25, 0.12, 0.03, 0.12, 0.03]))
    if kind % 2 == 0:  # isotropic
        high, angle = wide, 0.0
    if kind < 2:
        return gaussian_kernel(size, wide, high, angle)
    if kind < 4:
        return gaussian_kernel(size, wide, high, angle, float(random.uniform(0.5, 4.0)))
    return plateau_kernel(size, wide, high, angle, float(random.uniform(1.0, 2.0)))


# Steps ----------------------------------------------------------------------------------------


def blur(image: Floats, kernel: NDArray[np.float64]) -> Floats:
    """The picture convolved with a kernel, edges repeated."""
    mask = pyvips.Image.new_from_array(kernel[::-1, ::-1].tolist())
    out = pyvips.Image.new_from_array(image).conv(mask, precision="float")
    blurred: Floats = out.cast("float").numpy()
    return blurred


def resize(image: Floats, height: int, width: int, kernel: str) -> Floats:
    """The picture at another size; `kernel`: bicubic (MATLAB's), linear or lanczos3 (libvips)."""
    if kernel == "bicubic":
        resized: Floats = imresize(image, height, width)
        return resized
    source = pyvips.Image.new_from_array(image)
    out = source.resize(width / source.width, vscale=height / source.height, kernel=kernel)
    resized = out.cast("float").numpy()
    assert resized.shape[:2] == (height, width)
    return resized


def gaussian_noise(image: Floats, sigma: float, random: Random, *, gray: bool = False) -> Floats:
    """Noise of `sigma` 8-bit levels; `gray`: the same in R, G and B."""
    shape = (*image.shape[:2], 1 if gray else 3)
    noise = random.standard_normal(shape, np.float32) * np.float32(sigma / 255.0)
    return image + noise


def poisson_noise(image: Floats, scale: float, random: Random, *, gray: bool = False) -> Floats:
    """Shot noise: what counting photons adds, 255 of them at white, times `scale`."""
    light = np.clip(image, 0.0, 1.0)
    if gray:
        light = light.mean(axis=2, keepdims=True)
    counted = random.poisson(light * 255.0) / 255.0
    noisy: Floats = (image + scale * (counted - light)).astype(np.float32)
    return noisy


def jpeg(image: Floats, quality: int) -> Floats:
    """The picture after JPEG with 4:2:0 chroma, as cameras and web sites write it."""
    return _coded(image, "jpegsave_buffer", Q=quality, subsample_mode="on")


def webp(image: Floats, quality: int) -> Floats:
    """The picture after lossy WebP."""
    return _coded(image, "webpsave_buffer", Q=quality, effort=2)


def _coded(image: Floats, save: str, **options: Any) -> Floats:
    source = pyvips.Image.new_from_array(to_pixels(image)).copy(interpretation="srgb")
    data = getattr(source, save)(**options)
    return to_float(pyvips.Image.new_from_buffer(data, "").numpy()[..., :3])


def sharpened(image: Floats, sigma: float, amount: float) -> Floats:
    """Unsharp masking: `amount` of what a Gaussian blur of `sigma` pixels takes away, added."""
    sharper: Floats = image + np.float32(amount) * (image - blur(image, gaussian_kernel(9, sigma)))
    return sharper


def fade(image: Floats, contrast: float, lift: float, tint: tuple[float, float, float]) -> Floats:
    """Less contrast, lifted blacks, and a yellowed paper: `tint` multiplies R, G and B."""
    faded: Floats = (lift + (image * contrast)) * np.asarray(tint, np.float32)
    return np.clip(faded, 0.0, 1.0).astype(np.float32)


def grain(image: Floats, sigma: float, random: Random) -> Floats:
    """Film grain: gray noise with a size of its own, σ in levels, strongest in the mid-tones."""
    height, width = image.shape[:2]
    noise = random.standard_normal((height, width, 1), np.float32)
    soft = blur(noise, gaussian_kernel(5, float(random.uniform(0.4, 0.8)))).reshape(noise.shape)
    soft *= sigma / 255.0 / max(float(soft.std()), 1e-6)
    light = np.clip(image.mean(axis=2, keepdims=True), 0.0, 1.0)
    return image + soft * (0.5 + 2.0 * light * (1.0 - light))


def scratches(image: Floats, count: int, random: Random) -> Floats:
    """Thin bright or dark lines, nearly upright, about a pixel wide and of uneven strength."""
    height, width = image.shape[:2]
    out = image.copy()
    rows = np.arange(height)
    for _ in range(count):
        start, length = random.uniform(0, height), random.uniform(0.2, 1.0) * height
        x = random.uniform(0, width) + (rows - start) * random.uniform(-0.1, 0.1)
        x += 0.5 * np.sin(rows / random.uniform(5.0, 20.0))
        here = np.abs(rows - start) < length / 2
        distance = np.abs(np.arange(width)[None, :] - x[:, None])
        wide = random.uniform(0.4, 1.0)
        strength = np.exp(-((distance / wide) ** 2)) * here[:, None] * random.uniform(0.2, 0.8)
        colour = np.float32(1.0 if random.random() < 0.7 else 0.0)
        strength = strength[..., None].astype(np.float32)
        out = out * (1 - strength) + colour * strength
    return out


def interlace(image: Floats, shift: float) -> Floats:
    """Odd rows as they were `shift` pixels further on: a moving picture's two fields in one."""
    whole = math.floor(shift)
    part = np.float32(shift - whole)
    out = image.copy()
    moved = [np.roll(image[1::2], whole + i, axis=1) for i in (0, 1)]
    edge = abs(whole) + 1
    for each in moved:  # what rolled around the edge is replaced by the edge
        each[:, :edge] = image[1::2, :edge]
        each[:, -edge:] = image[1::2, -edge:]
    out[1::2] = (1 - part) * moved[0] + part * moved[1]
    return out


def _cosines() -> Floats:
    """The orthonormal 8-point cosine transform: a row for each frequency."""
    u, x = np.arange(8)[:, None], np.arange(8)[None, :]
    rows = np.cos(math.pi * (2 * x + 1) * u / 16) * np.where(u == 0, math.sqrt(1 / 8), 0.5)
    return rows.astype(np.float32)


_DCT = _cosines()


def block_coding(image: Floats, step: float) -> Floats:
    """8×8 cosine blocks, quantised as a video coder does at a low rate: one step (in levels) for
    all frequencies of Y, with a dead zone; of chroma at half the size, twice as coarse.
    """
    y = image @ np.array([0.299, 0.587, 0.114], np.float32)
    chroma = [(image[..., 2] - y) * 0.564, (image[..., 0] - y) * 0.713]
    y = _quantised(y, step)
    height, width = y.shape
    small = [
        resize(np.repeat(c[..., None], 3, 2), -(-height // 2), -(-width // 2), "bicubic")[..., 0]
        for c in chroma
    ]
    coded = [_quantised(c, 2.0 * step) for c in small]
    cb, cr = (
        resize(np.repeat(c[..., None], 3, 2), height, width, "bicubic")[..., 0] for c in coded
    )
    red, blue = y + cr / 0.713, y + cb / 0.564
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return np.clip(np.stack([red, green, blue], axis=2), 0.0, 1.0).astype(np.float32)


def _quantised(plane: Floats, step: float) -> Floats:
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % 8), (0, -width % 8)), mode="edge")
    rows, columns = padded.shape[0] // 8, padded.shape[1] // 8
    blocks = padded.reshape(rows, 8, columns, 8).swapaxes(1, 2)
    coefficients = _DCT @ blocks @ _DCT.T
    size = np.float32(step * 8.0 / 255.0)  # a constant block of value v has the coefficient 8 v
    levels = np.sign(coefficients) * np.floor(np.abs(coefficients) / size + 1.0 / 3.0)
    levels[..., 0, 0] = np.rint(coefficients[..., 0, 0] / size)
    back = (_DCT.T @ (levels * size) @ _DCT).swapaxes(1, 2)
    whole: Floats = back.reshape(padded.shape)[:height, :width].astype(np.float32)
    return whole


# Chains ---------------------------------------------------------------------------------------


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
    image = jpeg(np.clip(image, 0.0, 1.0), int(random.integers(70, 96)))
    if larger > 1.0:
        image = resize(image, *size, _any_kernel(random))
    if random.random() < 1.0 / 3.0:
        image = jpeg(np.clip(image, 0.0, 1.0), int(random.integers(75, 96)))
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
    image = jpeg(np.clip(image, 0.0, 1.0), int(random.integers(30, 96)))
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
        image = jpeg(np.clip(image, 0.0, 1.0), quality)
    else:
        image = jpeg(np.clip(image, 0.0, 1.0), quality)
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


def mixture(shares: Mapping[str, float]) -> Chain:
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
