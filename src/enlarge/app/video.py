"""A video in the tab "Enlarge": bring it, look at any moment of it, enlarge it, and play it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import streamlit as st

from enlarge.app.clips import SUFFIXES, clip_outlook, frame_settings
from enlarge.app.controls import video_controls
from enlarge.app.frame import Page, button
from enlarge.app.preview import show_preview
from enlarge.app.texts import plain
from enlarge.app.viewer import choose_video, player
from enlarge.app.visit import Clip
from enlarge.app.watching import format_seconds, watch
from enlarge.app.work import Sentence, format_file_size, reason_of, weights_of
from enlarge.errors import EnlargeError
from enlarge.picture.run import Done
from enlarge.settings import Settings
from enlarge.video.missing import INSTALL, has_av
from enlarge.video.outlook import VideoOutlook


def upload_videos(page: Page) -> list[Clip]:
    """Offer to choose a video, take what has come, and return the videos of the visit."""
    visit, options = page.visit, page.options
    if not has_av():
        st.caption(page.say("video_missing", command=f"`{INSTALL}`"))
        return []
    if (clip := visit.take_clip()) is not None:
        st.session_state["selected"] = clip.key
    if len(visit.clips) + len(visit.items) >= options.max_files:
        return list(visit.clips.values())
    limit = format_file_size(options.max_video)
    words = {
        "choose": page.say("video_choose"),
        "hint": page.say("video_hint", limit=limit),
        "sending": page.say("video_sending", percent="{percent}"),
        "cancel": page.say("cancel"),
        "failed": page.say("video_not_sent"),
        "too_large": page.say("too_large_video", name="{name}", limit=limit),
    }
    gate, _ = visit.incoming()
    choose_video(gate, most=options.max_video, suffixes=SUFFIXES, texts=words, key="video")
    return list(visit.clips.values())


def video_view(page: Page, clip: Clip) -> None:
    """The settings of a video, and the video itself: before, in progress, or finished."""
    st.button(
        page.say("remove_video"), type="tertiary", on_click=page.visit.remove, args=(clip.key,),
        key="remove",
    )  # fmt: skip
    if clip.problem is not None:
        st.error(page.say_sentence(clip.problem))
        return
    left, right = st.columns([2, 1], gap="large")
    with right, st.container(key="settings"):
        settings = _with_part(page, clip, video_controls(page))
        outlook = clip_outlook(settings, clip.known(), page.options)
        _start(page, clip, settings, outlook)
    with left:
        _moving(page, clip, settings, outlook)


def _with_part(page: Page, clip: Clip, settings: Settings) -> Settings:
    """Let the visitor choose which part of the video is enlarged."""
    seconds = clip.known().seconds
    last = round(seconds, 2)
    if last < 0.1 or clip.known().frames < 2:
        return settings
    start, end = st.slider(
        page.say("video_part"), 0.0, last, (0.0, last), min(0.1, last / 10), format="%.1f s",
        help=page.say("video_part_help"), key=f"part-{clip.key}",
    )  # fmt: skip
    begin = Fraction(str(start)) if start > 0 else None
    until = Fraction(str(end)) if end < last else None
    if begin is not None and until is not None and begin >= until:
        until = begin + 1 / clip.known().rate
    return replace(settings, start=begin, end=until)


def _start(page: Page, clip: Clip, settings: Settings, outlook: VideoOutlook | Sentence) -> None:
    """What the result will be, and the button that starts the work."""
    if isinstance(outlook, Sentence):
        st.error(page.say_sentence(outlook))
    else:
        about = {"frames": f"{outlook.frames:,}", "size": format_file_size(outlook.file_bytes)}
        st.caption(f"{page.becomes(clip.known(), outlook)}. {page.say('video_about', **about)}")
    active = clip.job is not None and clip.job.active
    made = clip.job is not None and clip.job.state == "done" and clip.settings == settings
    able = not isinstance(outlook, Sentence) and not active and not made
    label = page.say("enlarge_video")
    if button(label, key="enlarge", type="primary", width="stretch", disabled=not able) and able:
        page.visit.start_clip(clip, settings, page.open(weights_of(settings)))
        st.rerun()


def _moving(page: Page, clip: Clip, settings: Settings, outlook: VideoOutlook | Sentence) -> None:
    """The progress, the result, or a preview."""
    job = clip.job
    if job is not None and job.active:
        watch(page, clip)
        return
    if job is not None and job.state == "done" and clip.settings == settings:
        _result(page, clip, job.result)
        return
    if job is not None and job.state == "failed":
        reason = job.problem.replace(str(clip.source), clip.name)
        reason = reason.replace(str(clip.target), page.visit.outgoing(clip)[1])
        st.error(page.marked("video_failed", reason=reason))
    elif job is not None and job.state == "cancelled":
        st.info(page.say("video_cancelled"))
    if not isinstance(outlook, Sentence):
        _moment(page, clip, settings)


def _moment(page: Page, clip: Clip, settings: Settings) -> None:
    """Let the visitor pick a moment, and a part of its frame, which is enlarged at once."""
    facts, at = clip.known(), Fraction(0)
    last = max(facts.seconds - float(1 / facts.rate), 0.0)
    if facts.frames > 1 and last > 0:
        chosen = st.slider(
            page.say("moment"), 0.0, last, last / 2, float(1 / facts.rate), format="%.2f s",
            key=f"moment-{clip.key}",
        )  # fmt: skip
        at = Fraction(str(round(chosen, 3)))
    still = frame_settings(settings)
    try:
        item = page.visit.frame_item(clip, at)
    except EnlargeError as error:
        reason = reason_of(error, clip.source, clip.name)
        st.error(page.marked("unreadable_video", name=clip.name, reason=reason))
        return
    show_preview(page, item, still)
    if button(page.say("take_frame"), key="take-frame"):
        page.visit.add_frame(clip, at, settings, page.open(weights_of(still)))
        st.session_state["chosen"] = next(reversed(page.visit.items))
        st.rerun()


def _result(page: Page, clip: Clip, done: Done) -> None:
    """Play a result, say what it is, and offer its file."""
    gate, name = page.visit.outgoing(clip)
    words = {
        "download": page.say("download", name=name),
        "unplayable": page.say("unplayable"),
        "label": name,
    }
    player(gate, name, texts=words, key=f"player-{clip.key}-{gate}")
    st.caption(page.say("evidence"))
    size = clip.target.stat().st_size
    about: dict[str, Any] = {"width": f"{done.width:,}", "height": f"{done.height:,}"}
    about |= {"model": done.model, "precision": done.precision, "size": format_file_size(size)}
    about |= {"frames": f"{done.frames or 0:,}", "seconds": format_seconds(page, done.seconds)}
    st.caption(page.say("video_done", **about))
    if done.broken is not None:
        st.warning(page.marked("video_broken", what=done.broken))
    for note in done.notes:
        st.caption(plain(note))
