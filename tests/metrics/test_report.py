"""The page: it needs nothing from elsewhere, says the numbers, and fits narrow screens."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.metrics.evaluation import Result, evaluate, evaluation_document
from enlarge.metrics.methods import bicubic_method
from enlarge.metrics.pairs import find_set
from enlarge.metrics.protocol import Protocol
from enlarge.metrics.score_cache import ImageScore
from enlarge.metrics.worst import _png, worst_crops
from enlarge.report import evaluation_page
from tests.metrics.test_pairs import benchmark

PNG = b"\x89PNG\r\n\x1a\n"


def result(model: str, psnr: float, seconds: float) -> Result:
    images = tuple(ImageScore(f"<{i}>", psnr + i, 0.8, seconds / 9) for i in range(-4, 5))
    return Result(model, "a & b", 4, "", psnr, 0.8, seconds, 10**8, images)


@pytest.fixture
def page(tmp_path: Path) -> str:
    found = find_set(benchmark(tmp_path / "Set/x4"))
    real = evaluate([bicubic_method()], found, Protocol())
    crops = worst_crops(bicubic_method(), [found], real)
    assert [len(crop.pictures) for crop in crops] == [3, 3]
    assert all(png.startswith(PNG) for crop in crops for _, png in crop.pictures)
    results = [result("bicubic", 28.0, 0.01), result("a-model-of-some-long-name", 31.5, 3.0)]
    results += [result("perfect", float("inf"), 250.0), *real]
    return evaluation_page(evaluation_document(Protocol(), results), crops)


def test_crops_of_floats_are_clipped() -> None:
    pixels = np.array([[[-0.01, 0.0, 0.5], [1.0, 1.01, 2.0]]], np.float32)
    with Image.open(io.BytesIO(_png(pixels))) as image:
        assert np.asarray(image).tolist() == [[[0, 0, 128], [255, 255, 255]]]


class Reader(HTMLParser):
    """Collects tags, checks that they close, and gathers the links of the page."""

    VOID = ("meta", "img", "line", "polyline", "circle", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_it_is_whole_and_needs_no_network(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert "script" not in reader.seen
    assert all(link.startswith("data:image/png;base64,") for link in reader.links)
    assert not re.search(r"url\(|@import|https?:", page)
    assert reader.seen.count("svg") == 3  # the second set has bicubic alone, so nothing to gain
    assert reader.seen.count("img") == 6


def test_the_front_leaves_out_what_is_beaten() -> None:
    """By PSNR and seconds: slow was beaten by good, which is faster and better."""
    times = {
        "bicubic": (28.0, 0.1),
        "good": (31.0, 1.0),
        "slow": (30.0, 10.0),
        "best": (32.0, 99.0),
    }
    results = [result(model, psnr, seconds) for model, (psnr, seconds) in times.items()]
    page = evaluation_page(evaluation_document(Protocol(), results), [])
    chart = page[page.index("<svg") : page.index("</svg>")]
    places = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', chart)
    front = re.search(r'<polyline points="([^"]*)"', chart)
    assert front is not None
    assert front[1].split() == [",".join(places[i]) for i in (0, 1, 3)]
    assert page.count("<polyline") == 1


def test_lpips_and_dists_stand_beside() -> None:
    scores = {"lpips": 0.1234, "dists": 0.0567}, {"lpips": 0.0999, "dists": 0.0789}
    results = []
    for model, perceptual in zip(("bicubic", "fast"), scores, strict=True):
        images = (ImageScore("a", 30.0, 0.8, 1.0, perceptual),)
        results.append(Result(model, "Set", 4, "", 30.0, 0.8, 1.0, 0, images, perceptual))
    page = evaluation_page(evaluation_document(Protocol(), results), [])
    assert "<th>LPIPS</th><th>DISTS</th>" in page
    assert '<span class="best">0.0999</span>' in page  # lower is better
    assert '<span class="best">0.0567</span>' in page
    assert "30.00 / 0.8000 / 0.1234 / 0.0567" in page


def test_it_says_the_numbers(page: str) -> None:
    assert "16–235" in page
    assert "31.50" in page
    assert "∞" in page
    assert "a &amp; b" in page
    assert "&lt;0&gt;" in page
    assert "nan" not in page


@pytest.mark.parametrize("width", [1280, 400])
def test_it_fits_in_a_browser(page: str, width: int, tmp_path: Path) -> None:
    browser: Any = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium; apt-get install chromium brings it")
    frame = (
        f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{escape(page)}"></iframe>'
    )
    script = "const d = f.contentDocument.documentElement; "
    script += "document.title = d.scrollWidth + '/' + d.clientWidth"
    script = f"const f = document.querySelector('iframe'); f.onload = () => {{ {script} }}"
    (tmp_path / "page.html").write_text(f"<title></title>{frame}<script>{script}</script>")
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--window-size=1400,1000", f"--user-data-dir={tmp_path}/profile"),
            (tmp_path / "page.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r"<title>(\d+)/(\d+)</title>", done.stdout)
    assert found is not None, done.stderr[-500:]
    assert int(found[1]) == int(found[2])  # nothing sticks out
    assert width - 20 <= int(found[2]) <= width  # a scroll bar may take its share
