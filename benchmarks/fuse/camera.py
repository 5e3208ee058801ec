"""A camera whose motion is known: frames of a scene, as a camera that moves or is passed sees it.

A scene is sharp, float32 H×W×3 in levels, four times as fine as the frames. A pose is a homography
(3, 3) from scene pixels of the reference frame to scene pixels of another frame, at pixel centres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]

SCALE = 4
MOTIONS = ("translation", "zoom", "rotation", "perspective", "mixed")
_SMOOTH = 12
"""LR pixels over which a scene that bends moves alike (a standard deviation)."""
MARGIN = 8
"""LR pixels at each edge of a frame that lie outside the judged region."""


@dataclass(frozen=True)
class Camera:
    """What happens between a scene and a frame. Lengths are in pixels of the frame (LR)."""

    motion: str = "mixed"
    blur: float = 0.0  # of motion during exposure: its longest length; every frame draws its own
    rolling: float = 0.0  # shift between the first and the last row: its largest
    sharpen: float = 0.0  # unsharp mask of σ 1 in the camera
    noise: float = 8.0
    jpeg: int | None = 60
    codec: str | None = None  # a key of `benchmarks.fuse.video.CODECS`, instead of JPEG
    lens: tuple[float, float] = (0.4, 0.8)  # σ; every burst draws its own between these
    bend: float = 0.0  # how far points of a scene that is not rigid move beside the whole (RMS)

    @property
    def interlaced(self) -> bool:
        """Whether the rows of a frame come from two moments."""
        return self.codec is not None and self.codec.startswith("interlaced")


@dataclass(frozen=True)
class Scene:
    """A scene and the region of it that is judged, `region` X, Y, W, H in LR pixels.

    With `behind` the scene moves before a background that stands still; `shape` (H, W), from 0 to
    1, is where the scene hides it.
    """

    name: str
    pixels: Floats
    region: tuple[int, int, int, int]
    behind: Floats | None = None
    shape: Floats | None = None

    @property
    def wanted(self) -> Pixels:
        """The original of the region, at SCALE times the frames' size."""
        x, y, width, height = (SCALE * side for side in self.region)
        return self.pixels[y : y + height, x : x + width].round().clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Burst:
    """Frames (uint8, H×W×3), and for each moment where the pixels lie: `poses`, with the row's
    share of `rolls` added. Frames have one moment each; interlaced ones two, of their even and odd
    rows. The frame `reference` has the identity at its first. `foreign` are frames of another
    scene.
    """

    frames: list[Pixels]
    poses: list[Matrix]
    rolls: list[NDArray[np.float64]]
    reference: int
    foreign: frozenset[int] = field(default_factory=frozenset)

    def truth(self, moment: int, points: Matrix) -> Matrix:
        """Where points (n, 2) of the reference, in LR pixels, lie at a moment, in LR pixels; of
        one that is not rigid, without how it bends.
        """
        high = points * SCALE + (SCALE - 1) / 2
        moved = through(self.poses[moment], high)
        height = self.frames[0].shape[0] * SCALE
        found = moved
        for _ in range(3):  # the shift depends on the row where the point lands
            found = moved + (found[:, 1:] / height - 0.5) * self.rolls[moment]
        return (found - (SCALE - 1) / 2) / SCALE


def through(pose: Matrix, points: Matrix) -> Matrix:
    """Points (n, 2) moved by a homography."""
    moved = np.column_stack([points, np.ones(len(points))]) @ pose.T
    return moved[:, :2] / moved[:, 2:]


def poses(
    motion: str, count: int, size: tuple[int, int], random: np.random.Generator
) -> list[Matrix]:
    """Of `count` frames; `size` is the scene's width and height. The middle one is the identity.

    A steady drift and the jitter of a hand, both of a fraction of an LR pixel for every frame; with
    a motion other than translation, of that too; "mixed" has a third of each.
    """
    reference = count // 2
    angle = random.uniform(0, 2 * np.pi)
    drift = 0.35 * SCALE * np.array([np.cos(angle), np.sin(angle)])
    signs = random.choice([-1.0, 1.0], 4)
    center = np.array([[1, 0, size[0] / 2 - 0.5], [0, 1, size[1] / 2 - 0.5], [0, 0, 1.0]])
    parts = {kind: float(motion == kind) for kind in MOTIONS[1:4]}
    if motion == "mixed":
        parts = dict.fromkeys(parts, 1 / 3)
    found = []
    for number in range(count):
        step = float(np.clip(number - reference, -12, 12))
        shift = drift * (number - reference) + random.normal(0, 0.7 * SCALE, 2)
        zoom = np.exp(parts["zoom"] * (signs[0] * 0.005 * step + random.normal(0, 0.003)))
        turn = np.radians(parts["rotation"] * (signs[1] * 0.4 * step + random.normal(0, 0.3)))
        tilt = parts["perspective"] * (signs[2:] * 2.5e-5 * step + random.normal(0, 1.5e-5, 2))
        cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
        moved = np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]], [*tilt, 1.0]])
        found.append(center @ moved @ np.linalg.inv(center))
    found[reference] = np.eye(3)
    return found


def burst(scene: Scene, camera: Camera, count: int, random: np.random.Generator) -> Burst:
    """`count` frames of a scene. The middle one is the reference."""
    height, width = scene.pixels.shape[:2]
    moments = 2 * count if camera.interlaced else count
    lens = random.uniform(*camera.lens) * SCALE
    reference = count // 2
    all_poses = poses(camera.motion, moments, (width, height), random)
    if camera.interlaced:  # the first field of the reference frame is the reference
        back = np.linalg.inv(all_poses[2 * reference])
        all_poses = [pose @ back for pose in all_poses]
    rolls = [SCALE * camera.rolling * _direction(random) for _ in range(moments)]
    first = 2 * reference if camera.interlaced else reference
    rolls[first][:] = 0
    bends = _bends(camera.bend, moments, first, (height, width), random)
    seen = []
    for pose, roll, bend in zip(all_poses, rolls, bends, strict=True):
        light = blurred(_composed(scene, pose, roll, bend), camera, lens, random)
        low = cv2.resize(light, (width // SCALE, height // SCALE), interpolation=cv2.INTER_AREA)
        seen.append(developed(low + random.normal(0, camera.noise, low.shape), camera))
    if camera.interlaced:
        seen = [woven(even, odd) for even, odd in zip(seen[::2], seen[1::2], strict=True)]
    return Burst(coded(seen, camera), all_poses, rolls, reference)


def woven(first: Pixels, second: Pixels) -> Pixels:
    """An interlaced frame: even rows of one moment, odd rows of the next."""
    frame = first.copy()
    frame[1::2] = second[1::2]
    return frame


def with_foreign(given: Burst, other: Burst, places: Sequence[int]) -> Burst:
    """The burst with frames of another one in some places, which must not be the reference's."""
    assert given.reference not in places
    frames = list(given.frames)
    height, width = frames[0].shape[:2]
    for place in places:
        stranger = other.frames[place % len(other.frames)]
        frames[place] = (
            np.resize(stranger, (height, width, 3))
            if stranger.shape[:2] != (height, width)
            else stranger
        )
    return Burst(frames, given.poses, given.rolls, given.reference, frozenset(places))


def _direction(random: np.random.Generator) -> NDArray[np.float64]:
    """A vector of random direction, of a random length up to 1."""
    angle = random.uniform(0, 2 * np.pi)
    return random.uniform() * np.array([np.cos(angle), np.sin(angle)])


def _bends(
    amount: float, count: int, reference: int, size: tuple[int, int], random: np.random.Generator
) -> list[Floats | None]:
    """How points of a scene that is not rigid move beside the whole, at so many moments: None, or
    displacements (H, W, 2) in scene pixels, smooth in time, and over `_SMOOTH` LR pixels. There are
    none at the moment `reference`.
    """
    if not amount:
        return [None] * count
    # Together they move points by that much, on average over a whole period.
    two = [_smooth_field(amount / 2**0.5, size, random) for _ in range(2)]
    times = 2 * np.pi * (np.arange(count) - reference) / count
    return [np.sin(time) * two[0] + np.float32(1 - np.cos(time)) * two[1] for time in times]


def _smooth_field(amount: float, size: tuple[int, int], random: np.random.Generator) -> Floats:
    """Random displacements (H, W, 2) in scene pixels, of that RMS in LR pixels."""
    high, wide = size
    planes = []
    for _ in range(2):
        rough = random.normal(size=(high // SCALE, wide // SCALE)).astype(np.float32)
        plane = cv2.GaussianBlur(rough, (0, 0), _SMOOTH, borderType=cv2.BORDER_REFLECT)
        plane *= np.float32(SCALE * amount / 2**0.5) / plane.std()
        planes.append(cv2.resize(plane, (wide, high), interpolation=cv2.INTER_CUBIC))
    return np.stack(planes, axis=-1)


def _composed(scene: Scene, pose: Matrix, roll: NDArray[np.float64], bend: Floats | None) -> Floats:
    """The light that falls on the sensor: the scene at a pose, before what stands still."""
    moving = _seen(scene.pixels, pose, roll, bend)
    if scene.behind is None or scene.shape is None:
        return moving
    hides = _seen(scene.shape, pose, roll, bend)[..., None].clip(0, 1)
    return moving * hides + scene.behind * (1 - hides)


def _seen(pixels: Floats, pose: Matrix, roll: NDArray[np.float64], bend: Floats | None) -> Floats:
    """Pixels at a pose; the picture goes on mirrored beyond its edges."""
    height, width = pixels.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    share = y / height - 0.5
    points = np.stack([x - share * roll[0], y - share * roll[1]], axis=-1).reshape(-1, 2)
    source = (
        through(np.linalg.inv(pose).astype(np.float64), points)
        .astype(np.float32)
        .reshape(height, width, 2)
    )
    if bend is not None:
        source += cv2.remap(
            bend,
            source[..., 0],
            source[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
    return cv2.remap(
        pixels, source[..., 0], source[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def blurred(light: Floats, camera: Camera, lens: float, random: np.random.Generator) -> Floats:
    """The light through the lens, during the exposure."""
    light = cv2.GaussianBlur(light, (0, 0), lens)
    if not camera.blur:
        return light
    step = SCALE * camera.blur * _direction(random)
    side = 2 * int(np.ceil(np.abs(step).max() / 2)) + 3
    kernel = np.zeros((side, side), np.float32)
    for share in np.linspace(-0.5, 0.5, 65):
        x, y = side // 2 + share * step
        left, top = int(x), int(y)
        part = np.outer([1 - (y - top), y - top], [1 - (x - left), x - left])
        kernel[top : top + 2, left : left + 2] += part
    return cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def developed(low: NDArray[np.float64], camera: Camera) -> Pixels:
    """What the camera does with the sensor's values before it encodes them."""
    if camera.sharpen:
        soft = cv2.GaussianBlur(low.astype(np.float32), (0, 0), 1.0)
        low = low + camera.sharpen * (low - soft)
    return low.round().clip(0, 255).astype(np.uint8)


def coded(frames: list[Pixels], camera: Camera) -> list[Pixels]:
    """The frames as they come out of their file."""
    if camera.codec is not None:
        from benchmarks.fuse.video import recoded

        return recoded(frames, camera.codec)
    return frames if camera.jpeg is None else [_jpeg(frame, camera.jpeg) for frame in frames]


def _jpeg(frame: Pixels, quality: int) -> Pixels:
    """Through a JPEG with halved chroma, as cameras write it."""
    file = BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))
