"""The sheet of results, as a picture and as a page."""

from __future__ import annotations

import base64
import io
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.trying.page import try_page
from enlarge.trying.part import Part, Region
from enlarge.trying.results import Tried
from enlarge.trying.sheet import draw_sheet, seconds_text
from tests.app.browser import chromium, launch


def results(count: int, side: int = 48) -> list[Tried]:
    return [
        Tried(f"m{number}", np.full((side, side, 3), (9, number, 99), np.uint8), 0.1, 2.0)
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 5, 9, 40])
@pytest.mark.parametrize("side", [8, 48, 2000])
def test_every_result_is_on_the_sheet_once(count: int, side: int) -> None:
    if side == 2000 and count > 5:
        pytest.skip("nothing new, and large")
    sheet = draw_sheet(results(count, side))
    for number in range(count):
        same = (sheet == (9, number, 99)).all(axis=2)
        rows, columns = np.nonzero(same)
        whole = sheet[rows.min() : rows.min() + side, columns.min() : columns.min() + side]
        assert (whole == (9, number, 99)).all()
        assert whole.shape == (side, side, 3)


def test_the_name_stands_below_its_result() -> None:
    sheet = draw_sheet(results(1, 200))
    below = sheet[212:]
    assert (below < 128).any(), "no ink"
    assert (sheet[:12] == 255).all()
    odd = [Tried("<b>&\u202e" + "x" * 300, np.zeros((20, 20, 3), np.uint8), 0.1, 2.0)]
    assert draw_sheet(odd).shape == sheet[:88, :44].shape


def test_seconds_are_told_as_they_are_read() -> None:
    told = [seconds_text(value) for value in (0.04, 2.34, 9.96, 119.4, 300.0)]
    assert told == ["0.0 s", "2.3 s", "10 s", "119 s", "5 min"]


def test_the_page_holds_every_result_and_escapes_names() -> None:
    found = results(3)
    found.append(Tried("<script>", np.zeros((48, 48, 3), np.uint8), 1.0, 3.0, purpose="a & b"))
    part = Part(
        np.zeros((12, 12, 3), np.uint8), Region(3, 4, 12, 12), Region(0, 0, 12, 12), (9, 9), ()
    )
    page = try_page(Path("<a>.png"), part, 4, found)
    assert page.count("<script>") == 1, "only the page's own"
    assert "&lt;a&gt;.png" in page
    assert "a &amp; b" in page
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == 4
    for data, result in zip(pictures, found, strict=True):
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert (np.asarray(image) == result.pixels).all()
    assert page.count("<option") == 8
    assert not re.search(r'(src|href)="https?:', page)


def test_a_click_makes_a_model_the_choice(tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    if chromium() is None:
        pytest.skip("there is no chromium")
    from playwright.sync_api import sync_playwright

    part = Part(
        np.zeros((12, 12, 3), np.uint8), Region(3, 4, 12, 12), Region(0, 0, 12, 12), (9, 9), ()
    )
    found = [replace(result, call=result.model if n else "") for n, result in enumerate(results(4))]
    found[2] = replace(found[2], call="a b/x'4.param", model='m"2')
    page = tmp_path / "p.html"
    page.write_text(try_page(tmp_path / "it's.png", part, 4, found), encoding="utf-8")
    with sync_playwright() as playwright, launch(playwright) as browser:
        tab = browser.new_page()
        tab.goto(page.as_uri())
        assert tab.locator(".all button").count() == 3
        tab.locator(".all button").nth(1).click()
        said = tab.locator(".choice code").inner_text()
        assert shlex.split(said) == [
            "enlarge", str(tmp_path / "it's.png"), "--scale", "4", "--model", "a b/x'4.param"
        ]  # fmt: skip
        assert tab.locator("select").nth(1).input_value() == "2"
        shown = tab.locator(".two img").nth(1).get_attribute("src")
        assert shown == tab.locator(".all img").nth(2).get_attribute("src")
        tab.locator(".all button").nth(0).press("Enter")
        pressed = [one.get_attribute("aria-pressed") for one in tab.locator(".all button").all()]
        assert pressed == ["true", "false", "false"]
        assert "--model m1" in tab.locator(".choice code").inner_text()
