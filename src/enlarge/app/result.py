"""A finished picture: before and after, its file, and its likeness to an original."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import streamlit as st

from enlarge.app.frame import Page
from enlarge.app.texts import plain
from enlarge.app.upload import SUFFIXES, megabytes
from enlarge.app.viewer import Detail, Layer, Scene, viewer
from enlarge.app.views import Box, data_url, enlarge_bicubic, read_part, read_reduced, shown
from enlarge.app.visit import Item, unique_names
from enlarge.app.watching import format_seconds
from enlarge.app.work import MEGA, format_file_size
from enlarge.errors import EnlargeError
from enlarge.media.formats import FORMATS
from enlarge.media.reading import open_picture
from enlarge.metrics.comparison import difference, heat_map
from enlarge.metrics.fidelity import format_psnr
from enlarge.metrics.pictures import read_pixels
from enlarge.metrics.protocol import Protocol, Scores
from enlarge.picture.run import Done

_MAX_MEASURED = 20 * MEGA
_MAX_MAPPED = 16 * MEGA
"""Pixels up to which the original and the difference map are shown too."""


@dataclass(frozen=True)
class Judgement:
    """How close a result and bicubic interpolation come to the original.

    `white`: the difference, in levels of 255, that is white in the difference map. `layers`: the
    original and the map, where they are small enough to be shown.
    """

    scores: Scores
    bicubic: Scores
    white: float
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class _Views:
    """Bicubic and result as URLs, width and height of these views, and how far they are reduced."""

    before: str
    after: str
    width: int
    height: int
    reduced: int


@st.fragment
def show_result(page: Page, item: Item) -> None:
    """Show a result before and after, what it is, and offer the file."""
    job = item.job
    assert job is not None
    done: Done = job.result
    _show_layers(page, item, done, job.ended)
    st.caption(page.say("evidence"))
    size = item.target.stat().st_size
    about = {"width": f"{done.width:,}", "height": f"{done.height:,}", "tiles": done.tiles}
    about |= {"model": done.model, "precision": done.precision, "size": format_file_size(size)}
    st.caption(page.say("done", seconds=format_seconds(page, done.seconds), **about))
    for note in done.notes:
        st.caption(plain(note))
    kind = (item.settings.format if item.settings else None) or "png"
    st.download_button(
        page.marked("download", name=item.result_name),
        data=lambda: item.target.read_bytes(),
        file_name=next(iter(unique_names([item]))),
        mime=FORMATS[kind].media_type,
        on_click="ignore",
        type="primary",
        key=f"download-{item.key}",
    )
    with st.expander(page.say("judge")):
        _judge(page, item, done)


def _show_layers(page: Page, item: Item, done: Done, ended: float) -> None:
    """Before and after in the viewer, with the region that is zoomed into in its own pixels."""
    if "result" not in item.views:
        with st.spinner(page.say("finishing"), show_time=False):
            high, reduced = read_reduced(item.target)
            low, _ = read_reduced(item.source, page=item.page)
            height, width = high.shape[:2]
            low = enlarge_bicubic(low, width, height)
            item.views["result"] = _Views(data_url(low), data_url(high), width, height, reduced)
    views: _Views = item.views["result"]
    layers = [Layer(page.say("bicubic"), views.before), Layer(done.model, views.after)]
    layers += item.views.get("judged", ())
    detail: Detail | None = item.views.get("detail")
    scene = Scene(
        layers,
        views.width * views.reduced,
        views.height * views.reduced,
        token=f"{ended}-{len(layers)}-{detail.box if detail else ''}",
        reduced=views.reduced,
        detail=detail if detail and len(detail.urls) == len(layers) else None,
    )
    wanted = viewer(scene, key=f"viewer-{item.key}-{ended}", texts=page.viewer_texts())
    if wanted is not None and views.reduced > 1 and (detail is None or detail.box != wanted):
        item.views["detail"] = Detail(wanted, region_urls(item, done, wanted))
        st.rerun(scope="fragment")


def region_urls(item: Item, done: Done, box: Box) -> list[str]:
    """A region of a large result in its own pixels: bicubic, and the result."""
    facts = item.known()
    reach = 4  # what bicubic interpolation looks at around the region, and more
    left, top = box.x * facts.width // done.width, box.y * facts.height // done.height
    right = -(-(box.x + box.width) * facts.width // done.width)
    bottom = -(-(box.y + box.height) * facts.height // done.height)
    around = (
        max(0, left - reach), max(0, top - reach),
        min(facts.width, right + reach), min(facts.height, bottom + reach),
    )  # fmt: skip
    x, y = around[0] * done.width / facts.width, around[1] * done.height / facts.height
    inside = Box(around[0], around[1], around[2] - around[0], around[3] - around[1])
    low = read_part(item.source, inside, item.page)
    width = round(low.shape[1] * done.width / facts.width)
    height = round(low.shape[0] * done.height / facts.height)
    inner = Box(
        min(round(box.x - x), width - box.width), min(round(box.y - y), height - box.height),
        box.width, box.height,
    )  # fmt: skip
    high = read_part(item.target, box)
    return [data_url(enlarge_bicubic(low, width, height, inner)), data_url(high)]


def _judge(page: Page, item: Item, done: Done) -> None:
    """Take the original from the visitor and show PSNR, SSIM and the difference map."""
    file = st.file_uploader(
        page.say("original"), type=SUFFIXES, key=f"hr-{item.key}", help=page.say("judge_help"),
        max_upload_size=megabytes(page.options.max_upload),
    )  # fmt: skip
    if file is None:
        if item.views.pop("judged", None):
            st.rerun(scope="fragment")
        return
    key = ("judged", file.file_id)
    if key not in item.views:
        found = judge(page, item, done, file.getvalue(), file.name)
        item.views[key] = found
        before = item.views.pop("judged", None)
        if isinstance(found, Judgement):
            item.views["judged"] = found.layers
        if before or isinstance(found, Judgement):
            st.rerun(scope="fragment")
    judgement: Judgement | str = item.views[key]
    if isinstance(judgement, str):
        st.error(judgement)
        return
    (psnr, ssim), bare, baseline = judgement.scores, judgement.bicubic, page.say("bicubic")
    better = (
        f"{psnr - bare.psnr:+.2f} dB" if math.isfinite(psnr) else f"{format_psnr(bare.psnr)} dB"
    )
    columns = st.columns(2)
    columns[0].metric("PSNR", f"{format_psnr(psnr)} dB", f"{better} · {baseline}")
    columns[1].metric("SSIM", f"{ssim:.4f}", f"{ssim - bare.ssim:+.4f} · {baseline}")
    white = page.say("judge_white", white=f"{judgement.white:.0f}")
    st.caption(f"{done.model}: {Protocol()}. {white}")


def judge(page: Page, item: Item, done: Done, content: bytes, name: str) -> Judgement | str:
    """Compare a result with the original, or say why that is impossible.

    `content`: the bytes of the original's file, which the visitor calls `name`.
    """
    try:
        with open_picture(content) as picture:
            facts = picture.facts
        if (facts.width, facts.height) != (done.width, done.height):
            sizes = {"width": facts.width, "height": facts.height}
            return page.say("judge_size", **sizes, to_width=done.width, to_height=done.height)
        if done.width * done.height > _MAX_MEASURED:
            return page.say("judge_large", limit=_MAX_MEASURED // MEGA)
        original = read_pixels(content, name)
        result = read_pixels(item.target)
        low = shown(read_pixels(item.source, page=item.page))
        factor = max(1, round(done.width / item.known().width))
        scores = Protocol().measure(result, original, factor=factor)
        bare = enlarge_bicubic(low, done.width, done.height)
        baseline = Protocol().measure(bare, original, factor=factor)
    except EnlargeError as error:
        reason = str(error).replace("picture in memory", name)
        return page.marked("unreadable", name=name, reason=reason)
    heat, white = heat_map(difference(result, original))
    if done.width * done.height > _MAX_MAPPED:
        return Judgement(scores, baseline, white, ())
    layers = (
        Layer(page.say("original"), data_url(shown(np.atleast_3d(original)))),
        Layer(page.say("difference"), data_url(heat)),
    )
    return Judgement(scores, baseline, white, layers)
