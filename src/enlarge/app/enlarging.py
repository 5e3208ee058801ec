"""The first tab: bring pictures, preview a part, enlarge, look, download."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import streamlit as st

from enlarge.app.frame import SAMPLE, Page, button, part_of, sample
from enlarge.app.texts import plain
from enlarge.app.viewer import Layer, pasted, picker, viewer
from enlarge.app.views import Box, Pixels, bicubic, data_url, read_part, read_reduced, shown
from enlarge.app.visit import Item, unique_names
from enlarge.app.work import MEGA, Sentence, Wish, spoken_size
from enlarge.errors import EnlargeError
from enlarge.media.formats import FORMATS
from enlarge.media.jpeg import COARSE, quality_of
from enlarge.media.metadata import Keep
from enlarge.media.reading import open_picture
from enlarge.metrics.comparison import difference, heat_map
from enlarge.metrics.evaluation import in_db
from enlarge.metrics.pictures import read_pixels
from enlarge.metrics.protocol import Protocol
from enlarge.picture.outlook import Outlook
from enlarge.picture.run import Done
from enlarge.weights.catalog import DEFAULT, find_weights, list_weights
from enlarge.weights.mixing import PARTNERS

_KINDS = tuple(
    "jpg jpeg jpe jfif png webp tif tiff avif gif bmp heic heif hif jxl jp2".split()  # noqa: SIM905
)
_ABOUT = {
    "fast": "model_fast",
    "quality": "model_quality",
    "photo": "model_photo",
    "photo-sharp": "model_photo_sharp",
}
_SCALES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
_TO_WIDTH = 0.0  # stands for "Width…" among them
_MOST_PASTED = 12 * MEGA  # base64 of it has to fit into one message
_MOST_MEASURED = 20 * MEGA
_SHOWN_OFF = Box(196, 300, 200, 150)
_TICK = 0.4
"""Seconds between two looks at a running job."""
_MIME = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "tiff": "image/tiff"}


def bring(page: Page) -> list[Item]:
    """The ways for a picture to come in; the pictures that are there."""
    options, visit = page.options, page.visit
    files = st.file_uploader(
        page.say("upload"),
        type=_KINDS,
        accept_multiple_files=True,
        key="files",
        max_upload_size=max(1, -(-options.max_upload // MEGA)),
        help=page.say("upload_help"),
    )
    _say_limits(page)
    fresh = [file for file in files if file.file_id not in visit.items]
    gone = {file.file_id for file in files}
    for key in [key for key in visit.items if key not in gone and not _brought(key)]:
        visit.remove(key)
    for file in fresh[: max(0, options.max_files - len(visit.items))]:
        st.session_state["selected"] = visit.add(file.file_id, file.name, file.getbuffer()).key
    left_out = len([file for file in files if file.file_id not in visit.items])
    if left_out:
        st.warning(page.say("too_many_files", count=left_out, limit=options.max_files))
    _take_pasted(page)
    return list(visit.items.values())


def _say_limits(page: Page) -> None:
    """In the visitor's language, what Streamlit's uploader says in English (see page.css)."""
    options = page.options
    limits = page.say(
        "limits",
        files=options.max_files,
        size=spoken_size(options.max_upload),
        pixels=f"{options.max_pixels / MEGA:.3g}",
    )
    words = {"choose": page.say("choose"), "limits": limits}
    values = "".join(f'--enlarge-{name}:"{value}";' for name, value in words.items())
    st.html(f"<style>:root{{{values}}}</style>")


def _brought(key: str) -> bool:
    """Whether a picture came another way than through the uploader."""
    return key == SAMPLE or key.startswith("paste-")


def _take_pasted(page: Page) -> None:
    found = pasted(min(page.options.max_upload, _MOST_PASTED), page.language)
    if not found or f"paste-{found['id']}" in page.visit.items:
        return
    if "size" in found:
        limit = spoken_size(min(page.options.max_upload, _MOST_PASTED))
        values = {"name": found["name"], "size": spoken_size(int(found["size"])), "limit": limit}
        st.error(page.marked("too_large", **values))
    elif len(page.visit.items) >= page.options.max_files:
        st.warning(page.say("too_many_files", count=1, limit=page.options.max_files))
    else:
        content = base64.b64decode(found["content"])
        item = page.visit.add(f"paste-{found['id']}", found["name"], content)
        st.session_state["selected"] = item.key


def show(page: Page) -> None:
    """The tab."""
    items = bring(page)
    if not items:
        _welcome(page)
        return
    item = choose(page, items, key="selected")
    if _brought(item.key):  # the others have their crosses in the uploader
        st.button(
            page.say("remove"), type="tertiary", on_click=page.visit.remove, args=(item.key,),
            key="remove",
        )  # fmt: skip
    left, right = st.columns([2, 1], gap="large")
    with right, st.container(key="settings"):
        wish = _settings(page)
        _start(page, items, item, wish)
        _collect(page, items)
    with left:
        _picture(page, item, wish)


def choose(page: Page, items: Sequence[Item], *, key: str) -> Item:
    """Which of several pictures is looked at."""
    names = {item.key: _marked(item) for item in items}
    if st.session_state.get(key) not in names:
        st.session_state[key] = items[-1].key
    if len(items) == 1:
        return items[0]
    chosen = st.selectbox(page.say("picture"), list(names), format_func=names.__getitem__, key=key)
    return page.visit.items[chosen]


def _marked(item: Item) -> str:
    state = item.job.state if item.job is not None else ""
    if item.problem is not None:
        state = "failed"
    return {"done": "✓ ", "failed": "✕ ", "running": "… ", "waiting": "… "}.get(
        state, ""
    ) + item.name


def _welcome(page: Page) -> None:
    left, right = st.columns([1, 1], gap="large")
    with left, st.container(key="welcome"):
        for name in ("promise_lossless", "promise_seamless", "promise_here"):
            st.markdown(page.say(name))
        if button(page.say("sample"), key="sample", type="primary"):
            page.take_sample()
            st.rerun()
        st.caption(page.say("private"))
    model = page.options.model
    with right:
        low, high = _shown_off(page, model)
        layers = [Layer(page.say("bicubic"), low), Layer(model, high)]
        size = (4 * _SHOWN_OFF.width, 4 * _SHOWN_OFF.height)
        viewer(layers, *size, key="welcome-view", texts=page.viewer_texts(), token="welcome")
        st.caption(page.say("sample_by"))


@st.cache_resource(show_spinner=False, max_entries=4)
def _shown_off(_page: Page, model: str) -> tuple[str, str]:
    """A part of the sample in both ways, which also has the model ready when a visitor is."""
    part = _SHOWN_OFF
    width, height = 4 * part.width, 4 * part.height
    low = read_part(sample(), part)
    large = _page.open(find_weights(model)).upscale(low, width=width, height=height)
    return data_url(bicubic(low, width, height)), data_url(large)


def _settings(page: Page) -> Wish:
    """The widgets of the settings, and the wish that they say."""
    models = {weights.path.stem: weights.card for weights in list_weights()}
    names = list(models)
    if page.options.model not in names:
        names.insert(0, page.options.model)
    model = st.selectbox(
        page.say("model"),
        names,
        index=names.index(page.options.model),
        help=page.say("model_help"),
        key="model",
    )
    card = models.get(model) or find_weights(model).card
    about = page.say(
        _ABOUT.get(model, "model_other"), scale=card.scale, parameters=f"{card.parameters:,}"
    )
    st.caption(about)
    strength = _strength(page, model)
    scale, width = _size(page, float(card.scale))
    kind = st.selectbox(
        page.say("format"), list(FORMATS), format_func=str.upper, help=page.say("format_help"),
        key="format",
    )  # fmt: skip
    quality = FORMATS[kind].quality
    if quality is not None:
        quality = st.slider(
            page.say("quality"), 1, 100, quality, help=page.say("quality_help"), key=f"q-{kind}"
        )
    ensemble = st.checkbox(page.say("ensemble"), help=page.say("ensemble_help"), key="ensemble")
    no_gps = st.checkbox(page.say("no_gps"), help=page.say("no_gps_help"), key="no_gps")
    keep: Keep = "no-gps" if no_gps else "keep"
    return Wish(model, scale, width, kind, quality, keep, ensemble, strength)


def _strength(page: Page, model: str) -> float | None:
    """Where between a model and its partner; None where it has none."""
    for soft, sharp in PARTNERS.items():
        if model in (soft, sharp):
            value = st.slider(
                page.say("strength"), 0.0, 1.0, float(model == sharp), 0.1,
                help=page.say("strength_help", plain=soft, sharp=sharp), key=f"strength-{model}",
            )  # fmt: skip
            return round(value, 1)
    return None


def _size(page: Page, own: float) -> tuple[float | None, int | None]:
    """The factor (None: the model's own) or the width."""
    choices = sorted({*_SCALES, own})
    choice = st.selectbox(
        page.say("size"),
        [*choices, _TO_WIDTH],
        index=choices.index(own),
        format_func=lambda scale: page.say("to_width") if scale == _TO_WIDTH else f"×{scale:g}",
        help=page.say("size_help"),
        key=f"size-{own:g}",
    )
    if choice != _TO_WIDTH:
        return (None if choice == own else choice), None
    width = st.number_input(
        page.say("width"), 1, 1_000_000, 1920, help=page.say("width_help"), key="width"
    )
    return None, int(width)


def _start(page: Page, items: Sequence[Item], item: Item, wish: Wish) -> None:
    """What will become of the picture, and the button."""
    good = [one for one in items if one.problem is None]
    if item.problem is None:
        outlook = page.outlook(item, wish)
        if isinstance(outlook, Sentence):
            st.error(page.say_sentence(outlook))
        else:
            facts = item.known()
            sizes = {"width": f"{facts.width:,}", "height": f"{facts.height:,}"}
            sizes |= {"to_width": f"{outlook.width:,}", "to_height": f"{outlook.height:,}"}
            st.caption(page.say("becomes", **sizes))
        _advise(page, item, wish)
    able = [one for one in good if isinstance(page.outlook(one, wish), Outlook)]
    todo = [one for one in able if not _is_made(one, wish)]
    label = page.say("enlarge")
    if len(able) > 1:
        label = page.say("enlarge_all", count=len(todo) or len(able))
    if button(label, key="enlarge", type="primary", width="stretch", disabled=not todo):
        for one in todo:
            if one.job is not None and one.job.active:
                page.queue.cancel(one.job)
            page.visit.start(one, wish, page.open(wish.weights()))
        st.rerun()


def _advise(page: Page, item: Item, wish: Wish) -> None:
    """Say where another model suits a picture better than the default."""
    if wish.model == DEFAULT and item.known().format == "jpeg":
        if "quality" not in item.views:
            item.views["quality"] = quality_of(item.source)
        quality = item.views["quality"]
        if quality is not None and quality <= COARSE:
            st.caption(page.say("coarse", quality=quality))


def _is_made(item: Item, wish: Wish) -> bool:
    """Whether that wish was fulfilled, or is being worked on."""
    return item.job is not None and item.wish == wish and item.job.state in (
        "done", "running", "waiting"
    )  # fmt: skip


def _collect(page: Page, items: Sequence[Item]) -> None:
    """With several pictures: how many are done, and all of them in one file."""
    jobs = [item.job for item in items if item.job is not None]
    done = [item for item in items if item.job is not None and item.job.state == "done"]
    if len(jobs) < 2:
        return
    if any(job.active for job in jobs):
        _watch_all(page, items, len(done))
    elif len(done) > 1:
        st.download_button(
            page.say("download_all", count=len(done)),
            data=lambda: page.visit.zip(done),
            file_name="enlarged.zip",
            mime="application/zip",
            on_click="ignore",
            width="stretch",
            key="download-all",
        )


@st.fragment(run_every=_TICK)
def _watch_all(page: Page, items: Sequence[Item], before: int) -> None:
    jobs = [item.job for item in items if item.job is not None]
    done = sum(job.state == "done" for job in jobs)
    st.progress(done / len(jobs), page.say("all_waiting", done=done, count=len(jobs)))
    if done != before or not any(job.active for job in jobs):
        st.rerun()


def _picture(page: Page, item: Item, wish: Wish) -> None:
    """What there is to see of a picture."""
    job = item.job
    if item.problem is not None:
        st.error(page.say_sentence(item.problem))
        return
    if job is not None and job.active:
        _watch(page, item)
    elif job is not None and job.state == "done" and item.wish == wish:
        _result(page, item)
    else:
        if job is not None and job.state == "failed":
            reason = job.problem.replace(str(item.source), item.name)
            st.error(page.marked("failed", reason=reason.replace(str(item.target), item.name)))
        elif job is not None and job.state == "cancelled":
            st.info(page.say("cancelled"))
        _preview(page, item, wish)


@st.fragment
def _preview(page: Page, item: Item, wish: Wish) -> None:
    """A part of the picture, chosen and enlarged at once."""
    outlook = page.outlook(item, wish)
    if isinstance(outlook, Sentence):
        return
    facts = item.known()
    box = part_of(item, outlook.width / facts.width)
    middle = ((facts.width - box[0]) // 2, (facts.height - box[1]) // 2)
    try:
        if "small" not in item.views:
            small, _ = read_reduced(item.source, 480_000)
            item.views["small"] = data_url(small)
        part, whole = st.columns([2, 1])
        with whole:
            at = picker(
                item.views["small"],
                facts.width,
                facts.height,
                box=box,
                at=middle,
                label=page.say("pick"),
                said=page.say("picked", x="{x}", y="{y}"),
                key=f"pick-{item.key}",
            )
            st.caption(page.say("preview_help"))
        with part:
            made = _part(page, item, wish, (outlook.width, outlook.height), Box(*at, *box))
            layers = [Layer(page.say("bicubic"), made["low"]), Layer(wish.label(), made["high"])]
            viewer(
                layers,
                *made["size"],
                key=f"preview-{item.key}",
                texts=page.viewer_texts(),
                token=f"{at[0]},{at[1]}",
            )
            seconds = page.say("preview_seconds", seconds=f"{made['seconds']:.2f}")
            st.caption(f"{page.say('evidence')} {seconds}")
    except EnlargeError as error:
        st.error(page.say_error(item, error))


def _part(page: Page, item: Item, wish: Wish, result: tuple[int, int], box: Box) -> dict[str, Any]:
    """The part in both ways, as the viewer takes it. Raises `EnlargeError`."""
    key = ("part", wish.label(), wish.ensemble, result, box)
    if key not in item.views:
        size, large, seconds = enlarge_part(page, item, wish, result, box)
        low = bicubic(read_part(item.source, box), *size)
        made = {"low": data_url(low), "high": data_url(large), "size": size, "seconds": seconds}
        for old in [old for old in item.views if old[0] == "part"][:-8]:
            del item.views[old]
        item.views[key] = made
    return cast(dict[str, Any], item.views[key])


def enlarge_part(
    page: Page, item: Item, wish: Wish, result: tuple[int, int], box: Box
) -> tuple[tuple[int, int], Pixels, float]:
    """A part of a picture through the model: its size, its pixels, the seconds that it took.

    `result`: the size (width, height) of the whole picture's result.
    """
    facts = item.known()
    width = max(box.width, round(box.width * result[0] / facts.width))
    height = max(box.height, round(box.height * result[1] / facts.height))
    model = page.open(wish.weights())
    begun = time.perf_counter()
    crop = (box.x, box.y, box.width, box.height)
    large = model.upscale(
        item.source, crop=crop, width=width, height=height, memory=page.options.memory,
        ensemble=wish.ensemble,
    )  # fmt: skip
    return (width, height), shown(large), time.perf_counter() - begun


@st.fragment(run_every=_TICK)
def _watch(page: Page, item: Item) -> None:
    """A job that waits or runs."""
    job = item.job
    assert job is not None
    if not job.active:
        st.rerun()
    if item.canvas is not None:
        st.image(item.canvas.pixels, width="stretch", output_format="JPEG")
    share = job.done / job.total if job.total else 0.0
    bar, beside = st.columns([4, 1], vertical_alignment="center")
    bar.progress(share, _state(page, item))
    beside.button(
        page.say("cancel"), on_click=page.queue.cancel, args=(job,), key="cancel", width="stretch"
    )
    st.caption(page.say("evidence"))


def _state(page: Page, item: Item) -> str:
    job = item.job
    assert job is not None
    if job.cancelled.is_set():
        return page.say("cancelling")
    if job.state == "waiting":
        ahead = page.queue.ahead(job)
        key = {0: "waiting_next", 1: "waiting_one"}.get(ahead, "waiting")
        return page.say(key, count=ahead)
    left = job.seconds_left()
    if left is None:
        return page.say("starting")
    if job.done == job.total:
        return page.say("finishing")
    percent = round(100 * job.done / job.total)
    return page.say("running", percent=percent, left=_spoken_time(page, left))


def _spoken_time(page: Page, seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return page.say("seconds", count=whole if seconds >= 10 else f"{seconds:.1f}")
    return page.say("minutes", minutes=whole // 60, seconds=whole % 60)


@st.fragment
def _result(page: Page, item: Item) -> None:
    """A result: before and after, what it is, the file."""
    job = item.job
    assert job is not None
    done: Done = job.result
    if "result" not in item.views:
        with st.spinner(page.say("finishing"), show_time=False):
            high, reduced = read_reduced(item.target)
            low, _ = read_reduced(item.source)
            low = bicubic(low, high.shape[1], high.shape[0])
            item.views["result"] = (data_url(low), data_url(high), high.shape[1::-1], reduced)
    before, after, (width, height), reduced = item.views["result"]
    layers = [Layer(page.say("bicubic"), before), Layer(done.model, after)]
    layers += item.views.get("judged", [])
    key = f"viewer-{item.key}-{job.ended}"
    part = item.views.get("seen")
    wanted = viewer(
        layers,
        width * reduced,
        height * reduced,
        key=key,
        texts=page.viewer_texts(),
        token=f"{job.ended}-{len(layers)}-{part[0] if part else ''}",
        reduced=reduced,
        part=part if part and len(part[1]) == len(layers) else None,
    )
    if wanted is not None and reduced > 1 and (part is None or part[0] != wanted):
        item.views["seen"] = (wanted, _seen(item, done, wanted))
        st.rerun(scope="fragment")
    st.caption(page.say("evidence"))
    size = item.target.stat().st_size
    about = {"width": f"{done.width:,}", "height": f"{done.height:,}", "tiles": done.tiles}
    about |= {"model": done.model, "precision": done.precision, "size": spoken_size(size)}
    st.caption(page.say("done", seconds=_spoken_time(page, done.seconds), **about))
    for note in done.notes:
        st.caption(plain(note))
    st.download_button(
        page.marked("download", name=item.result_name),
        data=lambda: item.target.read_bytes(),
        file_name=next(iter(unique_names([item]))),
        mime=_MIME.get(item.wish.format if item.wish else "", "application/octet-stream"),
        on_click="ignore",
        type="primary",
        key=f"download-{item.key}",
    )
    with st.expander(page.say("judge")):
        _judge(page, item, done)


def _seen(item: Item, done: Done, box: Box) -> list[str]:
    """The part of a large result that is looked at, bicubic and enlarged, in its own pixels."""
    facts = item.known()
    reach = 4
    left, top = box.x * facts.width // done.width, box.y * facts.height // done.height
    right = -(-(box.x + box.width) * facts.width // done.width)
    bottom = -(-(box.y + box.height) * facts.height // done.height)
    around = (
        max(0, left - reach), max(0, top - reach),
        min(facts.width, right + reach), min(facts.height, bottom + reach),
    )  # fmt: skip
    x, y = around[0] * done.width / facts.width, around[1] * done.height / facts.height
    low = read_part(
        item.source, Box(around[0], around[1], around[2] - around[0], around[3] - around[1])
    )
    width = round(low.shape[1] * done.width / facts.width)
    height = round(low.shape[0] * done.height / facts.height)
    inner = Box(
        min(round(box.x - x), width - box.width), min(round(box.y - y), height - box.height),
        box.width, box.height,
    )  # fmt: skip
    high = read_part(item.target, box)
    return [data_url(bicubic(low, width, height, inner)), data_url(high)]


def _judge(page: Page, item: Item, done: Done) -> None:
    """PSNR, SSIM and the difference map, where the visitor has the original."""
    file = st.file_uploader(
        page.say("original"), type=_KINDS, key=f"hr-{item.key}", help=page.say("judge_help"),
        max_upload_size=max(1, -(-page.options.max_upload // MEGA)),
    )  # fmt: skip
    if file is None:
        if item.views.pop("judged", None):
            st.rerun(scope="fragment")
        return
    key = ("judged", file.file_id)
    if key not in item.views:
        found = _measure(page, item, done, file.getvalue(), file.name)
        item.views[key] = found
        before = item.views.pop("judged", None)
        if not isinstance(found, str):
            item.views["judged"] = found[1]
        if before or not isinstance(found, str):
            st.rerun(scope="fragment")
    found = item.views[key]
    if isinstance(found, str):
        st.error(found)
        return
    (psnr, ssim, bare, white), _ = found
    name, baseline = done.model, page.say("bicubic")
    better = f"{psnr - bare.psnr:+.2f} dB" if math.isfinite(psnr) else f"{in_db(bare.psnr)} dB"
    columns = st.columns(2)
    columns[0].metric("PSNR", f"{in_db(psnr)} dB", f"{better} · {baseline}")
    columns[1].metric("SSIM", f"{ssim:.4f}", f"{ssim - bare.ssim:+.4f} · {baseline}")
    st.caption(f"{name}: {Protocol()}. {page.say('judge_white', white=f'{white:.0f}')}")


def _measure(page: Page, item: Item, done: Done, content: bytes, name: str) -> Any:
    """((PSNR, SSIM, those of bicubic, white), layers), or the sentence why not."""
    try:
        with open_picture(content) as picture:
            facts = picture.facts
        if (facts.width, facts.height) != (done.width, done.height):
            sizes = {"width": facts.width, "height": facts.height}
            return page.say("judge_size", **sizes, to_width=done.width, to_height=done.height)
        if done.width * done.height > _MOST_MEASURED:
            return page.say("judge_large", limit=_MOST_MEASURED // MEGA)
        original = read_pixels(content, name)
        result = read_pixels(item.target)
        low = read_pixels(item.source)
        factor = max(1, round(done.width / item.known().width))
        scores = Protocol().measure(result, original, factor=factor)
        bare = bicubic(shown(low), done.width, done.height)
        baseline = Protocol().measure(bare, original, factor=factor)
    except EnlargeError as error:
        reason = str(error).replace("picture in memory", name)
        return page.marked("unreadable", name=name, reason=reason)
    heat, white = heat_map(difference(result, original))
    if done.width * done.height > 16 * MEGA:
        return (scores.psnr, scores.ssim, baseline, white), []
    layers = [
        Layer(page.say("original"), data_url(shown(np.atleast_3d(original)))),
        Layer(page.say("difference"), data_url(heat)),
    ]
    return (scores.psnr, scores.ssim, baseline, white), layers
