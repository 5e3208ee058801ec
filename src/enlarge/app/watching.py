"""A job that waits or runs: its picture so far, its progress, and a button that stops it."""

from __future__ import annotations

import streamlit as st

from enlarge.app.frame import Page
from enlarge.app.visit import Upload

POLL_SECONDS = 0.4
"""How often a waiting or running job is looked at."""


@st.fragment(run_every=POLL_SECONDS)
def watch(page: Page, item: Upload) -> None:
    """Show the progress of a job, until it ends."""
    job = item.job
    assert job is not None
    if not job.active:
        st.rerun()
    if item.canvas is not None:
        st.image(item.canvas.pixels, width="stretch", output_format="JPEG")
    share = job.done / job.total if job.total else 0.0
    bar, beside = st.columns([4, 1], vertical_alignment="center")
    bar.progress(min(share, 1.0), _progress_text(page, item))
    beside.button(
        page.say("cancel"), on_click=page.queue.cancel, args=(job,), key="cancel", width="stretch"
    )
    st.caption(page.say("evidence"))


def _progress_text(page: Page, item: Upload) -> str:
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
    if job.done >= job.total:
        return page.say("finishing")
    percent = min(99, round(100 * job.done / job.total))
    return page.say("running", percent=percent, left=format_seconds(page, left))


def format_seconds(page: Page, seconds: float) -> str:
    """A duration in the visitor's language."""
    whole = round(seconds)
    if whole < 120:
        return page.say("seconds", count=whole if seconds >= 10 else f"{seconds:.1f}")
    if whole < 7200:
        return page.say("minutes", minutes=whole // 60, seconds=whole % 60)
    return page.say("hours", hours=whole // 3600, minutes=whole % 3600 // 60)
