"""Parts of results: what a large result shows in its own pixels, and what the original says."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.app import result
from enlarge.app.frame import Page
from enlarge.app.options import Options
from enlarge.app.queue import Queue
from enlarge.app.views import Box, enlarge_bicubic, read_part
from enlarge.app.visit import Item, Visit
from enlarge.metrics.protocol import Protocol
from enlarge.picture.run import Done


def smooth(width: int, height: int) -> Any:
    small = np.random.default_rng(9).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return enlarge_bicubic(small, width, height)


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def page() -> Any:
    queue = Queue()
    visit = Visit(queue, Options())
    yield Page("en", Options(), queue, visit)
    visit.close()


@pytest.fixture
def item(page: Page) -> Item:
    """A picture of 60 × 44 whose result, 240 × 176, lies there."""
    found = page.visit.add("1", "a.png", png(smooth(60, 44)))
    found.target.write_bytes(png(smooth(240, 176)))
    return found


DONE = Done("", 240, 176, "fast", "openvino", "f32", (60, 44), 1, 1.0)


@pytest.mark.parametrize(
    "box", [Box(0, 0, 240, 176), Box(0, 0, 7, 9), Box(101, 53, 77, 61), Box(233, 170, 7, 6)]
)
def test_a_part_is_cut_from_the_whole(
    item: Item, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result, "data_url", lambda pixels: pixels)
    low, high = (np.asarray(part) for part in result.region_urls(item, DONE, box))
    part = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
    whole = enlarge_bicubic(read_part(item.source, Box(0, 0, 60, 44)), 240, 176)
    assert np.abs(low.astype(int) - whole[part]).max() <= 1
    assert (high == read_part(item.target, box)).all()


def test_the_original_gives_the_protocols_numbers(page: Page, item: Item) -> None:
    original = smooth(240, 176) // 2 + 40
    found = result.judge(page, item, DONE, png(original), "original.png")
    assert isinstance(found, result.Judgement)
    expected = Protocol().measure(read_part(item.target, Box(0, 0, 240, 176)), original, factor=4)
    assert tuple(found.scores) == pytest.approx(tuple(expected))
    low = enlarge_bicubic(read_part(item.source, Box(0, 0, 60, 44)), 240, 176)
    assert tuple(found.bicubic) == pytest.approx(tuple(Protocol().measure(low, original, factor=4)))
    assert found.white > 1
    assert [layer.name for layer in found.layers] == ["Original", "Difference"]


def test_the_numbers_are_shown_beside_those_of_bicubic(
    page: Page, item: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = png(smooth(240, 176) // 2 + 40)
    file = SimpleNamespace(file_id="f", name="original.png", getvalue=lambda: original)
    shown: dict[str, tuple[str, str]] = {}
    column = SimpleNamespace(metric=lambda name, *texts: shown.update({name: texts}))
    streamlit = SimpleNamespace(
        file_uploader=lambda *_, **__: file,
        columns=lambda count: [column] * count,
        caption=lambda _: None,
        rerun=lambda **_: None,
    )
    monkeypatch.setattr(result, "st", streamlit)
    result._judge(page, item, DONE)
    assert [text.count("dB") for text in shown["PSNR"]] == [1, 1]
    assert shown["PSNR"][1].endswith(" dB · Bicubic")
    assert shown["SSIM"][1].endswith(" · Bicubic")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (png(smooth(120, 88)), "The original has 120 × 88 pixels and the result 240 × 176"),
        (b"not a picture", "original.png: is not a picture but a text file"),
    ],
)
def test_what_is_no_original_gets_a_sentence(
    page: Page, item: Item, content: bytes, said: str, tmp_path: Path
) -> None:
    assert said in str(result.judge(page, item, DONE, content, "original.png"))


def test_a_picture_that_is_too_small_to_measure_gets_a_sentence(page: Page) -> None:
    tiny = page.visit.add("2", "icon.png", png(smooth(4, 4)))
    tiny.target.write_bytes(png(smooth(16, 16)))
    done = Done("", 16, 16, "fast", "openvino", "f32", (4, 4), 1, 1.0)
    said = result.judge(page, tiny, done, png(smooth(16, 16)), "icon.png")
    assert isinstance(said, str)
    assert "11" in said
