"""The sheet of results, as a picture and as a page."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from enlarge.trying.page import try_page
from enlarge.trying.part import Part, Region
from enlarge.trying.results import Tried
from enlarge.trying.sheet import draw_sheet, seconds_text


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
    page = try_page("<a>.png", part, 4, found)
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
