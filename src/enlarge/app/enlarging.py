"""The tab "Enlarge": bring pictures, choose settings, start, watch, and look at the results."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from enlarge.app.controls import settings_controls
from enlarge.app.frame import Page, button, sample
from enlarge.app.preview import show_preview
from enlarge.app.result import show_result
from enlarge.app.upload import is_added_here, upload_pictures
from enlarge.app.video import upload_videos, video_view
from enlarge.app.viewer import Layer, Scene, viewer
from enlarge.app.views import Box, data_url, enlarge_bicubic, read_part
from enlarge.app.visit import Clip, Item, Upload
from enlarge.app.watching import POLL_SECONDS, watch
from enlarge.app.work import Sentence, weights_of
from enlarge.picture.outlook import Outlook
from enlarge.settings import Settings
from enlarge.weights.catalog import AUTO, CLEAN, find_weights

_WELCOME_PART = Box(196, 300, 200, 150)
"""The part of the sample that the welcome shows at ×4."""


def enlarge_tab(page: Page) -> None:
    """The tab."""
    items = upload_pictures(page)
    clips = upload_videos(page)
    if not items and not clips:
        _welcome(page)
        return
    item = _select(page, [*items, *clips])
    if isinstance(item, Clip):
        video_view(page, item)
        return
    assert isinstance(item, Item)
    if is_added_here(item.key):  # the uploader has its own button for the others
        st.button(
            page.say("remove"), type="tertiary", on_click=page.visit.remove, args=(item.key,),
            key="remove",
        )  # fmt: skip
    left, right = st.columns([2, 1], gap="large")
    with right, st.container(key="settings"):
        _choose_page(page, item)
        settings = settings_controls(page)
        _start(page, items, item, settings)
        _collect(page, items)
    with left:
        _picture(page, item, page.settled(item, settings))


def _choose_page(page: Page, item: Item) -> None:
    """Let the visitor choose one of several pictures in a file."""
    if item.facts is None or item.facts.pages == 1:
        return
    count, shown = item.facts.pages, item.facts.page
    chosen = st.number_input(
        page.say("page"), 1, count, shown, help=page.say("page_help", count=count),
        key=f"page-{item.key}",
    )  # fmt: skip
    if int(chosen) != shown:
        problem = page.visit.choose_page(item, int(chosen))
        if problem is not None:
            st.error(page.say_sentence(problem))


def _select(page: Page, items: Sequence[Upload]) -> Upload:
    """Let the visitor select one of several pictures and videos."""
    names = {item.key: _with_state(item) for item in items}
    if "chosen" in st.session_state:  # by the page, after this was drawn
        st.session_state["selected"] = st.session_state.pop("chosen")
    if st.session_state.get("selected") not in names:
        st.session_state["selected"] = items[-1].key
    if len(items) == 1:
        return items[0]
    chosen = st.selectbox(
        page.say("picture"), list(names), format_func=names.__getitem__, key="selected"
    )
    return next(item for item in items if item.key == chosen)


def _with_state(item: Upload) -> str:
    """A picture's name, behind a mark for the state of its job."""
    state = item.job.state if item.job is not None else ""
    if item.problem is not None:
        state = "failed"
    marks = {"done": "✓ ", "failed": "✕ ", "running": "… ", "waiting": "… "}
    return marks.get(state, "") + item.name


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
        low, high = _sample_urls(page, model)
        layers = [Layer(page.say("bicubic"), low), Layer(model, high)]
        width, height = 4 * _WELCOME_PART.width, 4 * _WELCOME_PART.height
        scene = Scene(layers, width, height, token="welcome")
        viewer(scene, key="welcome-view", texts=page.viewer_texts())
        st.caption(page.say("sample_by"))


@st.cache_resource(show_spinner=False, max_entries=4)
def _sample_urls(_page: Page, model: str) -> tuple[str, str]:
    """A part of the sample, bicubic and enlarged. This also loads the model early."""
    width, height = 4 * _WELCOME_PART.width, 4 * _WELCOME_PART.height
    low = read_part(sample(), _WELCOME_PART)
    named = CLEAN if model == AUTO else model  # the part of the sample is clean
    large = _page.open(find_weights(named)).upscale(low, width=width, height=height)
    return data_url(enlarge_bicubic(low, width, height)), data_url(large)


def _start(page: Page, items: Sequence[Item], item: Item, settings: Settings) -> None:
    """Show the size of the result, and the button that starts the work."""
    good = [one for one in items if one.problem is None]
    if item.problem is None:
        outlook = page.outlook(item, page.settled(item, settings))
        if isinstance(outlook, Sentence):
            st.error(page.say_sentence(outlook))
        else:
            st.caption(page.becomes(item.known(), outlook))
        _tell_choice(page, item, settings)
    own = {one.key: page.settled(one, settings) for one in good}
    able = [one for one in good if isinstance(page.outlook(one, own[one.key]), Outlook)]
    todo = [one for one in able if not _is_made(one, own[one.key])]
    label = page.say("enlarge")
    if len(able) > 1:
        label = page.say("enlarge_all", count=len(todo) or len(able))
    if button(label, key="enlarge", type="primary", width="stretch", disabled=not todo):
        for one in todo:
            if one.job is not None and one.job.active:
                page.queue.cancel(one.job)
            page.visit.start(one, own[one.key], page.open(weights_of(own[one.key])))
        st.rerun()


def _tell_choice(page: Page, item: Item, settings: Settings) -> None:
    """Say what `auto` takes, and why."""
    if settings.model == AUTO and item.finding is not None:
        taken = page.settled(item, settings).model
        st.caption(page.say("auto_took", model=taken, reason=item.finding.reason))


def _is_made(item: Item, settings: Settings) -> bool:
    """Whether the picture was enlarged with these settings, or is about to be."""
    states = ("done", "running", "waiting")
    return item.job is not None and item.settings == settings and item.job.state in states


def _collect(page: Page, items: Sequence[Item]) -> None:
    """Of several pictures: show how many are done, then offer all of them as one file."""
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


@st.fragment(run_every=POLL_SECONDS)
def _watch_all(page: Page, items: Sequence[Item], before: int) -> None:
    jobs = [item.job for item in items if item.job is not None]
    done = sum(job.state == "done" for job in jobs)
    st.progress(done / len(jobs), page.say("all_waiting", done=done, count=len(jobs)))
    if done != before or not any(job.active for job in jobs):
        st.rerun()


def _picture(page: Page, item: Item, settings: Settings) -> None:
    """The progress, the result, or a preview of the selected picture."""
    job = item.job
    if item.problem is not None:
        st.error(page.say_sentence(item.problem))
        return
    if job is not None and job.active:
        watch(page, item)
    elif job is not None and job.state == "done" and item.settings == settings:
        show_result(page, item)
    else:
        if job is not None and job.state == "failed":
            reason = job.problem.replace(str(item.source), item.name)
            st.error(page.marked("failed", reason=reason.replace(str(item.target), item.name)))
        elif job is not None and job.state == "cancelled":
            st.info(page.say("cancelled"))
        show_preview(page, item, settings)
