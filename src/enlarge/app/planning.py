"""The tab "How it works": the tile plan of the visitor's picture, and its proof."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from enlarge.app.frame import Page, button
from enlarge.app.viewer import plan_view
from enlarge.app.views import Box, Pixels, data_url, read_part, read_reduced
from enlarge.app.visit import Item
from enlarge.card import Card
from enlarge.engines import TileSpec
from enlarge.errors import EnlargeError
from enlarge.memory import parse_size
from enlarge.picture.outlook import plan_picture
from enlarge.settings import Settings
from enlarge.tiling import Plan
from enlarge.upscaler import Upscaler
from enlarge.weights.catalog import find_weights, list_weights

_DRAWN = 1500
"""Tiles that are drawn; of more only those at the top."""
_PROVED = 288
"""The side of the part on which the proof runs."""


def plan_tab(page: Page, item: Item | None) -> None:
    """The tab, for the selected picture or the sample."""
    st.markdown(page.say("plan_intro"))
    if (item := page.shown_item(item)) is None:
        return
    left, right = st.columns([2, 1], gap="large")
    with right:
        names = [weights.path.stem for weights in list_weights()]
        model = st.selectbox(
            page.say("model"), names, help=page.say("model_help"), key="plan-model",
            index=names.index(page.options.model) if page.options.model in names else 0,
        )  # fmt: skip
        card = find_weights(model).card
        side = st.selectbox(
            page.say("plan_side"),
            [None, *card.tiles],
            format_func=lambda side: page.say("automatic") if side is None else str(side),
            help=page.say("plan_side_help"),
            key="plan-side",
        )
    try:
        plan = _tiles(page, item, model, side)
    except EnlargeError as error:
        left.error(page.marked("impossible", reason=str(error)))
        return
    try:
        with right:
            _numbers(page, card, plan)
            _proof(page, item, model, card)
        with left:
            _drawn(page, item, card, plan)
    except EnlargeError as error:  # cut off behind its header
        left.error(page.say_error(item, error))


def _tiles(page: Page, item: Item, model: str, side: int | None) -> Plan:
    """The tiles of the first pass at the model's own factor. Raises `EnlargeError`."""
    memory = page.options.memory
    settings = Settings(memory=None if memory is None else parse_size(memory), tile=side)
    upscaler = page.open(find_weights(model))
    return plan_picture(item.known(), settings, upscaler).tiles()[0]


def _numbers(page: Page, card: Card, plan: Plan) -> None:
    more = plan.computed / (plan.width * plan.height) - 1
    margin = f"{card.margin} px" if card.margin is not None else page.say("plan_unbounded")
    rows = [
        (page.say("plan_tiles"), f"{len(plan):,}"),
        (page.say("plan_size"), f"{plan.tile_width} × {plan.tile_height}"),
        (page.say("plan_margin"), margin),
        (page.say("plan_halo"), f"{plan.halo} px"),
        (page.say("plan_more"), f"{100 * more:.0f} %"),
    ]
    cells = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    st.html(f'<dl class="enlarge-numbers">{cells}</dl>')
    exact = card.margin is not None and plan.halo >= card.margin
    st.caption(page.say("plan_exact" if exact else "plan_halo_only"))


def _drawn(page: Page, item: Item, card: Card, plan: Plan) -> None:
    facts = item.known()
    if "plan" not in item.views:
        item.views["plan"] = data_url(read_reduced(item.source, 900_000, item.page)[0])
    tiles = [
        [
            tile.columns.start, tile.rows.start,
            min(tile.columns.stop, facts.width), min(tile.rows.stop, facts.height),
            tile.columns.keep_start, tile.rows.keep_start,
            min(tile.columns.keep_stop, facts.width), min(tile.rows.keep_stop, facts.height),
        ]
        for tile in plan
    ][:_DRAWN]  # fmt: skip
    across = len(plan.columns)
    data = {
        "src": item.views["plan"],
        "width": facts.width,
        "height": facts.height,
        "tiles": tiles,
        "count": len(plan),
        "across": across,
        "start": (len(plan.rows) // 2) * across + across // 2,
        "margin": card.margin,
        "label": page.say("plan_pick"),
        "texts": {
            "read": page.say("plan_read"),
            "kept": page.say("plan_kept"),
            "field": page.say("plan_field"),
            "tile": page.say(
                "plan_tile", number="{number}", count="{count}", read="{read}", kept="{kept}"
            ),
        },
    }
    plan_view(data, key="plan")


def _proof(page: Page, item: Item, model: str, card: Card) -> None:
    """The middle of the picture enlarged in tiles and in one, and how far these differ."""
    if not button(page.say("prove"), key="prove", help=page.say("prove_help")):
        return
    facts = item.known()
    width, height = min(facts.width, _PROVED), min(facts.height, _PROVED)
    box = Box((facts.width - width) // 2, (facts.height - height) // 2, width, height)
    side = next((side for side in sorted(card.tiles) if side >= 3 * card.halo), None)
    if side is None or side >= max(width, height):
        st.info(page.say("too_small"))
        return
    pixels = read_part(item.source, box, item.page)
    upscaler = page.open(find_weights(model))
    seen: list[Any] = []
    with st.spinner(page.say("starting")):
        tiled = upscaler.upscale(
            pixels,
            tile=side,
            memory=page.options.memory,
            progress=lambda tile: seen.append(tile.total),
        )
        whole = _whole(upscaler, pixels)
    apart = np.abs(tiled.astype(int) - whole.astype(int))
    st.success(
        page.say(
            "proved",
            tiles=seen[-1],
            most=int(apart.max()),
            share=f"{100 * float((apart == 0).mean()):.2f} %",
            values=f"{apart.size:,}",
            precision=upscaler.engine(pixels.dtype).precision,
        )
    )


def _whole(upscaler: Upscaler, pixels: Pixels) -> Pixels:
    """The plain network on the whole of it, without the tiler."""
    height, width, _ = pixels.shape
    card, kind = upscaler.card, pixels.dtype
    padded = _padded(pixels, card)
    spec = TileSpec(padded.shape[1], padded.shape[0], 3, kind, kind)
    run = upscaler.engine(kind).session(spec)
    return np.array(run(padded)[: height * card.scale, : width * card.scale])


def _padded(pixels: Pixels, card: Card) -> Pixels:
    """Right and bottom, by reflection, as `picture` does where a network wants a multiple."""
    room = [(0, card.padded(size) - size) for size in pixels.shape[:2]]
    return np.ascontiguousarray(np.pad(pixels, (*room, (0, 0)), mode="reflect"))
