"""A part of a picture, picked by the visitor and enlarged at once."""

from __future__ import annotations

import time
from typing import NamedTuple, cast

import streamlit as st

from enlarge.app.frame import Page, preview_size
from enlarge.app.viewer import Layer, Scene, Thumbnail, picker, viewer
from enlarge.app.views import Box, Pixels, data_url, enlarge_bicubic, read_part, read_reduced, shown
from enlarge.app.visit import Item
from enlarge.app.work import Sentence, model_label, weights_of
from enlarge.errors import EnlargeError
from enlarge.settings import Settings

_MAX_KEPT = 8
"""Parts of a picture that are kept, so that returning to one does not compute it again."""


class EnlargedPart(NamedTuple):
    """A part of a picture through a model: uint8 (H, W, 3) RGB, and the seconds it took."""

    pixels: Pixels
    seconds: float


class _Preview(NamedTuple):
    """A previewed part as the viewer takes it: URLs, width and height, and seconds."""

    low: str
    high: str
    size: tuple[int, int]
    seconds: float


@st.fragment
def show_preview(page: Page, item: Item, settings: Settings) -> None:
    """Let the visitor pick a part, and show it bicubic and enlarged."""
    outlook = page.outlook(item, settings)
    if isinstance(outlook, Sentence):
        return
    scale = outlook.width / item.known().width
    try:
        part, whole = st.columns([2, 1])
        with whole:
            box = pick_part(page, item, scale, key=f"pick-{item.key}")
        with part:
            preview = _preview(page, item, settings, box, (outlook.width, outlook.height))
            layers = [
                Layer(page.say("bicubic"), preview.low),
                Layer(model_label(settings), preview.high),
            ]
            viewer(
                Scene(layers, *preview.size, token=f"{box.x},{box.y}"),
                key=f"preview-{item.key}",
                texts=page.viewer_texts(),
            )
            seconds = page.say("preview_seconds", seconds=f"{preview.seconds:.2f}")
            st.caption(f"{page.say('evidence')} {seconds}")
    except EnlargeError as error:
        st.error(page.say_error(item, error))


def pick_part(page: Page, item: Item, scale: float, *, key: str) -> Box:
    """Show the whole picture, small, and return the part that the visitor picked in it.

    Raises `EnlargeError` for a picture that is truncated.
    """
    facts = item.known()
    if "small" not in item.views:
        item.views["small"] = data_url(read_reduced(item.source, 480_000, item.page)[0])
    width, height = preview_size(item, scale)
    x, y = picker(
        Thumbnail(item.views["small"], facts.width, facts.height),
        box=(width, height),
        at=((facts.width - width) // 2, (facts.height - height) // 2),
        texts={"label": page.say("pick"), "said": page.say("picked", x="{x}", y="{y}")},
        key=key,
    )
    st.caption(page.say("preview_help"))
    return Box(x, y, width, height)


def enlarge_part(
    page: Page, item: Item, settings: Settings, box: Box, size: tuple[int, int]
) -> EnlargedPart:
    """Enlarge a part of a picture to `size` (width, height). Raises `EnlargeError`."""
    model = page.open(weights_of(settings))
    begun = time.perf_counter()
    large = model.upscale(
        item.source, crop=(box.x, box.y, box.width, box.height), width=size[0], height=size[1],
        memory=page.options.memory, ensemble=settings.ensemble, page=item.page,
    )  # fmt: skip
    return EnlargedPart(shown(large), time.perf_counter() - begun)


def _preview(
    page: Page, item: Item, settings: Settings, box: Box, whole: tuple[int, int]
) -> _Preview:
    """The part in both ways, of a result of size `whole`. Raises `EnlargeError`."""
    key = ("part", model_label(settings), settings.ensemble, whole, box)
    if key not in item.views:
        facts = item.known()
        size = (
            max(box.width, round(box.width * whole[0] / facts.width)),
            max(box.height, round(box.height * whole[1] / facts.height)),
        )
        large = enlarge_part(page, item, settings, box, size)
        low = enlarge_bicubic(read_part(item.source, box, item.page), *size)
        for old in [old for old in item.views if old[0] == "part"][:-_MAX_KEPT]:
            del item.views[old]
        item.views[key] = _Preview(data_url(low), data_url(large.pixels), size, large.seconds)
    return cast(_Preview, item.views[key])
