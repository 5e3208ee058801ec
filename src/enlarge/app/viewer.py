"""The page's own components, in plain HTML and JavaScript (folder `front`).

They are the before/after viewer, the picker of a part, the tile plan, and pasting. Nothing is
loaded from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from enlarge.app.transfer import ROUTE
from enlarge.app.views import Box

MAX_REGION = 4_000_000
"""The most pixels of a region that viewer.js asks for."""

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
    """A callback that does nothing: Streamlit keeps a component's state only if there is one."""


@dataclass(frozen=True)
class Layer:
    """One of the pictures that the viewer compares: its name and its URL."""

    name: str
    src: str


@dataclass(frozen=True)
class Detail:
    """A box of the scene in its own pixels: one URL for every layer."""

    box: Box
    urls: Sequence[str]


@dataclass(frozen=True)
class Scene:
    """What the viewer shows: layers of one size.

    `width`, `height`: in the scene's own pixels, of which the layers may show every `reduced`-th.
    `detail`: a box that is shown in its own pixels. `token`: identifies what is shown; the page
    has it as `data-shown`.
    """

    layers: Sequence[Layer]
    width: int
    height: int
    token: str
    reduced: int = 1
    detail: Detail | None = None


@dataclass(frozen=True)
class Thumbnail:
    """A small view of a picture: its URL, and the picture's own width and height."""

    src: str
    width: int
    height: int


def viewer(scene: Scene, *, key: str, texts: Mapping[str, str]) -> Box | None:
    """Show the scene with a divider between two layers.

    Returns the box that the visitor wants to see in its own pixels; None if none is needed.
    """
    detail = scene.detail
    urls = detail.urls if detail else [None] * len(scene.layers)
    data = {
        "layers": [
            {"name": layer.name, "src": layer.src, "part": url}
            for layer, url in zip(scene.layers, urls, strict=True)
        ],
        "width": scene.width,
        "height": scene.height,
        "box": vars(detail.box) if detail else None,
        "left": 0,
        "right": 1,
        "reduced": scene.reduced,
        "token": scene.token,
        "texts": dict(texts),
    }
    found = _component("viewer")(key=key, data=data, on_region_change=_nothing)
    wanted = Box(*(int(value) for value in found.region)) if found.get("region") else None
    fits = wanted is not None and is_valid_region(wanted, scene.width, scene.height)
    return wanted if fits else None


def is_valid_region(box: Box, width: int, height: int) -> bool:
    """Whether a box that the browser asks for lies inside, and is not larger than a screen."""
    inside = min(box.x, box.y) >= 0 and box.x + box.width <= width and box.y + box.height <= height
    return inside and min(box.width, box.height) > 0 and box.width * box.height <= MAX_REGION


def picker(
    picture: Thumbnail,
    *,
    box: tuple[int, int],
    at: tuple[int, int],
    texts: Mapping[str, str],
    key: str,
) -> tuple[int, int]:
    """Let the visitor pick a part of width and height `box`, and return its corner.

    The corner is `at` until the visitor moves it. `texts`: the `label`, and what is `said` to
    screen readers after a move, with {x} and {y}.
    """
    current, size = st.session_state.get(key), (picture.width, picture.height)
    if current and current.get("at"):
        at = _inside(current["at"], size, box)
    data = {**vars(picture), "box": box, "at": at, **texts}
    found = _component("picker")(key=key, data=data, on_at_change=_nothing)
    return _inside(found["at"], size, box) if found.get("at") else at


def _inside(at: Sequence[float], size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    x, y = (min(max(int(at[i]), 0), size[i] - box[i]) for i in (0, 1))
    return x, y


def plan_view(data: Mapping[str, Any], *, key: str) -> None:
    """Draw the tile plan of a picture; plan.js documents `data`."""
    _component("plan")(key=key, data=dict(data))


def pasted(most: int, language: str) -> Mapping[str, Any] | None:
    """Return what was pasted since the last run, or None.

    It has `name`, `id`, and `content` in base64, or `size` if it has more than `most` bytes. This
    component is on every page, so it also sets the document's language.
    """
    data = {"most": most, "language": language}
    found = _component("paste")(key="paste", data=data, on_file_change=_nothing)
    value: Mapping[str, Any] | None = found.get("file")
    return value


def choose_video(
    gate: str, *, most: int, suffixes: Sequence[str], texts: Mapping[str, str], key: str
) -> None:
    """Let the visitor choose or drop a video of at most `most` bytes, and send it to `gate`. The
    page runs again when it has come.
    """
    data = {"url": f"{ROUTE}/{gate}", "most": most, "suffixes": list(suffixes)}
    _component("video")(key=key, data={**data, "texts": dict(texts)}, on_came_change=_nothing)


def player(gate: str, name: str, *, texts: Mapping[str, str], key: str) -> None:
    """Play the video behind `gate`, and offer it as a file called `name`."""
    data = {"url": f"{ROUTE}/{gate}", "name": name, "texts": dict(texts)}
    _component("player")(key=key, data=data)
