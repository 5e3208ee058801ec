"""What every part of the page shares: the language, the options, the visit, and the models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from enlarge.app.options import Options
from enlarge.app.queue import Queue
from enlarge.app.texts import Language, plain, text
from enlarge.app.visit import Item, Visit
from enlarge.app.work import (
    Sentence,
    check_result_size,
    looked_at,
    model_for,
    reason_of,
    result_outlook,
)
from enlarge.errors import EnlargeError
from enlarge.media.reading import Facts
from enlarge.model_file import Weights
from enlarge.picture.outlook import Outlook
from enlarge.settings import Settings
from enlarge.upscaler import Upscaler, open_model
from enlarge.video.facts import VideoFacts
from enlarge.video.outlook import VideoOutlook
from enlarge.weights.catalog import AUTO

SAMPLE = "sample"
"""The key of the bundled picture among a visit's."""
_VIEWER = ("viewer", "divider", "fit", "actual", "zoom_in", "zoom_out", "left", "right")
_PREVIEW = 240, 180
"""Pixels of a picture that are previewed at ×4; fewer at larger factors."""


@dataclass(frozen=True)
class Page:
    """One run of the page for one visitor."""

    language: Language
    options: Options
    queue: Queue
    visit: Visit

    def say(self, key: str, **values: Any) -> str:
        """A sentence in the visitor's language."""
        return text(self.language, key, **values)

    def marked(self, key: str, **values: Any) -> str:
        """A sentence as Markdown, in which values (file names, reasons) are shown verbatim."""
        words = {
            name: plain(value) if isinstance(value, str) else value
            for name, value in values.items()
        }
        return self.say(key, **words)

    def say_sentence(self, sentence: Sentence) -> str:
        """The same for a `Sentence`."""
        return self.marked(sentence.key, **sentence.values)

    def say_error(self, item: Item, error: EnlargeError) -> str:
        """Why a picture cannot be read, with the visitor's name for it."""
        reason = reason_of(error, item.source, item.name)
        return self.marked("unreadable", name=item.name, reason=reason)

    def viewer_texts(self) -> dict[str, str]:
        """The labels of the viewer's controls."""
        return {key: self.say(key) for key in _VIEWER}

    def open(self, weights: Weights) -> Upscaler:
        """A model, shared by all visitors."""
        options = self.options
        return _open(
            str(weights.path), options.engine, options.device, options.precision, options.threads
        )

    def settled(self, item: Item, settings: Settings) -> Settings:
        """The settings for a picture: with the model that `auto` takes for it."""
        if settings.model != AUTO or item.facts is None:
            return settings
        if item.finding is None:
            item.finding = looked_at(item.source, item.page)
        return replace(settings, model=model_for(item.finding.kind, settings))

    def outlook(self, item: Item, settings: Settings) -> Outlook | Sentence:
        """The result's size, or why this page does not make it."""
        try:
            outlook = result_outlook(settings, item.known())
        except EnlargeError as error:
            return Sentence("impossible", {"reason": str(error)})
        return check_result_size(outlook.width, outlook.height, self.options) or outlook

    def becomes(self, facts: Facts | VideoFacts, outlook: Outlook | VideoOutlook) -> str:
        """The size of a picture or a video, and that of its result."""
        return self.say(
            "becomes",
            width=f"{facts.width:,}",
            height=f"{facts.height:,}",
            to_width=f"{outlook.width:,}",
            to_height=f"{outlook.height:,}",
        )

    def shown_item(self, item: Item | None) -> Item | None:
        """The selected picture, or else the sample; if it cannot be read, show why."""
        item = item or self.take_sample()
        if item.facts is not None:
            return item
        st.error(self.say_sentence(item.problem) if item.problem else "")
        return None

    def take_sample(self) -> Item:
        """Add the sample photograph, as if the visitor had uploaded it."""
        place = sample()
        return self.visit.add(SAMPLE, "photo.jpg", place.read_bytes())


def button(label: str, *, key: str, **options: Any) -> bool:
    """An `st.button` that loses no click.

    Streamlit forgets clicks when a run ends, and with them a click that came while the page was
    still being drawn. A callback runs before that; what it notes is read here by the next run.
    """
    st.button(label, key=key, on_click=_note_click, args=(key,), **options)
    return bool(st.session_state.pop(f"clicked-{key}", False))


def _note_click(key: str) -> None:
    st.session_state[f"clicked-{key}"] = True


def preview_size(item: Item, scale: float) -> tuple[int, int]:
    """The size of the part of a picture that is previewed, in its pixels."""
    facts, share = item.known(), min(1.0, 4 / scale)
    width, height = (max(8, round(side * share)) for side in _PREVIEW)
    return min(width, facts.width), min(height, facts.height)


@st.cache_resource(max_entries=4, show_spinner=False)
def _open(path: str, engine: str, device: str, precision: str, threads: int) -> Upscaler:
    """Opened once for all visitors; the network for the preview's size is compiled here."""
    model = open_model(path, engine=engine, device=device, precision=precision, threads=threads)
    model.upscale(np.zeros((_PREVIEW[1], _PREVIEW[0], 3), np.uint8))
    return model


def sample() -> Path:
    """The sample photograph: in the package, or in `samples` of the repository."""
    packaged = Path(__file__).with_name("sample.jpg")
    return packaged if packaged.is_file() else Path(__file__).parents[3] / "samples" / "photo.jpg"
