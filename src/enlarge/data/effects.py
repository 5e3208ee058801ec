"""What happens to a picture on its way to low resolution: blur, noise, compression, age.

Every effect takes and returns float32 H×W×3, RGB in [0, 1]. Sizes are in pixels of the picture
given, noise in 8-bit levels (σ).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from enlarge.data.kernels import Random, gaussian_kernel
from enlarge.luma import LUMA
from enlarge.media.resample import imresize

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def to_float(pixels: Pixels) -> Floats:
    """uint8 to float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255.0)


def to_pixels(image: NDArray[Any]) -> Pixels:
    """Floats in [0, 1], clamped and rounded, as uint8."""
    pixels: Pixels = np.clip(np.rint(image * 255.0), 0, 255).astype(np.uint8)
    return pixels


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
    y = image @ np.array(LUMA, np.float32)
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
    green = (y - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
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
