"""One burst, judged: the best of one frame, what was fused, and how well the motion was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import cv2
import numpy as np

import enlarge
from benchmarks.fuse.camera import (
    SCALE,
    Burst,
    Camera,
    Pixels,
    Scene,
    burst,
    through,
    with_foreign,
)
from enlarge.errors import InputError

MODELS = ("bicubic", "fast", "photo", "quality")


@dataclass(frozen=True)
class Cell:
    """One row of a table: how bursts are recorded."""

    name: str
    camera: Camera = field(default_factory=Camera)
    count: int = 16
    foreign: int = 0


@dataclass(frozen=True)
class Judged:
    """Of one burst: PSNR in dB of the best of one frame (`single`, by the model `best`), of one by
    bicubic interpolation, which like `--then none` knows no other pictures (`bicubic`), of what was
    fused without a network (`none`) and with the default one (`then`); for every used frame
    the distances in LR pixels between where points of the region were found and where they are;
    how many frames were used, and of how many; how many foreign ones were; seconds of both runs.
    """

    scene: str
    single: float
    best: str
    bicubic: float
    none: float
    then: float
    errors: list[list[float]]
    used: int
    given: int
    foreign_used: int
    seconds: float
    refused: bool = False


def psnr(result: Pixels, wanted: Pixels) -> float:
    """RGB, in dB."""
    error = np.square(result.astype(np.float64) - wanted).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


@cache
def enlarger(model: str) -> Callable[[Pixels], Pixels]:
    """A model, or bicubic, as a function from a frame to SCALE times its size."""
    if model == "bicubic":
        return lambda low: cv2.resize(
            low, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC
        ).astype(np.uint8)
    opened = enlarge.open_model(model, threads=1)
    return lambda low: np.asarray(opened.upscale(low, scale=SCALE))


def cut(large: Pixels, region: tuple[int, int, int, int]) -> Pixels:
    """The region of a frame that was enlarged."""
    x, y, width, height = (SCALE * side for side in region)
    return large[y : y + height, x : x + width]


def bob(frame: Pixels) -> Pixels:
    """The first field of an interlaced frame as a frame, its missing rows interpolated."""
    height, width = frame.shape[:2]
    rows = np.arange(height, dtype=np.float32)[:, None] / 2
    across = np.arange(width, dtype=np.float32)[None]
    shape = (height, width)
    field_rows = np.ascontiguousarray(frame[::2])
    found = cv2.remap(
        field_rows,
        np.broadcast_to(across, shape).astype(np.float32),
        np.broadcast_to(rows, shape).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return found.astype(np.uint8)


def singles(given: Burst, scene: Scene, *, interlaced: bool) -> dict[str, float]:
    """PSNR of each model with the reference frame alone."""
    frame = given.frames[given.reference]
    stills = [frame, bob(frame)] if interlaced else [frame]
    return {
        model: max(
            psnr(cut(enlarger(model)(still), scene.region), scene.wanted) for still in stills
        )
        for model in MODELS
    }


def fused(given: Burst, scene: Scene, **options: Any) -> Any:
    """The region of a burst, fused."""
    return enlarge.fuse(
        given.frames,
        region=scene.region,
        reference=given.reference,
        scale=float(SCALE),
        threads=1,
        **options,
    )


def distances(report: Any, given: Burst, scene: Scene) -> list[list[float]]:
    """For every used frame, or field of one, but the reference and foreign ones: at nine points of
    the region, how far in LR pixels the motion found is from the true one.
    """
    x, y, width, height = scene.region
    across, down = np.meshgrid([0.1, 0.5, 0.9], [0.1, 0.5, 0.9])
    points = np.column_stack([x + across.ravel() * (width - 1), y + down.ravel() * (height - 1)])
    found = []
    fields = len(given.poses) // len(given.frames)
    for moment, frame in enumerate(report.frames):
        is_reference = moment == fields * given.reference
        if not frame.used or is_reference or frame.number in given.foreign:
            continue
        error = through(frame.motion, points) - given.truth(moment, points)
        found.append([round(float(value), 3) for value in np.linalg.norm(error, axis=1)])
    return found


def made(scene: Scene, cell: Cell, seed: list[int], other: Scene | None = None) -> Burst:
    """The burst of a cell; foreign frames show the other scene."""
    given = burst(scene, cell.camera, cell.count, np.random.default_rng(seed))
    if not cell.foreign:
        return given
    assert other is not None
    strangers = burst(other, cell.camera, cell.count, np.random.default_rng([*seed, 1]))
    step = cell.count // (cell.foreign + 1)
    places = [
        (given.reference + step * (number + 1)) % cell.count for number in range(cell.foreign)
    ]
    return with_foreign(given, strangers, places)


def judge(scene: Scene, cell: Cell, seed: list[int], other: Scene | None = None) -> dict[str, Any]:
    """Judge one burst, in a process of its own."""
    cv2.setNumThreads(1)
    given = made(scene, cell, seed, other)
    by_model = singles(given, scene, interlaced=cell.camera.interlaced)
    best = max(by_model, key=lambda model: by_model[model])
    single, bicubic = by_model[best], by_model["bicubic"]
    try:
        fields = cell.camera.interlaced
        plain = fused(given, scene, then="none", fields=fields)
        default = fused(given, scene, fields=fields)
    except InputError:
        # The answer to a burst that cannot be fused is one frame, by a model for it.
        alone = psnr(
            cut(enlarger("photo")(given.frames[given.reference]), scene.region), scene.wanted
        )
        return asdict(
            Judged(scene.name, single, best, bicubic, alone, alone, [], 1, cell.count, 0, 0.0, True)
        )
    used = {frame.number for frame in default.report.frames if frame.used}
    return asdict(
        Judged(
            scene=scene.name,
            single=single,
            best=best,
            bicubic=bicubic,
            none=psnr(plain.picture, scene.wanted),
            then=psnr(default.picture, scene.wanted),
            errors=[] if cell.camera.bend else distances(default.report, given, scene),
            used=len(used),
            given=cell.count,
            foreign_used=len(given.foreign & used),
            seconds=plain.report.seconds + default.report.seconds,
        )
    )
