"""The tab "Compare models": one part of a picture, enlarged in two ways."""

from __future__ import annotations

import time

import numpy as np
import streamlit as st

from enlarge.app.enlarging import enlarge_part
from enlarge.app.frame import Page, part_of
from enlarge.app.viewer import Layer, picker, viewer
from enlarge.app.views import Box, Pixels, bicubic, data_url, read_part, read_reduced
from enlarge.app.visit import Item
from enlarge.app.work import Wish
from enlarge.errors import EnlargeError
from enlarge.metrics.comparison import difference
from enlarge.weights.catalog import list_weights

_BICUBIC = ""
_SCALE = 4.0


def show(page: Page, item: Item | None) -> None:
    """The tab, for the picture that is looked at, or the sample."""
    st.markdown(page.say("compare_intro"))
    if item is None:
        item = page.take_sample()
    if item.facts is None:
        st.error(page.say_sentence(item.problem) if item.problem else "")
        return
    _compare(page, item)


@st.fragment
def _compare(page: Page, item: Item) -> None:
    names = [weights.path.stem for weights in list_weights()]
    ways = [*names, _BICUBIC]
    left, right = st.columns(2)
    default = ways.index(page.options.model) if page.options.model in ways else 0
    chosen = [
        column.selectbox(
            page.say(side),
            ways,
            index=index,
            format_func=lambda way: way or page.say("bicubic"),
            key=f"compare-{side}",
        )
        for column, side, index in ((left, "left", len(ways) - 1), (right, "right", default))
    ]
    facts = item.known()
    box = part_of(item, _SCALE)
    try:
        if "small" not in item.views:
            item.views["small"] = data_url(read_reduced(item.source, 480_000)[0])
    except EnlargeError as error:  # cut off behind its header
        st.error(page.say_error(item, error))
        return
    part, whole = st.columns([2, 1])
    with whole:
        at = picker(
            item.views["small"],
            facts.width,
            facts.height,
            box=box,
            at=((facts.width - box[0]) // 2, (facts.height - box[1]) // 2),
            label=page.say("pick"),
            said=page.say("picked", x="{x}", y="{y}"),
            key=f"compare-pick-{item.key}",
        )
        st.caption(page.say("preview_help"))
    try:
        made = [_made(page, item, way, Box(*at, *box)) for way in chosen]
    except EnlargeError as error:
        part.error(page.say_error(item, error))
        return
    labels = [way or page.say("bicubic") for way in chosen]
    with part:
        viewer(
            [
                Layer(label, data_url(pixels))
                for label, (pixels, _) in zip(labels, made, strict=True)
            ],
            *made[0][0].shape[1::-1],
            key=f"compare-view-{item.key}",
            texts=page.viewer_texts(),
            token=f"{chosen[0]},{chosen[1]},{at[0]},{at[1]}",
        )
        mean = float(difference(made[0][0], made[1][0]).mean())
        seconds = [f"{spent:.2f}" for _, spent in made]
        st.caption(
            page.say(
                "compare_apart", mean=f"{mean:.2f}", first=labels[0], second=labels[1],
                first_seconds=seconds[0], second_seconds=seconds[1],
            )
        )  # fmt: skip
        st.caption(page.say("evidence"))


def _made(page: Page, item: Item, way: str, box: Box) -> tuple[Pixels, float]:
    """The part enlarged one way, and the seconds that it took. Raises `EnlargeError`."""
    if way != _BICUBIC:
        facts = item.known()
        size = (int(facts.width * _SCALE), int(facts.height * _SCALE))
        _, pixels, seconds = enlarge_part(page, item, Wish(way, _SCALE), size, box)
        return np.ascontiguousarray(pixels), seconds
    begun = time.perf_counter()
    low = read_part(item.source, box)
    pixels = bicubic(low, int(box.width * _SCALE), int(box.height * _SCALE))
    return pixels, time.perf_counter() - begun
