"""The web app in a real browser: what a visitor does, and what they see."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.weights.catalog import auto_weights
from tests.app.browser import Server, chromium, serving, settle, upload, visit
from tests.conftest import ROOT

if chromium() is None:
    pytest.skip("no chromium; apt-get install chromium brings it", allow_module_level=True)
from playwright.sync_api import expect

SAMPLE = ROOT / "samples" / "photo.jpg"
EVIDENCE = "not evidence of who or what was there"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), "--max-upload", "30MB") as found:
        yield found


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder for the pictures of a test."""
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def noise(path: Path, width: int, height: int, **options: Any) -> Path:
    pixels = np.random.default_rng(8).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(path, **options)
    return path


def shown(page: Any) -> Any:
    """The viewer, once it shows both pictures."""
    viewer = page.locator(".root[data-shown]").first
    viewer.wait_for()
    return viewer


def enlarge(page: Any) -> None:
    page.locator(".st-key-enlarge button").click()
    page.get_by_role("button", name="Download", exact=False).first.wait_for()
    settle(page)


def by_command(source: Path, target: Path) -> bytes:
    """What the command line writes with the model that `auto` takes for noise."""
    model = auto_weights().choices["degraded"].path.stem
    command = [sys.executable, "-m", "enlarge", str(source), "-o", str(target), "--model", model]
    subprocess.run(command, check=True, timeout=120)
    return target.read_bytes()


def assert_same_file(found: bytes, expected: bytes) -> None:
    """The bytes of two PNGs are equal; else say how their pixels differ."""
    if found == expected:
        return
    first, second = (
        np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
        for content in (found, expected)
    )
    assert first.shape == second.shape
    apart = np.abs(first - second)
    rows, columns = np.nonzero(apart.max(axis=2))
    where = f"{rows.min()}..{rows.max()}, {columns.min()}..{columns.max()}" if rows.size else "-"
    pytest.fail(f"{rows.size} pixels differ, by {apart.max()} at most, in rows, columns {where}")


def test_upload_enlarge_divide_download(
    browser: Any, server: Server, pictures: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    source = noise(pictures / "holiday.jpg", 320, 240, exif=exif)
    page = visit(browser, server)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    upload(page, source)
    enlarge(page)
    viewer = shown(page)
    divider = viewer.get_by_role("slider")
    expect(divider).to_have_attribute("aria-valuenow", "50")
    box = viewer.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 3, steps=4)
    page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "25")
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download holiday_x4.png").click()
    assert coming.value.suggested_filename == "holiday_x4.png"
    coming.value.save_as(tmp_path / "page.png")
    expected = by_command(source, tmp_path / "command.png")
    assert_same_file((tmp_path / "page.png").read_bytes(), expected)
    assert page.get_by_text(EVIDENCE).is_visible()
    outside = {url for url in asked if "://localhost" not in url and not url.startswith("data:")}
    assert not {url for url in outside if not url.startswith("blob:")}


def test_the_viewer_by_keys_and_wheel(browser: Any, server: Server, pictures: Path) -> None:
    page = visit(browser, server)
    upload(page, noise(pictures / "a.png", 256, 256))
    enlarge(page)
    viewer = shown(page)
    divider = viewer.get_by_role("slider")
    divider.focus()
    for key, value in (("ArrowRight", 52), ("Shift+ArrowLeft", 42), ("End", 100), ("Home", 0)):
        divider.press(key)
        expect(divider).to_have_attribute("aria-valuenow", str(value))
    stage = viewer.get_by_role("group")
    stage.press("1")
    expect(viewer).to_have_attribute("data-zoom", "1.000")
    image = viewer.locator("img").first
    natural = image.evaluate("image => [image.naturalWidth, image.getBoundingClientRect().width]")
    assert natural == [1024, 1024]
    before = image.bounding_box()["x"]
    stage.press("ArrowRight")
    assert image.bounding_box()["x"] < before - 20
    stage.press("+")
    expect(viewer).to_have_attribute("data-zoom", "1.500")
    box = stage.bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.wheel(0, -200)
    expect(viewer).not_to_have_attribute("data-zoom", "1.500")
    viewer.get_by_role("button", name="Fit").click()
    expect(viewer.get_by_role("button", name="Fit")).to_have_attribute("aria-pressed", "true")


def test_what_is_no_picture_gets_a_sentence_and_the_app_goes_on(
    browser: Any, server: Server, pictures: Path
) -> None:
    (pictures / "notes.png").write_text("dear diary, this is no picture\n")
    whole = noise(pictures / "a.jpg", 200, 160).read_bytes()
    (pictures / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    Image.new("1", (20_000, 10_000)).save(pictures / "map.png")
    (pictures / "huge.png").write_bytes(b"\0" * 31_000_000)
    page = visit(browser, server)
    for name, said in (
        ("notes.png", "notes.png: is not a picture but a text file"),
        ("map.png", "map.png has 200 megapixels (20,000 × 10,000), and this page accepts up to 25"),
        ("cut.jpg", "cut.jpg: this JPEG is truncated or damaged"),
        ("huge.png", "must be 30.0MB or smaller"),
        ("a.jpg", "200 × 160 becomes 800 × 640"),
    ):
        upload(page, pictures / name)
        page.get_by_text(said).first.wait_for()
    shown(page)


def test_cancel_stops_the_work(browser: Any, server: Server, pictures: Path) -> None:
    page = visit(browser, server)
    upload(page, noise(pictures / "large.jpg", 4000, 3000))
    shown(page)
    page.locator(".st-key-enlarge button").click()
    page.get_by_text(" left").first.wait_for()  # tiles are being computed
    page.locator(".st-key-cancel button").click()
    page.get_by_text("Cancelled. No file was written.").wait_for()
    time.sleep(2.0)
    before = server.seconds()
    time.sleep(2.0)
    assert server.seconds() - before < 0.5
    assert not list(server.temporary.rglob("result"))


def test_two_sessions_at_once(browser: Any, server: Server, pictures: Path, tmp_path: Path) -> None:
    pages = [visit(browser, server) for _ in range(2)]
    names = ("mine", "yours")
    for page, name, side in zip(pages, names, (240, 256), strict=True):
        upload(page, noise(pictures / f"{name}.png", side, side))
    for page in pages:
        page.locator(".st-key-enlarge button").click()
    for page, name, other in zip(pages, names, reversed(names), strict=True):
        with page.expect_download() as coming:
            page.get_by_role("button", name=f"Download {name}_x4.png").click()
        coming.value.save_as(tmp_path / f"{name}.png")
        expected = by_command(pictures / f"{name}.png", tmp_path / f"{name}-command.png")
        assert_same_file((tmp_path / f"{name}.png").read_bytes(), expected)
        assert page.get_by_text(other, exact=False).count() == 0


def test_many_pictures_become_one_zip(
    browser: Any, server: Server, pictures: Path, tmp_path: Path
) -> None:
    page = visit(browser, server)
    files = [noise(pictures / f"{name}.png", 96, 64) for name in "abc"]
    upload(page, *files)
    page.get_by_role("button", name="Enlarge 3 pictures").click()
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download all 3 as a zip file").click()
    coming.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert sorted(archive.namelist()) == ["a_x4.png", "b_x4.png", "c_x4.png"]
        expected = by_command(files[1], tmp_path / "b.png")
        assert archive.read("b_x4.png") == expected


def test_the_original_is_measured_against(browser: Any, server: Server, pictures: Path) -> None:
    original = noise(pictures / "original.png", 512, 384)
    with Image.open(original) as large:
        large.resize((128, 96), Image.Resampling.BICUBIC).save(pictures / "small.png")
    page = visit(browser, server)
    upload(page, pictures / "small.png")
    enlarge(page)
    page.get_by_text("Do you have this picture in full size?").click()
    page.locator("[class*=st-key-hr-] input[type=file]").set_input_files(str(original))
    page.get_by_text("PSNR", exact=True).wait_for()
    right = shown(page).get_by_label("Right side")
    expect(right.locator("option")).to_have_count(4)
    right.select_option(label="Difference")
    page.locator("[class*=st-key-hr-] input[type=file]").set_input_files(
        str(pictures / "small.png")
    )


def test_a_pasted_picture(browser: Any, server: Server) -> None:
    page = visit(browser, server)
    settle(page)
    page.evaluate(
        """async () => {
            const canvas = new OffscreenCanvas(40, 30);
            canvas.getContext("2d").fillRect(5, 5, 10, 10);
            const clip = new DataTransfer();
            clip.items.add(new File([await canvas.convertToBlob()], "clip.png",
                                    { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: clip }));
        }"""
    )
    page.get_by_text("40 × 30 becomes 160 × 120").wait_for()
    page.locator(".st-key-remove button").click()
    page.locator(".st-key-sample").wait_for()


def test_a_part_is_previewed_at_once(browser: Any, server: Server) -> None:
    page = visit(browser, server)
    page.get_by_role("button", name="Try the sample").click()
    page.locator(".st-key-settings").wait_for()
    picker = page.locator(".root[data-at]").first
    picker.wait_for()
    settle(page)
    seconds = []
    for x, y in ((0.3, 0.2), (0.7, 0.3), (0.5, 0.8), (0.3, 0.6), (0.6, 0.5)):
        box = picker.bounding_box()
        shown_before = page.locator(".root[data-shown]").first.get_attribute("data-shown")
        begun = time.perf_counter()
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_function(CHANGED, arg=shown_before, polling="raf")
        seconds.append(time.perf_counter() - begun)
        settle(page)
    print(f"click to preview: {', '.join(f'{value:.2f}' for value in seconds)} s")
    assert min(seconds) < 3.0  # docs/app.md states it on an idle machine


CHANGED = """(before) => {
    const found = [];
    const look = (node) => {
        for (const child of node.querySelectorAll("*")) {
            if (child.dataset?.shown) found.push(child.dataset.shown);
            if (child.shadowRoot) look(child.shadowRoot);
        }
    };
    look(document);
    return found.length > 0 && found[0] !== before;
}"""


def test_temporary_files_go_with_the_session(browser: Any, server: Server, pictures: Path) -> None:
    page = visit(browser, server)
    upload(page, noise(pictures / "a.png", 64, 64))
    shown(page)
    folders = set(server.temporary.glob("enlarge-app-*"))
    assert folders
    page.context.close()
    end = time.monotonic() + 60
    while any(folder.exists() for folder in folders):
        assert time.monotonic() < end, "the folders are still there"
        time.sleep(0.2)


def test_the_language_is_the_browsers_and_can_be_switched(browser: Any, server: Server) -> None:
    page = visit(browser, server, locale="ko-KR")
    page.get_by_role("button", name="예시 사진으로 해 보기").wait_for()
    page.get_by_text("English", exact=True).click()
    page.get_by_role("button", name="Try the sample").wait_for()


STICKS_OUT = """Math.max(...[document.documentElement, document.querySelector(".stMain")]
    .map((part) => part.scrollWidth - part.clientWidth))"""


def keep_screenshot(taken: bytes, name: str) -> None:
    """With ENLARGE_SCREENSHOTS=FOLDER, which made those of docs/images."""
    if folder := os.environ.get("ENLARGE_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        with Image.open(io.BytesIO(taken)) as image:
            small = image.convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
        small.save(Path(folder, name), optimize=True)


@pytest.mark.parametrize(
    ("width", "scheme", "language"),
    [(1280, "light", "en"), (1280, "dark", "en"), (400, "dark", "ko")],
)
def test_it_fits_and_is_photographed(
    browser: Any, server: Server, width: int, scheme: str, language: str
) -> None:
    locale = {"en": "en-US", "ko": "ko-KR"}[language]
    page = visit(
        browser, server, viewport={"width": width, "height": 900}, color_scheme=scheme,
        locale=locale,
    )  # fmt: skip

    def photograph(name: str) -> None:
        settle(page)
        assert page.evaluate(STICKS_OUT) <= 0, "something sticks out"
        high = int(page.evaluate("document.querySelector('.stMainBlockContainer').scrollHeight"))
        page.set_viewport_size({"width": width, "height": min(max(high, 700), 1900)})
        settle(page)
        keep_screenshot(page.screenshot(), f"app-{name}-{width}-{scheme}-{language}.png")
        page.set_viewport_size({"width": width, "height": 900})

    shown(page)
    photograph("welcome")
    page.locator(".st-key-sample button").click()
    page.locator(".st-key-settings").wait_for()
    shown(page)
    photograph("preview")
    page.locator(".st-key-enlarge button").click()
    page.locator("[class*=st-key-download-] button").first.wait_for()
    shown(page)
    photograph("result")
    page.get_by_role("tab").nth(1).click()
    page.locator(".root[data-tile]").wait_for()
    side = page.locator(".st-key-plan-side").get_by_role("combobox")
    side.scroll_into_view_if_needed()
    page.wait_for_timeout(800)  # an open list closes when the page scrolls
    side.click()
    page.get_by_role("option", name="160").click()
    page.locator(".enlarge-numbers").get_by_text("160 × 160").wait_for()
    settle(page)
    plan = page.locator(".root[data-tile]")
    before = int(plan.get_attribute("data-tile"))
    plan.get_by_role("application").press("ArrowLeft")
    expect(plan).to_have_attribute("data-tile", str(before - 1))
    assert before > 5
    photograph("plan")
    page.get_by_role("tab").nth(2).click()
    page.locator(".st-key-compare-left").wait_for()
    page.locator(".root[data-shown]").last.wait_for()
    photograph("compare")
