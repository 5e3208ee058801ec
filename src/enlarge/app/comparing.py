"""The tab "Compare models": one part of a picture, enlarged in two ways."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import streamlit as st

from enlarge.app.frame import Page
from enlarge.app.preview import EnlargedPart, enlarge_part, pick_part
from enlarge.app.viewer import Layer, Scene, viewer
from enlarge.app.views import Box, data_url, enlarge_bicubic, read_part
from enlarge.app.visit import Item
from enlarge.errors import EnlargeError
from enlarge.metrics.comparison import difference
from enlarge.settings import Settings
from enlarge.weights.catalog import list_weights

_BICUBIC = ""
_SCALE = 4


def compare_tab(page: Page, item: Item | None) -> None:
    """The tab, for the selected picture or the sample."""
    st.markdown(page.say("compare_intro"))
    if (item := page.shown_item(item)) is None:
        return
    _compare(page, item)


@st.fragment
def _compare(page: Page, item: Item) -> None:
    chosen = _choose_two(page)
    try:
        part, whole = st.columns([2, 1])
        with whole:
            box = pick_part(page, item, _SCALE, key=f"compare-pick-{item.key}")
        made = [_enlarged(page, item, way, box) for way in chosen]
    except EnlargeError as error:
        st.error(page.say_error(item, error))
        return
    with part:
        _show(page, item, chosen, made, f"{chosen[0]},{chosen[1]},{box.x},{box.y}")


def _choose_two(page: Page) -> tuple[str, str]:
    """The models for the left and the right side; `_BICUBIC` for none."""
    ways = [*(weights.path.stem for weights in list_weights()), _BICUBIC]
    default = ways.index(page.options.model) if page.options.model in ways else 0
    left, right = (
        column.selectbox(
            page.say(side),
            ways,
            index=index,
            format_func=lambda way: way or page.say("bicubic"),
            key=f"compare-{side}",
        )
        for column, side, index in zip(
            st.columns(2), ("left", "right"), (len(ways) - 1, default), strict=True
        )
    )
    return left, right


def _enlarged(page: Page, item: Item, way: str, box: Box) -> EnlargedPart:
    """The part enlarged by a model or by bicubic interpolation. Raises `EnlargeError`."""
    size = (box.width * _SCALE, box.height * _SCALE)
    if way != _BICUBIC:
        made = enlarge_part(page, item, Settings(model=way, scale=_SCALE), box, size)
        return made._replace(pixels=np.ascontiguousarray(made.pixels))
    begun = time.perf_counter()
    pixels = enlarge_bicubic(read_part(item.source, box, item.page), *size)
    return EnlargedPart(pixels, time.perf_counter() - begun)


def _show(
    page: Page, item: Item, chosen: Sequence[str], made: Sequence[EnlargedPart], token: str
) -> None:
    """Both parts in the viewer, and how far they differ."""
    labels = [way or page.say("bicubic") for way in chosen]
    layers = [Layer(label, data_url(m.pixels)) for label, m in zip(labels, made, strict=True)]
    height, width, _ = made[0].pixels.shape
    viewer(
        Scene(layers, width, height, token=token),
        key=f"compare-view-{item.key}",
        texts=page.viewer_texts(),
    )
    mean = float(difference(made[0].pixels, made[1].pixels).mean())
    seconds = [f"{part.seconds:.2f}" for part in made]
    st.caption(
        page.say(
            "compare_apart", mean=f"{mean:.2f}", first=labels[0], second=labels[1],
            first_seconds=seconds[0], second_seconds=seconds[1],
        )
    )  # fmt: skip
    st.caption(page.say("evidence"))
