"""Files with several pictures in the web app."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

import enlarge
from enlarge.app.texts import text
from tests.app.streamlit_page import run
from tests.app.test_page import finish, page, upload

__all__ = ["page"]  # the fixture


def animation(form: str, *sizes: tuple[int, int]) -> tuple[bytes, list[np.ndarray]]:
    random = np.random.default_rng(4)
    made = [random.integers(0, 256, (h, w, 3), dtype=np.uint8) for w, h in sizes]
    images = [Image.fromarray(one) for one in made]
    file = io.BytesIO()
    images[0].save(file, form, save_all=True, append_images=images[1:])
    return file.getvalue(), made


@pytest.mark.parametrize(
    ("form", "sizes"), [("PNG", ((24, 18), (24, 18))), ("TIFF", ((24, 18), (30, 20)))]
)
def test_another_page_is_enlarged(
    page: AppTest, tmp_path: Path, form: str, sizes: tuple[tuple[int, int], ...]
) -> None:
    data, made = animation(form, *sizes)
    run(page)
    upload(page, ("scan.tif", data))
    (item,) = page.session_state["visit"].items.values()
    assert (item.known().pages, item.known().page) == (2, 1)
    number = page.number_input(key=f"page-{item.key}")
    assert number.help == text("en", "page_help", count=2)
    page.button(key="enlarge").click()
    run(page)
    finish(page)
    assert item.result_name == "scan_x4.png"
    assert "only the first is used" in " ".join(one.value for one in page.caption)
    first = item.target.read_bytes()
    page.number_input(key=f"page-{item.key}").set_value(2)
    run(page)
    assert item.job is None
    page.button(key="enlarge").click()
    run(page)
    finish(page)
    assert item.job is not None
    assert item.job.state == "done", item.job.problem
    assert item.result_name == "scan_page2_x4.png"
    assert item.target.read_bytes() != first
    found = np.asarray(Image.open(item.target))
    assert np.array_equal(found, enlarge.upscale(made[1], model="auto"))


def test_a_single_picture_has_no_choice(page: AppTest) -> None:
    run(page)
    upload(page, ("photo.png", animation("PNG", (24, 18))[0]))
    (item,) = page.session_state["visit"].items.values()
    assert not [one for one in page.number_input if one.key == f"page-{item.key}"]
