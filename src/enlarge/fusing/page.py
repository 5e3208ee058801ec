"""The report of a fusion as one self-contained HTML page."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.result import FrameReport, FusedPicture, FusionReport
from enlarge.fusing.settings import NONE
from enlarge.media.resample import imresize
from enlarge.metrics.pictures import png_url

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1200px; padding: 1.5rem 1rem 4rem; color: #1c2430;
  background: #fff; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
p, figcaption { color: #4b5563; margin: .25rem 0; }
.pictures { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 360px), 1fr)); }
figure { margin: 0; }
figure img { display: block; width: 100%; image-rendering: pixelated; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e8ebef; }
th:first-child, td:first-child, td:last-child { text-align: left; overflow-wrap: anywhere; }
td.digest { font: 12px ui-monospace, monospace; }
.out td { color: #a33; }
"""


def fusion_page(made: FusedPicture) -> str:
    """The page: pictures, what was gained, and every frame."""
    report = made.report
    height, width = made.picture.shape[:2]
    figures = [
        ("one frame, enlarged by bicubic interpolation", imresize(made.single, height, width)),
        (_fused_words(report), imresize(made.fused, height, width)),
    ]
    if report.then != NONE:
        figures.append((f"fused, then {report.then}", made.picture))
    figures.append((_samples_words(report), _drawn(report.samples)))
    rows = "".join(map(_row, report.frames))
    heads = ("frame", "moved, px", "weight", "correlation", "brightness", "SHA-256", "not used")
    facts = "".join(f"<li>{escape(line)}</li>" for line in _facts(report))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>enlarge: {len(report.used)} frames fused</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(report.provenance.capitalize())}</h1>"
        f'<ul>{facts}</ul><div class="pictures">{"".join(map(_figure, figures))}</div>'
        f'<h2>Frames</h2><div class="wide"><table><thead><tr>'
        f"{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead><tbody>{rows}</tbody></table>"
        "</div></body></html>\n"
    )


def _facts(report: FusionReport) -> list[str]:
    x, y, width, height = report.region
    reference = next(frame.name for frame in report.frames if frame.number == report.reference)
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    return [
        f"Region: {width}×{height} pixels at {x},{y} of {reference}.",
        f"Noise of one frame's luma: {report.noise:.1f} levels of 255; {report.noise_gain:.1f} "
        "times less in the mean of all.",
        report.verdict,
        _resolved(report),
        *_sharpened(report),
        f"Settings: {settings}.",
        f"SHA-256 of the picture's pixels: {report.digest}.",
    ]


def _resolved(report: FusionReport) -> str:
    """How fine the details are that frames show."""
    resolution = report.resolution
    if not resolution.single or not resolution.fused:
        return "What is resolved was not measured: it takes at least four frames."
    return (
        f"The scene is stronger than the noise up to {resolution.single:.2f} cycles per pixel in "
        f"one frame, and {resolution.fused:.2f} in all: details are {resolution.gain:.2f} times as "
        "fine."
    )


def _sharpened(report: FusionReport) -> list[str]:
    """What the camera did to its frames, if that is seen."""
    amount = report.resolution.sharpening
    if not amount:
        return []
    return [
        "Edges overshoot: the camera sharpened its frames, about as an unsharp mask of "
        f"{amount:.1f} does. Its halos were removed."
    ]


def _fused_words(report: FusionReport) -> str:
    count = len(report.used)
    return f"{count} frames fused, no network" if report.gains else "one frame, deblurred"


def _samples_words(report: FusionReport) -> str:
    samples = report.samples
    return (
        f"pixels of frames in each pixel of the region: {samples.min():.0f} (black) to "
        f"{samples.max():.0f} (white), {samples.mean():.1f} in the mean"
    )


def _drawn(samples: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The map of samples as a gray picture (h, w, 3)."""
    low, high = float(samples.min()), float(samples.max())
    share = (samples - low) / max(high - low, 1e-6) if high > low else np.ones_like(samples)
    gray = (255 * share).round().astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def _row(frame: FrameReport) -> str:
    across, down = frame.shift
    cells = [
        escape(frame.name),
        f"{across:+.2f}, {down:+.2f}",
        f"{frame.weight:.2f}",
        f"{frame.correlation:.3f}",
        f"×{frame.gain:.3f} {frame.offset:+.1f}",
    ]
    mark = "" if frame.used else ' class="out"'
    return (
        f"<tr{mark}>{''.join(f'<td>{cell}</td>' for cell in cells)}"
        f'<td class="digest">{frame.digest}</td><td>{escape(frame.reason)}</td></tr>'
    )


def _figure(figure: tuple[str, NDArray[Any]]) -> str:
    caption, pixels = figure
    return (
        f'<figure><img alt="{escape(caption)}" src="{png_url(pixels)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
