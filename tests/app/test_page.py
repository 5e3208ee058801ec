"""The page without a browser: Streamlit's own test runner."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.testing.v1 import AppTest

from enlarge.app import enlarging
from enlarge.app.frame import Page
from enlarge.app.options import Options
from enlarge.app.texts import LANGUAGES, Language, text
from enlarge.app.upload import upload_pictures
from enlarge.app.visit import Item
from enlarge.weights.catalog import auto_weights
from tests.app.streamlit_page import PAGE, opened, run


def picture(width: int = 48, height: int = 36) -> bytes:
    pixels = np.random.default_rng(6).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def page() -> Iterator[AppTest]:
    with opened(Options(max_files=3, max_pixels=2_000_000)) as test:
        yield test


def finish(page: AppTest) -> None:
    """Run until no job is active."""
    end = time.monotonic() + 120
    while any(item.job and item.job.active for item in page.session_state["visit"].items.values()):
        assert time.monotonic() < end
        time.sleep(0.05)
    run(page)


def upload(page: AppTest, *files: tuple[str, bytes]) -> None:
    page.file_uploader(key="files").set_value([(n, c, "image/png") for n, c in files])
    run(page)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sample_is_enlarged_at_the_second_click(page: AppTest, language: Language) -> None:
    page.context = {"locale": {"en": "en-GB", "ko": "ko-KR"}[language]}
    run(page)
    assert page.button(key="sample").label == text(language, "sample")
    page.button(key="sample").click()
    run(page)
    assert any(text(language, "evidence") in caption.value for caption in page.caption)
    assert page.button(key="enlarge").label == text(language, "enlarge")
    page.button(key="enlarge").click()
    run(page)
    finish(page)
    (item,) = page.session_state["visit"].items.values()
    assert item.job.state == "done", item.job.problem
    assert item.result_name == "photo_x4.png"
    with Image.open(item.target) as made:
        assert made.size == (2048, 3076)
    assert any(text(language, "evidence") in caption.value for caption in page.caption)
    assert page.button(key="enlarge").disabled  # there is nothing left to do


def test_a_click_counts_while_the_run_before_is_ending(
    page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(page)
    upload(page, ("a.png", picture()))

    def upload_late(page: Page) -> list[Item]:
        context = get_script_run_ctx()
        assert context is not None
        context.session_state._state._reset_triggers()  # what the end of any run does
        return upload_pictures(page)

    monkeypatch.setattr(enlarging, "upload_pictures", upload_late)
    page.button(key="enlarge").click()
    run(page)
    finish(page)
    (item,) = page.session_state["visit"].items.values()
    assert item.job.state == "done"


@pytest.mark.parametrize("tab", ["tab_plan", "tab_compare"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_other_tabs(page: AppTest, language: Language, tab: str) -> None:
    page.session_state["language"] = language
    page.session_state[f"tab-{language}"] = text(language, tab)
    run(page)
    run(page)
    shown = {box.key for box in page.selectbox}
    assert ("plan-side" in shown) == (tab == "tab_plan")
    assert ("compare-left" in shown) == (tab == "tab_compare")


def test_the_proof_finds_what_the_docs_say(page: AppTest) -> None:
    page.session_state["tab-en"] = text("en", "tab_plan")
    run(page)
    page.button(key="prove").click()
    run(page)
    (said,) = [message.value for message in page.success]
    found = re.search(
        r"tiles compared with the whole: the largest difference is (\d+) of 255 levels, and (.+) %",
        said,
    )
    assert found is not None
    assert int(found[1]) <= 2
    assert float(found[2]) > 90


def test_settings_reach_the_file(page: AppTest) -> None:
    run(page)
    upload(page, ("a.png", picture()))
    page.selectbox(key="size-4").set_value(0.0)
    page.selectbox(key="format").set_value("jpeg")
    run(page)
    page.number_input(key="width").set_value(100)
    page.slider(key="q-jpeg").set_value(70)
    page.checkbox(key="no_gps").check()
    run(page)
    page.button(key="enlarge").click()
    run(page)
    finish(page)
    (item,) = page.session_state["visit"].items.values()
    assert item.result_name == "a_100x75.jpg"
    assert (item.settings.quality, item.settings.metadata) == (70, "no-gps")
    with Image.open(item.target) as made:
        assert made.size == (100, 75)
        assert made.format == "JPEG"


def test_a_strength_between_two_models(page: AppTest) -> None:
    run(page)
    upload(page, ("a.png", picture()))
    assert not [slider for slider in page.slider if str(slider.key).startswith("strength")]
    page.selectbox(key="model").set_value("photo-sharp")
    run(page)
    assert page.slider(key="strength-photo-sharp").value == 1.0
    page.selectbox(key="model").set_value("photo")
    run(page)
    assert page.slider(key="strength-photo").value == 0.0
    page.slider(key="strength-photo").set_value(0.3)
    run(page)
    page.button(key="enlarge").click()
    run(page)
    finish(page)
    (item,) = page.session_state["visit"].items.values()
    assert (item.settings.model, item.settings.strength) == ("photo", 0.3)
    assert item.job.result.model == "photo-sharp@0.3"


def test_many_pictures_and_one_that_is_none(page: AppTest) -> None:
    run(page)
    upload(page, ("a.png", picture()), ("b.png", b"hello"), ("c.png", picture(30, 20)))
    assert page.button(key="enlarge").label == text("en", "enlarge_all", count=2)
    page.button(key="enlarge").click()
    run(page)
    finish(page)
    items = list(page.session_state["visit"].items.values())
    assert [item.job.state if item.job else "none" for item in items] == ["done", "none", "done"]
    page.selectbox(key="selected").set_value(items[1].key)
    run(page)
    assert ["b.png: is not a picture but a text file" in error.value for error in page.error] == [
        True
    ]
    labels: list[Any] = [button.proto.label for button in page.get("download_button")]
    assert text("en", "download_all", count=2) in labels


def test_too_many_pictures_get_a_sentence(page: AppTest) -> None:
    run(page)
    upload(page, *((f"{i}.png", picture()) for i in range(5)))
    assert len(page.session_state["visit"].items) == 3
    assert [warning.value for warning in page.warning] == [
        text("en", "too_many_files", count=2, limit=3)
    ]


def test_a_size_that_cannot_be_gets_a_sentence(page: AppTest) -> None:
    run(page)
    upload(page, ("a.png", picture()))
    page.selectbox(key="size-4").set_value(0.0)
    run(page)
    page.number_input(key="width").set_value(10)
    run(page)
    assert ["1 to 16 times as large" in error.value for error in page.error] == [True]
    assert page.button(key="enlarge").disabled


def test_two_visitors_do_not_see_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (AppTest.from_file(str(PAGE), default_timeout=120) for _ in range(2))
    for page, name in ((first, "a.png"), (second, "b.png")):
        run(page)
        upload(page, (name, picture()))
    visits = [page.session_state["visit"] for page in (first, second)]
    assert visits[0].owner != visits[1].owner
    assert visits[0].folder != visits[1].folder
    assert [[item.name for item in visit.items.values()] for visit in visits] == [
        ["a.png"], ["b.png"]
    ]  # fmt: skip
    for visit in visits:
        visit.close()


@pytest.mark.parametrize("tab", ["tab_plan", "tab_compare"])
def test_a_picture_that_is_cut_off_gets_a_sentence_in_every_tab(page: AppTest, tab: str) -> None:
    page.session_state["tab-en"] = text("en", tab)
    run(page)
    whole = picture(400, 300)
    upload(page, ("a_cut.png", whole[: len(whole) // 2]))
    said = [error.value for error in page.error]
    assert said
    assert all(r"a\_cut.png: this PNG is truncated" in sentence for sentence in said)
    assert "enlarge-app-" not in "".join(said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_auto_takes_a_model_for_each_picture(page: AppTest, language: Language) -> None:
    page.context = {"locale": {"en": "en-GB", "ko": "ko-KR"}[language]}
    run(page)
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (20, 90, 160)).save(file, "PNG")
    upload(page, ("noise.png", picture()), ("flat.png", file.getvalue()))
    assert page.selectbox(key="model").value == "auto"  # unless --model says otherwise
    page.button(key="enlarge").click()
    run(page)
    finish(page)
    noise, flat = page.session_state["visit"].items.values()
    taken = [item.settings.model for item in (noise, flat)]
    assert taken == [auto_weights().choices[kind].path.stem for kind in ("degraded", "drawing")]
    assert all(item.job.state == "done" for item in (noise, flat))
    assert flat.result_name == "flat_x4.png"
    shown = text(language, "auto_took", model=taken[1], reason=flat.finding.reason)
    assert shown in [caption.value for caption in page.caption]
