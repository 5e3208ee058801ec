"""Memory: budgets hold, and the peak does not grow with the height of a picture."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyvips

from benchmarks.proofs.result import Proof, Result, enlarge, refusal
from enlarge.picture.budget import Budget, TileChoice, choose_tiles
from enlarge.picture.passes import BANDS, Pass
from enlarge.weights.catalog import find_weights

SAMPLE = Path(__file__).parents[2] / "samples" / "photo.jpg"
MB = 10**6


def picture(folder: Path, width: int, height: int, suffix: str = ".png", **options: object) -> Path:
    """A large picture: the sample photograph, repeated."""
    tile = pyvips.Image.new_from_file(str(SAMPLE))
    across, down = -(-width // tile.width), -(-height // tile.height)
    path = folder / f"{width}x{height}{suffix}"
    image = tile.replicate(across, down).crop(0, 0, width, height)
    if suffix == ".png":
        options = {"compression": 1, **options}
    image.write_to_file(str(path), **options)
    return path


def _within(
    width: int, height: int, budget: str, limit: int, *options: str, name: str = "out.png"
) -> Result:
    with tempfile.TemporaryDirectory(prefix="proof-") as folder:
        source = picture(Path(folder), width, height)
        target = Path(folder) / name
        done = enlarge(source, "-o", target, "--memory", budget, *options)
        out = pyvips.Image.new_from_file(str(target))
        right = (out.width, out.height) == (done["width"], done["height"])
    peak = done["peak_memory"]
    return Result(
        f"{' '.join([f'{width:,} × {height:,}', *options])} stays within --memory {budget}",
        f"{done['width']:,} × {done['height']:,} in {done['seconds']:.0f} s, peak "
        f"{peak / MB:.0f} MB, tiles {done['tile'][0]}×{done['tile'][1]}, {done['precision']}",
        right and peak <= limit,
    )


def flat_in_height() -> Result:
    """The peak at 8,192 wide, for heights of 4,096 and 16,384."""
    peaks = []
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        for height in (4096, 16384):
            source = picture(Path(name), 8192, height)
            done = enlarge(source, "-o", Path(name) / "o.png", "--tile", "448", "--overwrite")
            peaks.append(done["peak_memory"])
    change = peaks[1] / peaks[0] - 1
    return Result(
        "8,192 wide: the peak is the same for heights of 4,096 and 16,384 (± 10 %)",
        f"{peaks[0] / MB:.0f} and {peaks[1] / MB:.0f} MB ({change:+.1%})",
        abs(change) <= 0.1,
    )


def growth_with_width() -> Result:
    """Bytes of peak per pixel of input width."""
    peaks = {}
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        for width in (2048, 8192):
            source = picture(Path(name), width, 900)
            done = enlarge(source, "-o", Path(name) / "o.png", "--tile", "448", "--overwrite")
            peaks[width] = done["peak_memory"]
    slope = (peaks[8192] - peaks[2048]) / (8192 - 2048)
    per_row = 3 * 4 * 4 * BANDS  # bytes of one column of the bands' result, per input row
    return Result(
        "the peak grows with the width by at most three bands of the result",
        f"{slope / 1000:.1f} kB per pixel of width with tiles of 448 "
        f"({peaks[2048] / MB:.0f} → {peaks[8192] / MB:.0f} MB)",
        slope <= per_row * 448,
    )


def progressive_and_turned() -> Result:
    """A 48-megapixel progressive JPEG with orientation 6."""
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        source = Path(name) / "phone.jpg"
        image = pyvips.Image.new_from_file(str(SAMPLE)).replicate(16, 8).crop(0, 0, 8000, 6000)
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, "orientation", 6)
        image.jpegsave(str(source), Q=90, interlace=True)
        done = enlarge(source, "-o", Path(name) / "o.png", "--memory", "1GB")
    peak = done["peak_memory"]
    return Result(
        "a 48-megapixel progressive JPEG with orientation 6 stays within --memory 1GB",
        f"{done['width']:,} × {done['height']:,} in {done['seconds']:.0f} s, "
        f"peak {peak / MB:.0f} MB",
        (done["width"], done["height"]) == (24000, 32000) and peak <= 1000 * MB,
    )


def too_small() -> Result:
    """A budget below what the process needs is refused, naming the smallest; that one works."""
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        source = picture(Path(name), 1700, 1000)
        target = Path(name) / "o.png"
        line = refusal(source, "-o", target, "--memory", "200MB", "--precision", "f32")
        smallest = line.rsplit("is ", 1)[1].replace(" ", "")
        nothing = not target.exists()
        done = enlarge(source, "-o", target, "--memory", smallest, "--precision", "f32")
    limit = int(smallest.removesuffix("MB")) * MB
    return Result(
        "--memory 200MB is refused, and the message names the lowest limit that works",
        f"smallest {smallest}; then the peak is {done['peak_memory'] / MB:.0f} MB",
        nothing and done["peak_memory"] <= limit,
    )


def planned_80000() -> Result:
    """20,000² → 80,000²: the plan alone, within 1.5 GB."""
    card = find_weights("fast").card
    step = Pass(20_000, 20_000, 80_000, 80_000, 3, 1)
    (plan,) = choose_tiles(TileChoice((step,), card), Budget(1500 * MB, held=200 * MB))
    kept = sum(
        (t.columns.keep_stop - t.columns.keep_start) * (t.rows.keep_stop - t.rows.keep_start)
        for t in plan
    )
    return Result(
        "20,000² → 80,000²: the plan fits 1.5 GB and covers every pixel once",
        f"{len(plan):,} tiles of {plan.tile_width}×{plan.tile_height}",
        kept == 20_000**2,
    )


def sixteen_bits_wide() -> Result:
    """A 16-bit picture with alpha, the widest pixels there are, within its budget."""
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        random = np.random.default_rng(0)
        pixels = random.integers(0, 65536, (900, 4000, 4)).astype(np.uint16)
        source = Path(name) / "deep.png"
        pyvips.Image.new_from_array(pixels, interpretation="rgb16").pngsave(
            str(source), compression=1
        )
        done = enlarge(source, "-o", Path(name) / "o.tif", "--memory", "1GB")
    peak = done["peak_memory"]
    return Result(
        "4,000 × 900, 16 bits, RGB with alpha, to TIFF stays within --memory 1GB",
        f"peak {peak / MB:.0f} MB, tiles {done['tile'][0]}×{done['tile'][1]}",
        peak <= 1000 * MB,
    )


PROOFS: dict[str, Proof] = {
    "gigapixel out": lambda: _within(8192, 8192, "1.5GB", 1500 * MB),
    "gigapixel, scale 1": lambda: _within(32768, 32768, "1.5GB", 1500 * MB, "--scale", "1"),
    "gigapixel pyramid": lambda: _within(
        32768, 32768, "1.5GB", 1500 * MB, "--scale", "1", "--pyramid", name="out.tif"
    ),
    "a sixteenth of a gigapixel, scale 1": lambda: _within(
        32768, 2048, "1.5GB", 1500 * MB, "--scale", "1"
    ),
    "scale 16": lambda: _within(2048, 2048, "1.5GB", 1500 * MB, "--scale", "16"),
    "f32 in 600 MB": lambda: _within(1700, 1700, "600MB", 600 * MB, "--precision", "f32"),
    "16 bits in 1 GB": sixteen_bits_wide,
    "flat in height": flat_in_height,
    "growth with width": growth_with_width,
    "progressive JPEG, rotated": progressive_and_turned,
    "limit too low": too_small,
    "80,000²": planned_80000,
}
