"""Facts on a card that only running the network's ONNX file tells.

    working sets   by tile, measured in processes of their own; while a user waits, one is measured,
                   before and after the network runs, and the others are computed from it
    halo           if the margin is unbounded, or larger than tiles should overlap
    precisions     whether bf16 is close enough to f32

They are measured on the CPU, in OpenVINO or ncnn, on generated pictures, so neither torch nor
photographs are needed. Pictures are (1, 3, H, W), float32, RGB in [0, 1].
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enlarge.card import EXACT, Card
from enlarge.errors import WeightsError
from enlarge.memory import default_budget, format_size
from enlarge.model_file import NCNN, Weights
from enlarge.weights.runner import Network, Picture, Runner

if TYPE_CHECKING:
    from enlarge.engines import Engine

LADDER = (64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
FEW = (64, 128, 192, 256, 384, 512)
"""The sides of tiles that are measured while a user waits."""
WORK = 5e12
"""Floating-point operations that a tile of `FEW` may cost: about 15 seconds on two cores."""
_LEVEL = 1.0 / 255.0
_CROPS = (96, 144, 288)
"""The sides of pictures on which overlaps are measured: the second is enough for `EXACT`."""
_PICTURES = 3
_SPARE = 1.25
_AT_ONCE = 2
"""Tiles that are measured at a time, each in a process of its own."""
_LARGEST = 256
"""The tile that is measured for all of `FEW`, unless it costs more than that."""
_COSTLY = 1.5e12
_OFF_LINE = 1.06
"""What running adds grows with a tile's area: so computed, working sets of `fast`, `quality`,
`photo` and SwinIR-light are 0.95 to 1.05 of those measured.
"""


class WorkingSet(NamedTuple):
    """By how many bytes a new process's memory grows for a tile of `side`: at most (`size`), at
    most until the network is compiled (`compiling`), when it is (`kept`), and after it has run
    (`running`).
    """

    side: int
    size: int
    compiling: int
    kept: int
    running: int


def check_finite(name: str, enlarged: Picture) -> None:
    """Raise `WeightsError` if a network's result for a picture in [0, 1] holds NaN or infinity."""
    if not np.isfinite(enlarged).all():
        raise WeightsError(
            f"{name}: returns NaN or infinity for a normal picture, so its weights are damaged; "
            "download it again, or take an earlier checkpoint of the run"
        )


def natural_picture(side: int, seed: int = 0) -> Picture:
    """A generated picture, (1, 3, side, side), with edges at every scale like a photograph's.

    It is a dead leaves model (Lee, Mumford and Huang, International Journal of Computer Vision 41,
    2001): discs that occlude each other, with radii r of density 1/r³, each with a fine grating,
    drawn at twice the size.
    """
    random = np.random.default_rng(seed)
    large = 2 * side
    image = np.full((3, large, large), 0.5)
    least, most = 3.0, large / 3.0
    for _ in range(12 * large):
        radius = (least**-2 - random.random() * (least**-2 - most**-2)) ** -0.5
        y, x = random.uniform(-radius, large + radius, 2)
        top, left = max(0, math.ceil(y - radius)), max(0, math.ceil(x - radius))
        below, right = min(large, int(y + radius)), min(large, int(x + radius))
        rows, columns = np.ogrid[top:below, left:right]
        if not rows.size or not columns.size:
            continue
        colour = random.uniform(0.05, 0.95) + random.normal(0.0, 0.1, 3)
        wave = random.uniform(-1.2, 1.2, 2)
        grating = 0.08 * np.sin(wave[0] * rows + wave[1] * columns)
        inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        part = image[:, top : top + rows.size, left : left + columns.size]
        np.copyto(part, colour[:, None, None] + grating, where=inside)
    small = image.reshape(3, side, 2, side, 2).mean((2, 4))
    return np.clip(small, 0.0, 1.0)[None].astype(np.float32)


def measured(
    model: Path, card: Card, ladder: Sequence[int] | None = None, *, runner: Network | None = None
) -> Card:
    """The card with halo, precisions and tiles as measured on the file.

    `ladder` gives the sides of tiles to measure; the default are those of `FEW` that cost at most
    `WORK`. Sides of at most twice the halo are skipped, and those that do not fit this machine's
    memory. Raises `WeightsError` if the network does not run.
    """
    run = runner or Runner(model)
    most = min(EXACT, card.fixed // 3) if card.fixed else EXACT
    if card.margin is not None and card.margin <= most:
        card = replace(card, halo=card.margin)
    else:
        card = replace(card, halo=measured_halo(run, card))
    if (close := holds_in_bf16(card, run)) is not None:
        card = replace(card, precisions=("f32", "bf16") if close else ("f32",))
    del run
    return replace(card, tiles=working_sets(model, card, ladder))


def holds_in_bf16(card: Card, in_f32: Network) -> bool | None:
    """Whether bf16 may replace f32: on a textured picture, both clamped, their PSNR is at least
    48 dB, and 99.9 % of the values are within 3 of 255 levels. None if there is no bf16.
    """
    in_bf16 = in_f32.in_bf16()
    if in_bf16 is None:
        return None
    image = natural_picture(card.fixed or _round_up(_CROPS[0], card.multiple))
    fine, coarse = (np.clip(run(image), 0.0, 1.0) for run in (in_f32, in_bf16))
    if not np.isfinite(coarse).all():
        return False
    error = np.abs(fine.astype(np.float64) - coarse)
    psnr = to_decibels(float((error**2).mean()))
    return bool(psnr >= 48.0 and (error <= 3 * _LEVEL).mean() >= 0.999)


def to_decibels(mean_squared_error: float) -> float:
    """The PSNR in dB of values in [0, 1] with this mean squared error; 200 at most."""
    return -10.0 * math.log10(max(mean_squared_error, 1e-20))


def measured_halo(run: Network, card: Card) -> int:
    """The distance from a tile's edge, in input pixels, beyond which no 8-bit value differs by more
    than one level from the whole picture's.

    It is measured on up to three generated pictures, enlarged by a quarter, and rounded up to a
    multiple of 8 and of the grid of tiles, but never exceeds the margin. An unbounded network gets
    at most about 64, since its tiles are blended; and so much if it relates all parts of a picture,
    since two crops of one picture are too much alike to show that.
    """
    step = math.lcm(8, card.grid)
    most = card.margin if card.margin is not None else _round_up(EXACT, step)
    if card.fixed:
        most = min(most, card.fixed // 4 // card.grid * card.grid)
    elif card.margin is None and _relates_all(run, card):
        return most
    for side in _CROPS:
        boxes = _boxes(side, card)
        halo, size = 0, 0
        for seed in range(_PICTURES):
            reach = _reach(run, card.scale, boxes, seed)
            quiet, size = np.flatnonzero(reach <= _LEVEL), reach.size
            if not quiet.size or not (card.fixed or quiet[0] <= 0.75 * size):
                halo = 0
                break
            halo = max(halo, step, _round_up(math.ceil(_SPARE * int(quiet[0])), step))
            if halo >= most:
                return most
        if halo:
            return halo
        if card.fixed or size > most:
            break
    return most


def _relates_all(run: Network, card: Card) -> bool:
    """Whether darkening a part of a picture changes what is `EXACT` away by more than a level."""
    side, far = _round_up(3 * EXACT, card.multiple), _round_up(2 * EXACT, card.multiple)
    image = natural_picture(side)
    darker = np.concatenate([image[..., :far], 0.25 * image[..., far:]], axis=3)
    kept = (far - EXACT) * card.scale
    before, after = (np.clip(run(one)[..., :kept], 0.0, 1.0) for one in (image, darker))
    return bool(np.abs(before - after).max() > _LEVEL)


def _boxes(side: int, card: Card) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two squares on the diagonal of a picture, as start and stop: one in the middle of the other
    or, for a network of a fixed size, two that overlap.
    """
    if card.fixed:
        shift = max(card.fixed // 4 // card.grid, 1) * card.grid
        return (0, card.fixed), (shift, card.fixed + shift)
    room, inner = _round_up(side // 3, card.grid), _round_up(side, card.grid)
    return (0, inner + 2 * room), (room, room + inner)


def _reach(
    run: Network, scale: int, boxes: tuple[tuple[int, int], tuple[int, int]], seed: int
) -> NDArray[np.float32]:
    """For each distance d in input pixels, the largest difference of a clamped value between the
    two crops, over pixels that are at least d away from every edge of both.
    """
    image = natural_picture(max(stop for _, stop in boxes), seed)
    start, stop = max(box[0] for box in boxes), min(box[1] for box in boxes)
    results = []
    for first, last in boxes:
        large = np.clip(run(image[:, :, first:last, first:last]), 0.0, 1.0)
        inner = slice((start - first) * scale, (stop - first) * scale)
        results.append(large[0, :, inner, inner])
    difference = np.abs(results[0] - results[1]).max(0)
    size = stop - start
    difference = difference.reshape(size, scale, size, scale).max((1, 3))  # (size, size)
    at = np.arange(start, stop)
    near = np.min([np.minimum(at - first, last - 1 - at) for first, last in boxes], axis=0)
    distance = np.minimum(near[:, None], near[None, :])
    most = np.zeros(int(distance.max()) + 1, np.float32)
    np.maximum.at(most, distance, difference)
    return np.maximum.accumulate(most[::-1])[::-1]


def _round_up(size: int, step: int) -> int:
    return -(-size // step) * step


def working_sets(model: Path, card: Card, ladder: Sequence[int] | None = None) -> dict[int, int]:
    """Side of a tile → by how many bytes a new process's peak memory grows when it compiles the
    network for that tile and runs it in f32. See `measured`.
    """
    weights, sides = Weights(model, card), list(_sides(card, ladder))
    if ladder is None and len(sides) > 2:
        most = min(_LARGEST, (_COSTLY / max(card.flops, 1.0)) ** 0.5 / card.scale)
        smaller = [side for side in sides[1:] if side <= most] or sides[1:2]
        found = _working_set(weights, smaller[-1])
        if isinstance(found, WorkingSet):
            return computed_sets(found, sides)
    return {side: found.size for side, found in _measured_sets(weights, sides).items()}


def computed_sets(known: WorkingSet, sides: Sequence[int]) -> dict[int, int]:
    """The working sets of all sides that fit the machine, from that of one: what running adds grows
    with the area.
    """
    peak = known.size if known.size > known.compiling else known.running
    slope = max(peak - known.kept, 0) / known.side**2
    line = (round(max(known.compiling, _OFF_LINE * (known.kept + slope * s**2))) for s in sides)
    sizes = {**dict(zip(sides, line, strict=True)), known.side: known.size}
    return {side: size for side, size in sizes.items() if side <= known.side or size <= _memory()}


def _measured_sets(weights: Weights, sides: Sequence[int]) -> dict[int, WorkingSet]:
    sizes: dict[int, WorkingSet] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for first in range(0, len(sides), _AT_ONCE):
            chosen = [side for side in sides[first : first + _AT_ONCE] if _may_fit(side, sizes)]
            for side, found in zip(
                chosen, pool.map(partial(_working_set, weights), chosen), strict=True
            ):
                if isinstance(found, str):
                    if sizes:
                        return sizes  # larger ones do not fit this machine
                    where = f"a tile of {side}×{side}"
                    raise WeightsError(f"{weights.path.name}: does not run on {where}: {found}")
                sizes[side] = found
    return sizes


def _may_fit(side: int, sizes: Mapping[int, WorkingSet]) -> bool:
    """Whether `_AT_ONCE` tiles of this side fit the machine's memory, by what smaller ones took."""
    if not sizes:
        return True
    last = sizes[max(sizes)]
    return _AT_ONCE * last.size * (side / last.side) ** 2 <= _memory()


def _memory() -> int:
    """What this machine has."""
    return 2 * default_budget()


def _sides(card: Card, ladder: Sequence[int] | None) -> Iterator[int]:
    """The sides to measure, in ascending order."""
    if card.fixed:
        yield card.fixed
        return
    given = 0
    for side in sorted({_round_up(side, card.multiple) for side in ladder or FEW}):
        if side <= 2 * card.halo:
            continue
        if ladder is None and given and card.flops * (side * card.scale) ** 2 > WORK:
            return
        given += 1
        yield side
    if not given:  # the halo is too large for all of them
        yield _round_up(3 * card.halo, card.multiple)


_MEASURE = """
import json, sys
import numpy as np
from pathlib import Path
from enlarge.engines import TileSpec
from enlarge.memory import peak, resident
from enlarge.weights.measuring import engine_of
side = int(sys.argv[2])
engine = engine_of(Path(sys.argv[1]), sys.argv[3])
before = resident()
session = engine.session(TileSpec(side, side, 3, np.dtype("uint8"), np.dtype("uint8")))
compiling, kept = peak() - before, resident() - before
session(np.zeros((side, side, 3), np.uint8))
print(json.dumps([peak() - before, compiling, kept, resident() - before]))
"""


def engine_of(model: Path, name: str) -> Engine:
    """The engine that a model is measured in, by its name: `openvino` or `ncnn`."""
    if name == NCNN:
        from enlarge.engines.ncnn import NcnnEngine

        return NcnnEngine(model, 0)
    from enlarge.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(model, "f32", 0)


def _working_set(weights: Weights, side: int) -> WorkingSet | str:
    """A tile's working set, or the reason why it could not be measured."""
    engine = NCNN if weights.is_for_ncnn else "openvino"
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-c", _MEASURE, str(weights.path), str(side), engine]
        environment = {**os.environ, "ENLARGE_CACHE": cache}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return WorkingSet(side, *json.loads(done.stdout))
    lines = done.stderr.strip().splitlines()
    memory = format_size(_memory())
    return lines[-1] if lines else f"its process was stopped; there are {memory} of memory"
