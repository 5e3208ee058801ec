"""Reports of evaluations and batches as one self-contained HTML page, without scripts."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

COLOURS = ("#8a8f98", "#b9a06a", "#2563c9", "#c2410c", "#15803d", "#9333ea", "#be185d", "#0e7490")
PERCEPTUAL = {"lpips": "LPIPS", "lpips_vgg": "LPIPS (VGG)", "dists": "DISTS"}
"""The names of the perceptual metrics in tables; lower is better."""
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 640, 360, 60, 46, 14, 16

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 1.5rem 1rem 4rem; color: #1c2430;
  background: #fff; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-top: 1px solid #dfe3e8; padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p, figcaption { margin: .25rem 0; color: #4b5563; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #e8ebef;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
.best { font-weight: 700; }
.charts { display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); }
figure { margin: 0; min-width: 0; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 13px system-ui, sans-serif; fill: #4b5563; }
.key span { display: inline-block; margin-right: 1rem; }
.key i { display: inline-block; width: .75em; height: .75em; border-radius: 50%;
  margin-right: .35em; }
.crops { display: grid; gap: .5rem; grid-template-columns: repeat(3, minmax(0, 1fr));
  max-width: 800px; }
.crops img { width: 100%; display: block; image-rendering: pixelated; background: #eef0f3; }
details { margin-top: 1rem; }
summary { cursor: pointer; }
@media (max-width: 520px) { svg text { font-size: 20px; } }
"""


@dataclass(frozen=True)
class CropRow:
    """Crops of one square of a picture: captions and PNG files."""

    title: str
    pictures: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class _Point:
    x: float
    y: float
    label: str
    colour: str


def evaluation_page(document: dict[str, Any], worst: Sequence[CropRow]) -> str:
    """The page for the document of `enlarge evaluate`, with crops of the worst pictures."""
    results = document["results"]
    names = list(dict.fromkeys(result["model"] for result in results))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    sets = list(dict.fromkeys(result["data"] for result in results))
    body = [f"<h1>Evaluation</h1><p>{escape(document['protocol']['text'])}</p>"]
    for name in sets:
        body.append(_section([r for r in results if r["data"] == name], colours))
    if worst:
        body.append("<h2>The worst pictures</h2>")
        body += map(_crops, worst)
    return _page("enlarge: evaluation", "".join(body))


def batch_page(document: dict[str, Any]) -> str:
    """The page for the document of a batch (`enlarge … --json`)."""
    done, failed = document["results"], document["failed"]
    kept, skipped = document.get("kept", []), document.get("skipped", [])
    pixels = sum(result["width"] * result["height"] for result in done)
    body = [
        "<h1>Batch</h1>",
        f"<p>{len(done):,} enlarged ({pixels / 1e6:,.0f} megapixels), {len(kept):,} done before, "
        f"{len(failed):,} failed; {document['seconds']:,.1f} seconds</p>",
    ]
    if failed:
        rows = [[escape(entry["input"]), escape(entry["error"])] for entry in failed]
        body.append(f'<h2>Failed</h2><div class="wide">{_table(("input", "why"), rows)}</div>')
    if done:
        ways = {(r["model"], r["engine"], r["device"], r["precision"]) for r in done}
        body.append("<h2>Enlarged</h2>")
        body += [f"<p>{escape(f'{m} on {e} ({d}) in {p}')}</p>" for m, e, d, p in sorted(ways)]
        head = ("input", "output", "size", "tiles", "seconds", "peak memory", "notes")
        body.append(f'<div class="wide">{_table(head, [_batch_row(r) for r in done])}</div>')
    if kept:
        rows = [[escape(entry["input"]), escape(entry["output"])] for entry in kept]
        body.append(
            f'<h2>Done before</h2><div class="wide">{_table(("input", "output"), rows)}</div>'
        )
    if skipped:
        rows = [[escape(entry["input"]), escape(entry["reason"])] for entry in skipped]
        body.append(f'<h2>Left out</h2><div class="wide">{_table(("input", "why"), rows)}</div>')
    return _page("enlarge: batch", "".join(body))


def _batch_row(result: dict[str, Any]) -> list[str]:
    memory = result["peak_memory"]
    wide, high = result["tile"]
    return [
        escape(result["input"]),
        escape(result["output"]),
        f"{result['width']:,}×{result['height']:,}",
        f"{result['tiles']:,} of {wide}×{high}",
        f"{result['seconds']:.2f}",
        f"{memory / 1e6:.0f} MB" if memory else "–",
        escape("; ".join(result["notes"])),
    ]


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _section(results: Sequence[dict[str, Any]], colours: dict[str, str]) -> str:
    first = results[0]
    count = len(first["images"])
    key = "".join(
        f'<span><i style="background:{colours[r["model"]]}"></i>{escape(r["model"])}</span>'
        for r in results
    )
    pareto = [
        _Point(max(r["seconds"], 1e-3), float(r["psnr"]), r["model"], colours[r["model"]])
        for r in results
    ]
    return (
        f"<h2>{escape(first['data'])} <small>×{first['factor']}, {count} pictures</small></h2>"
        f'<div class="wide">{_means(results)}</div><p class="key">{key}</p><div class="charts">'
        + _figure(
            "Mean PSNR against the seconds that the whole set took; the line joins those that "
            "nothing beats in less time",
            pareto,
            "seconds",
            "dB",
            log=True,
            front=True,
        )
        + _figure(
            "Each picture: what a model gains over bicubic",
            list(_scatter(results, colours)),
            "PSNR of bicubic, dB",
            "gain, dB",
        )
        + "</div><details><summary>Every picture</summary>"
        f'<div class="wide">{_images(results)}</div></details>'
    )


def _means(results: Sequence[dict[str, Any]]) -> str:
    others = [key for key in PERCEPTUAL if key in results[0]]
    best = {key: max(float(result[key]) for result in results) for key in ("psnr", "ssim")}
    best |= {key: min(result[key] for result in results) for key in others}
    rows = []
    for result in results:
        cells = [escape(result["model"]), escape(result["precision"] or "–")]
        for key, digits in (("psnr", 2), ("ssim", 4), *((key, 4) for key in others)):
            value = float(result[key])
            text = "∞" if math.isinf(value) else f"{value:.{digits}f}"
            cells.append(f'<span class="best">{text}</span>' if value == best[key] else text)
        memory = result["peak_memory"]
        cells += [f"{result['seconds']:.2f}", f"{memory / 1e6:.0f} MB" if memory else "–"]
        rows.append(cells)
    shown = ("PSNR, dB", "SSIM", *(PERCEPTUAL[key] for key in others))
    return _table(("model", "precision", *shown, "seconds", "peak memory"), rows)


def _images(results: Sequence[dict[str, Any]]) -> str:
    rows = []
    for images in zip(*(result["images"] for result in results), strict=True):
        rows.append([escape(images[0]["name"]), *map(_scores, images)])
    return _table(("picture", *(escape(result["model"]) for result in results)), rows)


def _scores(image: dict[str, Any]) -> str:
    others = (f"{image[key]:.4f}" for key in ("ssim", *PERCEPTUAL) if key in image)
    return " / ".join([_db(image["psnr"]), *others])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _scatter(results: Sequence[dict[str, Any]], colours: dict[str, str]) -> Iterator[_Point]:
    """Each picture of each model but bicubic: its gain over bicubic's PSNR. Finite ones only."""
    base = next((r for r in results if r["model"] == "bicubic"), results[0])
    for result in results:
        if result is base:
            continue
        for plain, image in zip(base["images"], result["images"], strict=True):
            x, y = float(plain["psnr"]), float(image["psnr"])
            if math.isfinite(x) and math.isfinite(y):
                label = f"{image['name']}, {result['model']}: {y:.2f} dB"
                yield _Point(x, y - x, label, colours[result["model"]])


def _db(value: float | str) -> str:
    number = float(value)
    return "∞" if math.isinf(number) else f"{number:.2f}"


def _front(points: Sequence[_Point]) -> list[_Point]:
    """The Pareto front, from left to right: points higher than all points to their left."""
    found: list[_Point] = []
    for point in sorted(points, key=lambda p: (p.x, -p.y)):
        if not found or point.y > found[-1].y:
            found.append(point)
    return found


def _figure(
    title: str,
    points: Sequence[_Point],
    x_name: str,
    y_name: str,
    *,
    log: bool = False,
    front: bool = False,
) -> str:
    """A chart of points as SVG, each with its label as a tooltip; `front`: the Pareto front too."""
    points = [point for point in points if math.isfinite(point.y)]
    if not points:
        return f"<figure><figcaption>{escape(title)}: nothing finite to draw</figcaption></figure>"

    def place(x: float) -> float:
        return math.log10(x) if log else x

    xs, ys = _axis([place(p.x) for p in points], log), _axis([p.y for p in points], False)
    across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at_x(x: float) -> float:
        return _LEFT + across * (x - xs[0]) / (xs[-1] - xs[0])

    def at_y(y: float) -> float:
        return _TOP + down * (1.0 - (y - ys[0]) / (ys[-1] - ys[0]))

    parts = []
    for y in ys:
        parts.append(_line(_LEFT, at_y(y), _WIDTH - _RIGHT, at_y(y)))
        parts.append(_text(_LEFT - 8, at_y(y) + 4, f"{y:g}", "end"))
    for x in xs:
        parts.append(_line(at_x(x), _TOP, at_x(x), _HEIGHT - _BOTTOM))
        shown = f"{10**x:g}" if log else f"{x:g}"
        parts.append(_text(at_x(x), _HEIGHT - _BOTTOM + 18, shown, "middle"))
    parts.append(_text(_WIDTH - _RIGHT, _HEIGHT - 8, x_name, "end"))
    parts.append(_text(_LEFT + 6, _TOP + 12, y_name, "start"))
    if front:
        corners = " ".join(f"{at_x(place(p.x)):.1f},{at_y(p.y):.1f}" for p in _front(points))
        parts.append(
            f'<polyline points="{corners}" fill="none" stroke="#8a8f98" stroke-dasharray="5 4"/>'
        )
    for p in points:
        parts.append(
            f'<circle cx="{at_x(place(p.x)):.1f}" cy="{at_y(p.y):.1f}" r="5" fill="{p.colour}" '
            f'fill-opacity=".8"><title>{escape(p.label)}</title></circle>'
        )
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg></figure>"
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#e5e8ec"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _axis(values: Sequence[float], log: bool) -> list[float]:
    """Round ticks that enclose all values; whole powers of ten for logarithms."""
    low, high = min(values), max(values)
    if log:
        first = math.floor(low)
        return [float(n) for n in range(first, max(math.ceil(high), first + 1) + 1)]
    span = max(high - low, 0.1)
    step = 10.0 ** math.floor(math.log10(span / 4.0))
    step = next(step * k for k in (1, 2, 5, 10) if span / (step * k) <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(n * step, 9) for n in range(first, max(last, first + 1) + 1)]


def _crops(crops: CropRow) -> str:
    figures = "".join(
        f'<figure><img alt="{escape(caption)}" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, png in crops.pictures
    )
    return f'<h3>{escape(crops.title)}</h3><div class="crops">{figures}</div>'
