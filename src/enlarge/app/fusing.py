"""The tab "Fuse frames": several pictures of one scene become one."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import streamlit as st

from enlarge.app.frame import SAMPLE, Page, button
from enlarge.app.options import Options
from enlarge.app.queue import QueuedJob
from enlarge.app.viewer import Layer, Scene, viewer
from enlarge.app.views import Box, Pixels, data_url, enlarge_bicubic, read_reduced, shown
from enlarge.app.visit import Item
from enlarge.app.work import check_result_size
from enlarge.errors import EnlargeError
from enlarge.fusing import FusedPicture, FuseSettings, fuse_with
from enlarge.fusing.page import fusion_page
from enlarge.fusing.settings import NONE
from enlarge.fusing.writing import write_fused
from enlarge.media.writing import WriteOptions
from enlarge.picture.hooks import Progress, ProgressCallback
from enlarge.weights.catalog import list_weights

_SCALE = 4
_POLL_SECONDS = 0.5
_SHOWN = 400_000
"""Pixels of the reference frame on which the region is shown."""
_LEAST = 16
"""Pixels of a region's side."""
_DEFAULT = "photo"


@dataclass(frozen=True)
class Fusion:
    """What is to be fused: the files of the frames, and the visitor's names for them."""

    files: tuple[Path, ...]
    names: tuple[str, ...]
    reference: int
    region: Box
    then: str
    options: Options

    def __call__(self, progress: ProgressCallback, cancel: threading.Event) -> FusedPicture:
        """Fuse the frames. Raises `EnlargeError`s, with the visitor's names."""
        nothing = np.zeros((0, 0, 3), np.uint8)
        region = self.region
        settings = FuseSettings(
            region=(region.x, region.y, region.width, region.height),
            reference=self.reference,
            scale=_SCALE,
            then=self.then,
            memory=self.options.memory,
            engine=self.options.engine_options,
        )
        try:
            made = fuse_with(
                settings,
                self.files,
                progress=lambda done, total: progress(Progress(done, total, 0, 0, nothing, True)),
                cancel=cancel,
            )
        except EnlargeError as error:
            words = str(error)
            for file, name in zip(self.files, self.names, strict=True):
                words = words.replace(str(file), name)
            raise type(error)(words) from error
        frames = tuple(replace(one, name=self.names[one.number]) for one in made.report.frames)
        return replace(made, report=replace(made.report, frames=frames))


def fuse_tab(page: Page) -> None:
    """The tab, for the visitor's pictures."""
    st.markdown(page.say("fuse_intro"))
    items = page.visit.items.values()
    good = [item for item in items if item.facts is not None and item.key != SAMPLE]
    if len(good) < 2:
        st.info(page.say("fuse_few"))
        return
    chosen, beside = st.columns([1, 2], gap="large")
    with chosen:
        fusion = _choose(page, good)
    with beside:
        _show(page, fusion)


def _choose(page: Page, items: Sequence[Item]) -> Fusion | None:
    """The controls, and what they say; None if there is nothing to fuse."""
    names = {item.key: item.name for item in items}
    chosen = st.multiselect(
        page.say("fuse_frames"),
        list(names),
        default=list(names),
        format_func=names.__getitem__,
        key=f"fuse-frames-{len(names)}",
    )
    if len(chosen) < 2:
        st.info(page.say("fuse_few"))
        return None
    reference = st.selectbox(
        page.say("fuse_reference"), chosen, format_func=names.__getitem__, key="fuse-reference"
    )
    item = page.visit.items[reference]
    box = _choose_region(page, item)
    ways = [*(weights.path.stem for weights in list_weights()), NONE]
    then = st.selectbox(
        page.say("fuse_then"),
        ways,
        index=ways.index(_DEFAULT),
        format_func=lambda way: page.say("fuse_none") if way == NONE else way,
        key="fuse-then",
    )
    problem = check_result_size(_SCALE * box.width, _SCALE * box.height, page.options)
    if problem is not None:
        st.error(page.say_sentence(problem))
    frames = [page.visit.items[key] for key in chosen]
    fusion = Fusion(
        tuple(frame.source for frame in frames),
        tuple(frame.name for frame in frames),
        chosen.index(reference),
        box,
        then,
        page.options,
    )
    job = page.visit.fusion
    made = job is not None and job.work == fusion and job.state in ("waiting", "running", "done")
    able = problem is None and not made
    if button(page.say("fuse"), key="fuse", type="primary", width="stretch", disabled=not able):
        _start(page, fusion)
        st.rerun()
    return fusion


def _choose_region(page: Page, item: Item) -> Box:
    """Two sliders for a rectangle, and the rectangle on the reference frame."""
    facts = item.known()
    sides = []
    for key, side in (("fuse_across", facts.width), ("fuse_down", facts.height)):
        if side <= _LEAST:
            sides.append((0, side))
            continue
        low, high = st.slider(page.say(key), 0, side, (0, side), key=f"{key}-{item.key}")
        low = min(low, side - _LEAST)
        sides.append((low, max(high, low + _LEAST)))
    (left, right), (top, bottom) = sides
    box = Box(left, top, right - left, bottom - top)
    st.image(_outlined(item, box), width="stretch")
    return box


def _outlined(item: Item, box: Box) -> Pixels:
    """The picture, reduced, with everything outside the box darkened."""
    if "fuse" not in item.views:
        item.views["fuse"] = read_reduced(item.source, _SHOWN, item.page)
    pixels, factor = item.views["fuse"]
    dark: Pixels = (pixels // 3).astype(np.uint8)
    rows = slice(box.y // factor, -(-(box.y + box.height) // factor))
    columns = slice(box.x // factor, -(-(box.x + box.width) // factor))
    dark[rows, columns] = pixels[rows, columns]
    return dark


def _start(page: Page, fusion: Fusion) -> None:
    """Put the fusion into the queue, instead of the one before."""
    before = page.visit.fusion
    if before is not None and before.active:
        page.queue.cancel(before)
    page.visit.fusion = QueuedJob(page.visit.owner, fusion)
    page.queue.add(page.visit.fusion)


def _show(page: Page, fusion: Fusion | None) -> None:
    """The progress, the result, or why there is none."""
    job = page.visit.fusion
    if job is None or fusion is None or job.work != fusion:
        return
    if job.active:
        _watch(page, job)
    elif job.state == "done":
        _show_result(page, job.result)
    elif job.state == "failed":
        st.error(page.marked("fuse_failed", reason=job.problem))
    else:
        st.info(page.say("cancelled"))


@st.fragment(run_every=_POLL_SECONDS)
def _watch(page: Page, job: QueuedJob) -> None:
    """How much is done."""
    if not job.active:
        st.rerun()
    bar, beside = st.columns([4, 1], vertical_alignment="center")
    share = job.done / job.total if job.total else 0.0
    bar.progress(share, page.say("cancelling" if job.cancelled.is_set() else "fuse_running"))
    beside.button(
        page.say("cancel"), on_click=page.queue.cancel, args=(job,), key="fuse-cancel",
        width="stretch",
    )  # fmt: skip


def _show_result(page: Page, made: FusedPicture) -> None:
    """One frame beside what was fused, and what each frame contributed."""
    height, width = made.picture.shape[:2]
    single = enlarge_bicubic(shown(made.single), width, height)
    layers = [
        Layer(page.say("fuse_single"), data_url(single)),
        Layer(page.say("fuse_fused"), data_url(shown(made.picture))),
    ]
    token = f"fuse-{made.report.digest[:12]}"
    viewer(Scene(layers, width, height, token=token), key="fuse-view", texts=page.viewer_texts())
    report = made.report
    used = len(report.used)
    st.markdown(page.say("fuse_used", used=used, count=len(report.frames)))
    if not report.gains:
        st.info(page.say("fuse_no_gain"))
    st.caption(page.say("fuse_plain" if report.then == NONE else "fuse_network", model=report.then))
    rows = [
        {
            page.say("fuse_frame"): one.name,
            page.say("fuse_weight"): f"{one.weight:.0%}" if one.used else "–",
            page.say("fuse_moved"): "{:+.2f}, {:+.2f}".format(*one.shift) if one.used else "–",
            page.say("fuse_reason"): one.reason,
        }
        for one in report.frames
    ]
    st.dataframe(rows, hide_index=True, width="stretch", key=f"table-{token}")
    left, right = st.columns(2)
    left.download_button(
        page.say("download", name="fused.png"),
        data=lambda: png_of(made),
        file_name="fused.png",
        mime="image/png",
        on_click="ignore",
        width="stretch",
        key="fuse-download",
    )
    right.download_button(
        page.say("fuse_report"),
        data=lambda: fusion_page(made).encode("utf-8"),
        file_name="fused.html",
        mime="text/html",
        on_click="ignore",
        width="stretch",
        key="fuse-report",
    )


def png_of(made: FusedPicture) -> bytes:
    """The picture as `enlarge fuse` writes it."""
    file = io.BytesIO()
    write_fused(made, file, WriteOptions("png"))
    return file.getvalue()
