"""One model file: whether it opens and runs here, how near its result is to that of the engine that
it was made for, and how long both take.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import enlarge
from benchmarks.speed.turns import in_turns, times_as_fast
from enlarge.engines import TileSpec
from enlarge.engines.protocol import FOREIGN_ERRORS, Session, first_line
from enlarge.errors import EnlargeError
from enlarge.weights.measuring import natural_picture
from enlarge.weights.runner import Picture

ODD = ((37, 53), (41, 29), (64, 33))
"""Heights and widths of the pictures that are compared."""
TURNS, SECONDS = 7, 4.0
"""The most turns of a comparison of times, and after how many seconds none begins."""
_UINT8 = np.dtype(np.uint8)
Run = Callable[[Picture], Picture]
"""(1, 3, H, W) → (1, 3, scale·H, scale·W), RGB; what goes in is in [0, 1]."""


class Home(NamedTuple):
    """A model in the engine that it was made for: `f32`, and, where they differ, as that engine
    computes by `default`.
    """

    title: str
    f32: Run
    default: Run | None = None


@dataclass(frozen=True)
class Case:
    """A model file to be tried.

    `make` writes it into a folder, or finds it; `home` opens it in its own engine. `sizes` are the
    heights and widths that are compared, `side` that of the square that is timed. `reference`: what
    both must give, if that is not what the home engine gives. `is_gray`: its pictures are gray.
    """

    name: str
    file: str
    make: Callable[[Path], Path]
    home: Callable[[Path], Home]
    sizes: Sequence[tuple[int, int]] = ODD
    side: int = 128
    reference: Run | None = None
    is_gray: bool = False


@dataclass(frozen=True)
class Row:
    """What was found about a file.

    `failed`: why it does not open or run. `scale`: its factor. `engine` and `precision`: what runs
    it by default. `levels`: by "H×W" the largest difference in f32 from the home engine (or the
    reference, also of the home engine from it), both clamped, in levels of 255. `side`: of the
    square that was timed. `ms`: medians in milliseconds, of `f32` and `default` here and of
    `home f32` and `home default`. `ratio`: how many times as fast as the home engine this is, in
    `f32` and by `default`.
    """

    name: str
    file: str
    home: str
    failed: str = ""
    scale: int = 0
    engine: str = ""
    precision: str = ""
    levels: dict[str, float] = field(default_factory=dict)
    side: int = 0
    ms: dict[str, float] = field(default_factory=dict)
    ratio: dict[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)


def measure(case: Case, *, trial: bool = False) -> Row:
    """Try a file, in a cache of its own. A trial compares one size, and times one turn."""
    with tempfile.TemporaryDirectory(prefix="enlarge-checkpoints-") as name, _cache(name):
        path = case.make(Path(name))
        home = case.home(path)
        row = Row(case.name, case.file, home.title)
        try:
            exact, usual = open_exact(path), enlarge.open_model(path)
            row = replace(row, scale=exact.card.scale)
            sizes = case.sizes[: 1 if trial else None]
            row = replace(row, levels=levels_of(case, home, exact, sizes))
            return timed(row, case, home, exact, usual, turns=1 if trial else TURNS)
        except (EnlargeError, *FOREIGN_ERRORS) as error:
            return replace(row, failed=first_line(error).replace(f"{path.parent}{os.sep}", ""))


@contextmanager
def _cache(folder: str) -> Iterator[None]:
    """A cache in that folder, and nothing prepared in the background."""
    own = {"ENLARGE_CACHE": str(Path(folder) / "cache"), "ENLARGE_PREPARE": "off"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def open_exact(path: Path) -> enlarge.Upscaler:
    """The model in f32: prepared, in OpenVINO or, if only that runs it, ncnn; or, if it cannot be
    converted, in torch. Raises `EnlargeError`.
    """
    try:
        enlarge.open_model(path, engine="openvino")  # prepares it
    except EnlargeError:
        return enlarge.open_model(path, engine="torch", precision="f32")
    return enlarge.open_model(path, precision="f32")


def levels_of(
    case: Case, home: Home, exact: enlarge.Upscaler, sizes: Sequence[tuple[int, int]]
) -> dict[str, float]:
    """See `Row.levels`. Sizes that are not computed whole are left out."""
    found = {}
    for height, width in sizes:
        if max(height, width) > max(exact.card.tiles, default=512):
            continue
        image = np.ascontiguousarray(natural_picture(max(height, width))[:, :, :height, :width])
        if case.is_gray:
            image = image[:, 1:2].repeat(3, 1)
        theirs = home.f32(image)
        wanted = case.reference(image) if case.reference else theirs
        ours = exact.upscale(image[0].transpose(1, 2, 0).copy()).transpose(2, 0, 1)[None]
        apart = max(_apart(ours, wanted), _apart(theirs, wanted))
        found[f"{height}×{width}"] = round(apart, 4)
    return found


def _apart(one: Picture, other: Picture) -> float:
    """In levels of 255, both clamped."""
    assert one.shape == other.shape, (one.shape, other.shape)
    return 255.0 * float(np.abs(np.clip(one, 0, 1) - np.clip(other, 0, 1)).max())


def timed(
    row: Row,
    case: Case,
    home: Home,
    exact: enlarge.Upscaler,
    usual: enlarge.Upscaler,
    *,
    turns: int,
) -> Row:
    """The row with times. All cores, the network alone, in turns: 8-bit pixels in and out here,
    floats there.
    """
    side = exact.card.fixed or exact.card.padded(case.side)
    image = natural_picture(side)
    engine = usual.engine(_UINT8)
    calls: dict[str, Callable[[], Any]] = {
        "f32": _session_call(exact, image),
        "home f32": partial(home.f32, image),
    }
    if (engine.name, engine.precision) != (exact.engine(_UINT8).name, "f32"):
        calls["default"] = _session_call(usual, image)
    if home.default is not None:
        calls["home default"] = partial(home.default, image)
    seconds = in_turns(calls, turns, limit=SECONDS)
    ratio = {"f32": times_as_fast(seconds, "f32", "home f32")}
    ours = "default" if "default" in seconds else "f32"
    theirs = "home default" if "home default" in seconds else "home f32"
    ratio["default"] = times_as_fast(seconds, ours, theirs)
    return replace(
        row,
        engine=engine.name,
        precision=engine.precision,
        side=side,
        ms={name: round(1000 * statistics.median(each), 2) for name, each in seconds.items()},
        ratio={name: round(value, 3) for name, value in ratio.items()},
    )


def _session_call(model: enlarge.Upscaler, image: Picture) -> Callable[[], Any]:
    pixels = np.ascontiguousarray((image[0].transpose(1, 2, 0) * 255).round().astype(np.uint8))
    session: Session = model.engine(_UINT8).session(
        TileSpec(pixels.shape[1], pixels.shape[0], 3, _UINT8, _UINT8)
    )
    return partial(session, pixels)
