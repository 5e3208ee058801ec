"""What the tiles that are chosen automatically cost: throughput on pictures of random sizes against
that of the network alone.

By picture, in seconds of this machine:

    network   the picture's area, at the rate of one call of the network on one tile of the plan's
              shape (nothing overlaps, nothing is joined)
    picture   the tiles of the plan, overlap and all: cut out, computed, joined into the result in
              memory. Timed on the plan's first tiles (`WINDOWS`), which are joined as in the whole
              picture, and multiplied by the number of tiles; they all have the same shape.

The share is network / picture: the median of turns, in each of which both are called. The network's
rate depends on the shape of a tile, so the share is also taken against its rate on a square tile of
`SQUARE`².
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import enlarge
from benchmarks.speed.turns import in_turns
from enlarge.engines import Engine, TileSpec
from enlarge.media.rows import ArrayRows
from enlarge.picture.bands import EnlargedRows
from enlarge.picture.layout import Layout
from enlarge.picture.model import OpenModel
from enlarge.picture.outlook import plan_array
from enlarge.settings import Settings
from enlarge.tiling import Plan, Span

MODELS = ("fast", "quality")
COUNT, LEAST, MOST = 20, 600, 4000
SQUARE = 256
WINDOWS = {"fast": (2, 2, 3), "quality": (2, 1, 3)}
"""By model, the columns and rows of tiles that are timed, and how often."""
_UINT8 = np.dtype(np.uint8)


def sizes(count: int = COUNT, least: int = LEAST, most: int = MOST) -> list[tuple[int, int]]:
    """Sizes of pictures (width, height), sides drawn evenly from `least` to `most`; always the
    same.
    """
    drawn = np.random.default_rng(0).integers(least, most + 1, (count, 2))
    return [(int(width), int(height)) for width, height in drawn]


def plans(name: str, *, trial: bool) -> dict[str, Any]:
    """The shares of the network's throughput on all sizes, with the plans."""
    model = enlarge.open_model(name)
    engine = model.engine(_UINT8)
    square = _call(engine, TileSpec(SQUARE, SQUARE, 3, _UINT8, _UINT8))
    rows = []
    for width, height in sizes(2, 80, 160) if trial else sizes():
        rows.append(_measured(model, (width, height), WINDOWS[name], square))
        print(name, rows[-1], flush=True)
    return {"precision": engine.precision, "rows": rows}


def mean_and_worst(shares: Sequence[float]) -> tuple[float, float]:
    """Of the shares of all pictures."""
    return statistics.fmean(shares), min(shares)


def window(plan: Plan, columns: int, rows: int) -> Plan:
    """The plan's first columns and rows of tiles, as a plan of the part that they cover."""
    across, down = _first(plan.columns, columns), _first(plan.rows, rows)
    return Plan(across[-1].stop, down[-1].stop, plan.halo, across, down)


def _first(spans: Sequence[Span], count: int) -> tuple[Span, ...]:
    *found, last = spans[:count]
    return (*found, replace(last, keep_stop=last.stop))


def _measured(
    model: OpenModel,
    size: tuple[int, int],
    extent: tuple[int, int, int],
    square: Callable[[], NDArray[Any]],
) -> dict[str, Any]:
    """What is recorded of one picture. `extent`: of `WINDOWS`."""
    width, height = size
    columns, rows, times = extent
    blank = np.broadcast_to(np.uint8(0), (height, width, 3))
    (plan,) = plan_array(ArrayRows(blank), Settings(), model).tiles()
    if len(plan.columns) == 1:
        rows = max(rows, 2)  # or there would be no seam
    engine, part = model.engine(_UINT8), window(plan, columns, rows)
    layout = _layout(model, part)
    # the dtype of tiles is that of the whole picture: those that fade are joined in float
    target = np.dtype(np.float32) if _layout(model, plan).in_float else _UINT8
    pixels = _noise(part.width, part.height)
    calls: dict[str, Callable[[], Any]] = {
        "own": _call(engine, TileSpec(plan.tile_width, plan.tile_height, 3, _UINT8, target)),
        "square": square,
        "tiles": partial(_enlarged, engine, layout, pixels),
    }
    timed = in_turns(calls, times, is_warm=True)
    picture = len(plan) / len(part)

    def share(alone: str, pixels_of_one: int) -> float:
        """What the picture would take at the rate of such calls, over what it takes."""
        at_that_rate = width * height / pixels_of_one
        turns = zip(timed[alone], timed["tiles"], strict=True)
        ratios = [one * at_that_rate / (tiles * picture) for one, tiles in turns]
        return round(statistics.median(ratios), 3)

    return {
        "width": width,
        "height": height,
        "tile": [plan.tile_width, plan.tile_height],
        "tiles": len(plan),
        "seconds": round(statistics.median(timed["tiles"]) * picture, 3),
        "computed": round(plan.computed / (width * height), 3),
        "share": share("own", plan.tile_width * plan.tile_height),
        "share of square": share("square", SQUARE**2),
    }


def _call(engine: Engine, spec: TileSpec) -> Callable[[], NDArray[Any]]:
    """One call of the network on one tile, warm."""
    call = partial(engine.session(spec), _noise(spec.width, spec.height))
    call()
    return call


def _noise(width: int, height: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _layout(model: OpenModel, plan: Plan) -> Layout:
    scale = model.card.scale
    return Layout(
        size=(plan.width, plan.height),
        target=(plan.width * scale, plan.height * scale),
        plan=plan,
        scale=scale,
        channels=3,
        dtype=_UINT8,
        fades=model.card.margin is None,
    )


def _enlarged(engine: Engine, layout: Layout, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture in these tiles, as `Upscaler.upscale` does it."""
    width, height = layout.target
    result = np.empty((height, width, 3), np.uint8)
    for _ in EnlargedRows(ArrayRows(pixels), layout, engine, into=result).bands():
        pass
    return result
