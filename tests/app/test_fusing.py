"""The tab "Fuse frames", by Streamlit's own test runner."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

import enlarge
import enlarge.app
from enlarge.app.fusing import png_of
from enlarge.app.options import Options
from enlarge.app.texts import LANGUAGES, Language, text
from enlarge.media.metadata.provenance import provenance_of
from enlarge.media.reading import open_picture
from tests.app.streamlit_page import opened, run
from tests.fusing.bursts import burst, sample


@pytest.fixture
def page() -> Iterator[AppTest]:
    with opened(Options(max_result=1_000_000)) as test:
        yield test


def frames() -> list[np.ndarray]:
    random = np.random.default_rng(3)
    something_else = random.integers(0, 256, (40, 56, 3), dtype=np.uint8)
    return [*burst(4, scene=sample(width=224, height=160)).frames, something_else]


def upload(page: AppTest, pictures: list[np.ndarray]) -> None:
    files = []
    for number, pixels in enumerate(pictures):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        files.append((f"{number}.png", file.getvalue(), "image/png"))
    run(page)
    page.file_uploader(key="files").set_value(files)
    run(page)


def finish(page: AppTest) -> None:
    end = time.monotonic() + 120
    while page.session_state["visit"].fusion.active:
        assert time.monotonic() < end
        time.sleep(0.05)
    run(page)


@pytest.mark.parametrize("language", LANGUAGES)
def test_frames_are_fused_as_by_the_library(page: AppTest, language: Language) -> None:
    given = frames()
    upload(page, given)
    page.session_state["language"] = language
    page.session_state[f"tab-{language}"] = text(language, "tab_fuse")
    run(page)
    page.selectbox(key="fuse-then").set_value("none")
    run(page)
    assert page.button(key="fuse").label == text(language, "fuse")
    page.button(key="fuse").click()
    run(page)
    finish(page)
    job = page.session_state["visit"].fusion
    assert job.state == "done", job.problem
    alone = enlarge.fuse(given, then="none")
    np.testing.assert_array_equal(job.result.picture, alone.picture)
    said = {entry.value for entry in page.markdown}
    assert text(language, "fuse_used", used=4, count=5) in said
    assert text(language, "fuse_plain") in {entry.value for entry in page.caption}
    (table,) = page.dataframe
    assert list(table.value[text(language, "fuse_frame")]) == [f"{n}.png" for n in range(5)]
    reasons = list(table.value[text(language, "fuse_reason")])
    assert reasons == [frame.reason for frame in alone.report.frames]
    assert reasons[4]
    assert page.button(key="fuse").disabled  # there is nothing left to do


def test_a_region_is_fused_alone_and_recorded(page: AppTest, tmp_path: Path) -> None:
    upload(page, frames()[:4])
    page.session_state["tab-en"] = text("en", "tab_fuse")
    run(page)
    across, down = page.slider
    across.set_range(8, 48)
    down.set_range(4, 36)
    page.button(key="fuse").click()
    run(page)
    finish(page)
    made = page.session_state["visit"].fusion.result
    assert made.report.region == (8, 4, 40, 32)
    assert made.picture.shape == (128, 160, 3)
    assert text("en", "fuse_network", model="photo") in {entry.value for entry in page.caption}
    file = tmp_path / "fused.png"
    file.write_bytes(png_of(made))
    with Image.open(file) as picture:
        np.testing.assert_array_equal(np.asarray(picture), made.picture)
    with open_picture(file) as opened:
        facts = provenance_of(opened.metadata)
    assert facts is not None
    assert facts["model"] == "photo"
    assert facts["region"] == "8,4,40,32"


def test_frames_of_two_sizes_are_refused_with_the_visitors_names(page: AppTest) -> None:
    one, two = frames()[:2]
    upload(page, [one, two[:-2]])
    page.session_state["tab-en"] = text("en", "tab_fuse")
    run(page)
    page.button(key="fuse").click()
    run(page)
    finish(page)
    (problem,) = [entry.value for entry in page.error]
    assert "0.png" in problem.replace("\\", "")
    assert "1.png" in problem.replace("\\", "")
    assert "enlarge-app-" not in problem


def test_one_picture_is_not_enough(page: AppTest) -> None:
    upload(page, frames()[:1])
    page.session_state["tab-en"] = text("en", "tab_fuse")
    run(page)
    assert text("en", "fuse_few") in {entry.value for entry in page.info}
    assert "fuse" not in {button.key for button in page.button}
