"""The sheet as one self-contained HTML page: any two results under a divider, and all in a grid."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from html import escape
from pathlib import Path

from enlarge.metrics.pictures import png_url
from enlarge.trying.part import Part
from enlarge.trying.results import Tried
from enlarge.trying.sheet import seconds_text

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1200px; padding: 1.5rem 1rem 4rem; color: #1c2430;
  background: #fff; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
p { margin: .25rem 0 1rem; color: #4b5563; }
.pick { display: flex; gap: 1rem; justify-content: space-between; max-width: 768px; }
select { font: inherit; max-width: 48%; padding: .3rem; }
.two { position: relative; max-width: 768px; margin: .5rem 0; }
.two img { display: block; width: 100%; image-rendering: pixelated; }
.two img + img { position: absolute; inset: 0; clip-path: inset(0 0 0 var(--at, 50%)); }
.two::after { content: ""; position: absolute; inset: 0 auto 0 var(--at, 50%); width: 2px;
  margin-left: -1px; background: #fff; box-shadow: 0 0 3px #000; pointer-events: none; }
.two input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; }
.two:focus-within { outline: 2px solid #2563c9; outline-offset: 2px; }
.all { display: grid; gap: 1rem; margin-top: 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 260px), 1fr)); }
figure { margin: 0; }
figure img { display: block; width: 100%; image-rendering: pixelated; }
figcaption { color: #4b5563; font-size: .9rem; overflow-wrap: anywhere; }
figcaption b { color: #1c2430; }
figure button { display: block; width: 100%; padding: 0; border: 0; background: none;
  cursor: pointer; }
figure button:focus-visible { outline: 2px solid #2563c9; outline-offset: 2px; }
figure button[aria-pressed="true"] img { box-shadow: 0 0 0 3px #2563c9; }
.choice { display: block; min-height: 3.5rem; margin: 1rem 0 0; color: #4b5563; }
.choice code { display: block; overflow-wrap: anywhere; color: #1c2430; user-select: all; }
"""
_SCRIPT = """
const two = document.querySelector(".two"), images = two.querySelectorAll("img");
const shown = document.querySelectorAll(".all img");
document.querySelectorAll("select").forEach((select, side) => {
  const show = () => {
    images[side].src = shown[select.value].src;
    images[side].alt = shown[select.value].alt;
  };
  select.onchange = show;
  show();
});
const slider = two.querySelector("input");
const choice = document.querySelector(".choice"), right = document.querySelectorAll("select")[1];
document.querySelectorAll(".all button").forEach((button, _, all) => {
  button.onclick = () => {
    all.forEach((other) => other.setAttribute("aria-pressed", other === button));
    right.value = button.dataset.number;
    right.onchange();
    const command = document.createElement("code");
    command.textContent = button.dataset.command;
    choice.replaceChildren("The whole picture by " + button.title + ":", command);
  };
});
slider.oninput = () => two.style.setProperty("--at", slider.value + "%");
"""


def try_page(picture: Path, part: Part, scale: int, results: Sequence[Tried]) -> str:
    """The page. The first result is that without a model.

    A click on another one makes it the choice: it goes under the divider, and the command appears
    that enlarges the whole picture by it.
    """
    name = picture.name
    command = ["enlarge", str(picture), "--scale", str(scale), "--model"]
    x, y, width, height = part.region
    options = [
        f'<option value="{number}"{{}}>{escape(result.model)}</option>'
        for number, result in enumerate(results)
    ]
    picks = [
        f'<select aria-label="{side}">'
        + "".join(
            option.format(" selected" if number == chosen else "")
            for number, option in enumerate(options)
        )
        + "</select>"
        for side, chosen in (("left", 0), ("right", len(results) - 1))
    ]
    figures = "".join(
        _figure(result, number, shlex.join([*command, result.call]))
        for number, result in enumerate(results)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)}: every model</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(name)}</h1><p>{width}×{height} pixels at {x},{y}, enlarged ×{scale}. "
        "Seconds are those of the whole picture on this machine.</p>"
        f'<div class="pick">{"".join(picks)}</div><div class="two"><img alt=""><img alt="">'
        '<input type="range" aria-label="divider" value="50" step="any"></div>'
        '<output class="choice">A click on a result below makes that model the choice.</output>'
        f'<div class="all">{figures}</div><script>{_SCRIPT}</script></body></html>\n'
    )


def _figure(result: Tried, number: int, command: str) -> str:
    about = [f"<b>{escape(result.model)}</b>"]
    about += [seconds_text(result.whole)] if result.whole else []
    about += [escape(text) for text in (result.purpose, result.licence) if text]
    image = f'<img alt="{escape(result.model)}" src="{png_url(result.pixels)}">'
    if result.call:
        image = (
            f'<button type="button" aria-pressed="false" title="{escape(result.model)}" '
            f'data-command="{escape(command)}" data-number="{number}">{image}</button>'
        )
    return f"<figure>{image}<figcaption>{'<br>'.join(about)}</figcaption></figure>"
