"""Our own parts of the page, in plain HTML and JavaScript that lie beside this file (`front/`):
the before/after viewer, the picker of a part, the tile plan, and pasting. Nothing is loaded from
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from enlarge.app.views import Box

MOST_SHOWN = 4_000_000
"""Pixels of a part that is shown in full, as viewer.js asks for."""

_FRONT = Path(__file__).parent / "front"


@cache
def _component(name: str) -> Callable[..., Any]:
    css = (_FRONT / "base.css").read_text(encoding="utf-8")
    own = _FRONT / f"{name}.css"
    if own.exists():
        css += own.read_text(encoding="utf-8")
    script = (_FRONT / f"{name}.js").read_text(encoding="utf-8")
    html = '<div class="root"></div>'
    return st.components.v2.component(f"enlarge_{name}", html=html, css=css, js=script)


def _nothing() -> None:
    """A component's state is only kept where somebody listens to it."""


@dataclass(frozen=True)
class Layer:
    """A picture in the viewer: what it is called, and its URL."""

    name: str
    src: str


def viewer(
    layers: Sequence[Layer],
    width: int,
    height: int,
    *,
    key: str,
    texts: Mapping[str, str],
    token: str,
    reduced: int = 1,
    part: tuple[Box, Sequence[str]] | None = None,
) -> Box | None:
    """Layers of one place with a divider between two of them.

    `width`, `height`: of the place in its own pixels, of which the layers may show each
    `reduced`-th; `part`: a box of it with its URL for every layer. `token` says what is shown (it
    stands in the page as `data-shown`). Returns the part that the visitor wants to see in its own
    pixels, None where what is there suffices.
    """
    urls = part[1] if part else [None] * len(layers)
    data = {
        "layers": [
            {"name": layer.name, "src": layer.src, "part": url}
            for layer, url in zip(layers, urls, strict=True)
        ],
        "width": width,
        "height": height,
        "box": vars(part[0]) if part else None,
        "left": 0,
        "right": 1,
        "reduced": reduced,
        "token": token,
        "texts": dict(texts),
    }
    found = _component("viewer")(key=key, data=data, on_region_change=_nothing)
    wanted = Box(*(int(value) for value in found.region)) if found.get("region") else None
    return wanted if wanted is not None and _is_shown(wanted, width, height) else None


def _is_shown(box: Box, width: int, height: int) -> bool:
    """Whether a part that the browser asks for lies inside, and is one that a screen shows."""
    inside = min(box.x, box.y) >= 0 and box.x + box.width <= width and box.y + box.height <= height
    return inside and min(box.width, box.height) > 0 and box.width * box.height <= MOST_SHOWN


def picker(
    src: str,
    width: int,
    height: int,
    *,
    box: tuple[int, int],
    at: tuple[int, int],
    label: str,
    said: str,
    key: str,
) -> tuple[int, int]:
    """A picture of `width` × `height` pixels in which a part of size `box` is picked: its corner,
    which is `at` until the visitor moves it. `said`: what is read out then, with {x} and {y}.
    """
    current = st.session_state.get(key)
    if current and current.get("at"):
        at = _inside(current["at"], (width, height), box)
    data = {
        "src": src, "width": width, "height": height, "box": box, "at": at, "label": label,
        "said": said,
    }  # fmt: skip
    found = _component("picker")(key=key, data=data, on_at_change=_nothing)
    return _inside(found["at"], (width, height), box) if found.get("at") else at


def _inside(at: Sequence[float], size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    x, y = (min(max(int(at[i]), 0), size[i] - box[i]) for i in (0, 1))
    return x, y


def plan_view(data: Mapping[str, Any], *, key: str) -> None:
    """The tile plan of a picture; `data` as plan.js says."""
    _component("plan")(key=key, data=dict(data))


def pasted(most: int, language: str) -> Mapping[str, Any] | None:
    """What was pasted since the last run: `name`, `id`, and `content` in base64, or `size` where
    it has more than `most` bytes. The document is marked as being in that language: this part of
    the page is always there.
    """
    data = {"most": most, "language": language}
    found = _component("paste")(key="paste", data=data, on_file_change=_nothing)
    value: Mapping[str, Any] | None = found.get("file")
    return value
