"""The page that Streamlit runs, from the top to the bottom, at every click of a visitor."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import streamlit as st

from enlarge.app.comparing import compare_tab
from enlarge.app.enlarging import enlarge_tab
from enlarge.app.frame import Page
from enlarge.app.fusing import fuse_tab
from enlarge.app.options import from_environment
from enlarge.app.planning import plan_tab
from enlarge.app.queue import Queue
from enlarge.app.texts import LANGUAGES, Language, language_of, plain, text
from enlarge.app.visit import Item, Visit
from enlarge.errors import EnlargeError


@st.cache_resource(show_spinner=False)
def _queue() -> Queue:
    """One for all visitors."""
    return Queue()


@st.cache_resource(scope="session", on_release=Visit.leave_soon, show_spinner=False)
def _present(_visit: Visit, owner: str) -> Visit:
    """An object that Streamlit releases when the visitor's connection ends."""
    return _visit


def _visit() -> Visit:
    """The visitor's visit, which survives a lost connection for a while."""
    visit: Visit | None = st.session_state.get("visit")
    if visit is None or visit.closed:
        visit = st.session_state["visit"] = Visit(_queue(), from_environment())
    visit.stay()
    return _present(visit, visit.owner)


def _language() -> Language:
    """The language switch, which starts with the browser's language."""
    if "language" not in st.session_state:
        asked = st.query_params.get("lang")
        found = asked if asked in LANGUAGES else language_of(st.context.locale)
        st.session_state["language"] = found
    language = cast(Language, st.session_state["language"] or "en")
    chosen = st.segmented_control(
        text(language, "language"),
        list(LANGUAGES),
        format_func=LANGUAGES.__getitem__,
        key="language",
        label_visibility="collapsed",
        required=True,
    )
    return chosen or language


def _heading() -> Language:
    with st.container(key="heading", horizontal=True, horizontal_alignment="distribute"):
        place = st.container(key="wordmark")
        with st.container(key="switch", width="content"):
            language = _language()
        tagline = text(language, "tagline")
        place.html(f'<div class="enlarge-mark"><h1>enlarge</h1><p>{tagline}</p></div>')
    return language


def _selected(visit: Visit) -> Item | None:
    """The picture that is selected in the first tab."""
    good = [item for item in visit.items.values() if item.problem is None]
    chosen = visit.items.get(st.session_state.get("selected", ""))
    return chosen if chosen in good else good[-1] if good else None


def page() -> None:
    """The whole page."""
    front = Path(__file__).with_name("front")
    st.set_page_config(page_title="enlarge", page_icon=str(front / "icon.svg"), layout="wide")
    st.html(f"<style>{(front / 'page.css').read_text(encoding='utf-8')}</style>")
    language = _heading()
    frame = Page(language, from_environment(), _queue(), _visit())
    try:
        _tabs(frame)
    except EnlargeError as error:  # of the model or the engine: the same for every picture
        st.error(plain(str(error)))


def _tabs(page: Page) -> None:
    keys = ("tab_enlarge", "tab_plan", "tab_compare", "tab_fuse")
    labels = [page.say(key) for key in keys]
    tabs = st.tabs(labels, key=f"tab-{page.language}", on_change="rerun")
    with tabs[0]:
        enlarge_tab(page)  # always: an uploader that is not drawn forgets its files
    if tabs[1].open:
        with tabs[1]:
            plan_tab(page, _selected(page.visit))
    if tabs[2].open:
        with tabs[2]:
            compare_tab(page, _selected(page.visit))
    if tabs[3].open:
        with tabs[3]:
            fuse_tab(page)


if __name__ == "__main__":
    page()
