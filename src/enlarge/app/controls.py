"""The controls beside a picture: model, size, format and what else the page offers."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import streamlit as st

from enlarge.app.frame import Page
from enlarge.app.work import model_for
from enlarge.media.formats import WRITERS
from enlarge.settings import Codec, Settings
from enlarge.video.containers import ENCODERS
from enlarge.weights.catalog import AUTO, auto_weights, find_weights, list_weights
from enlarge.weights.mixing import PARTNERS

_MODEL_TEXTS = {
    "fast": "model_fast",
    "quality": "model_quality",
    "photo": "model_photo",
    "photo-fast": "model_photo_fast",
    "photo-sharp": "model_photo_sharp",
}
_SCALES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
_TO_WIDTH = 0.0  # stands for "Width…" among them
_CODINGS = (
    *(("mp4", "h264"), ("mp4", "hevc"), ("mkv", "h264"), ("webm", "av1")),
    *(("mkv", "ffv1"), ("mov", "prores")),
)
"""Containers and codecs that are offered; the first is the one that every browser plays."""
_FORMATS = [name for name, writer in WRITERS.items() if writer.to_stream]


def settings_controls(page: Page) -> Settings:
    """Show the controls and return the settings that the visitor chose."""
    model, scale_of_model = _model(page)
    strength = _strength(page, model)
    scale, width = _size(page, scale_of_model)
    kind = st.selectbox(
        page.say("format"), _FORMATS, format_func=str.upper, help=page.say("format_help"),
        key="format",
    )  # fmt: skip
    quality = WRITERS[kind].quality
    if quality is not None:
        quality = st.slider(
            page.say("quality"), 1, 100, quality, help=page.say("quality_help"), key=f"q-{kind}"
        )
    ensemble = st.checkbox(page.say("ensemble"), help=page.say("ensemble_help"), key="ensemble")
    no_gps = st.checkbox(page.say("no_gps"), help=page.say("no_gps_help"), key="no_gps")
    return Settings(
        model=model,
        strength=strength,
        scale=scale,
        width=width,
        format=kind,
        quality=quality,
        metadata="no-gps" if no_gps else "keep",
        ensemble=ensemble,
    )


def video_controls(page: Page) -> Settings:
    """Show the controls of a video and return the settings that the visitor chose."""
    model, scale_of_model = _model(page)
    strength = _strength(page, model)
    scale, width = _size(page, scale_of_model)
    container, codec = st.selectbox(
        page.say("format"), _CODINGS, format_func=lambda both: f"{both[0].upper()} ({both[1]})",
        help=page.say("video_format_help"), key="video-format",
    )  # fmt: skip
    encoder = ENCODERS[codec]
    crf = encoder.crf
    if crf is not None:
        crf = st.slider(
            page.say("crf"), 0, encoder.worst, crf, help=page.say("crf_help"), key=f"crf-{codec}"
        )
    settings = Settings(
        model=model, strength=strength, scale=scale, width=width, format=container,
        codec=cast(Codec, codec), crf=crf,
    )  # fmt: skip
    if model == AUTO:  # as the command line does
        settings = replace(settings, model=model_for("degraded", settings))
        st.caption(page.say("video_auto", model=settings.model))
    elif model in ("fast", "quality"):
        st.caption(page.say("video_model"))
    return settings


def _model(page: Page) -> tuple[str, float]:
    """The chosen model and its own factor."""
    models = {weights.path.stem: weights.card for weights in list_weights()}
    names = [AUTO, *models]
    if page.options.model not in names:
        names.insert(0, page.options.model)
    model = st.selectbox(
        page.say("model"),
        names,
        index=names.index(page.options.model),
        help=page.say("model_help"),
        key="model",
    )
    if model == AUTO:
        st.caption(page.say("model_auto"))
        return model, float(auto_weights().card.scale)
    card = models.get(model) or find_weights(model).card
    key = _MODEL_TEXTS.get(model, "model_other")
    st.caption(page.say(key, scale=card.scale, parameters=f"{card.parameters:,}"))
    return model, float(card.scale)


def _strength(page: Page, model: str) -> float | None:
    """The position between a model and its partner; None for a model without one."""
    for soft, sharp in PARTNERS.items():
        if model in (soft, sharp):
            value = st.slider(
                page.say("strength"), 0.0, 1.0, float(model == sharp), 0.1,
                help=page.say("strength_help", plain=soft, sharp=sharp), key=f"strength-{model}",
            )  # fmt: skip
            return round(value, 1)
    return None


def _size(page: Page, scale_of_model: float) -> tuple[float | None, int | None]:
    """The factor (None: the model's own) or the width."""
    choices = sorted({*_SCALES, scale_of_model})
    choice = st.selectbox(
        page.say("size"),
        [*choices, _TO_WIDTH],
        index=choices.index(scale_of_model),
        format_func=lambda scale: page.say("to_width") if scale == _TO_WIDTH else f"×{scale:g}",
        help=page.say("size_help"),
        key=f"size-{scale_of_model:g}",
    )
    if choice != _TO_WIDTH:
        return (None if choice == scale_of_model else choice), None
    width = st.number_input(
        page.say("width"), 1, 1_000_000, 1920, help=page.say("width_help"), key="width"
    )
    return None, int(width)
