"""Videos in a real browser: chosen or dropped, previewed, enlarged, played and downloaded."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.app.browser import Server, chromium, serving, settle, visit
from tests.app.test_browser import STICKS_OUT, keep_screenshot
from tests.conftest import ROOT

if chromium() is None:
    pytest.skip("no chromium; apt-get install chromium brings it", allow_module_level=True)
pytest.importorskip("av")
from tests.app.test_videos import by_command
from tests.video.material import Recipe, make

PLAYER = """() => {
    const look = (node) => {
        for (const child of node.querySelectorAll("*")) {
            if (child.tagName === "VIDEO") return child;
            const inside = child.shadowRoot && look(child.shadowRoot);
            if (inside) return inside;
        }
    };
    return look(document);
}"""
# The page may draw its player anew at any time, so each look is at the one that is there.
FACTS = f"""() => {{
    const video = ({PLAYER})();
    if (!video || video.readyState < 1) return false;
    return [video.videoWidth, video.videoHeight, video.duration, video.error];
}}"""
PLAYED = f"""() => {{
    const video = ({PLAYER})();
    if (!video || video.ended || video.currentTime > 0.6) return Boolean(video);
    video.muted = true;
    if (video.currentTime < 0.4) video.currentTime = 0.4;
    if (video.paused) video.play().catch(() => {{}});
    return false;
}}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, "--model", "fast-x2", "--max-video", "300MB") as found:
        yield found


def photo(number: int, width: int, height: int) -> Any:
    with Image.open(ROOT / "samples" / "photo.jpg") as image:
        pixels = np.asarray(image.convert("RGB"))
    left = 4 * number % (pixels.shape[1] - width)
    return np.ascontiguousarray(pixels[100 : 100 + height, left : left + width])


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe(size=(192, 128), times=range(20), audio=1, picture=photo, options={"crf": "24"})
    return make(tmp_path_factory.mktemp("tape") / "tape.mp4", recipe)


def choose(page: Any, file: Path) -> None:
    page.locator(".root input.input").set_input_files(str(file))


def test_choose_preview_enlarge_play_download(
    browser: Any, server: Server, tape: Path, tmp_path: Path
) -> None:
    page = visit(browser, server)
    choose(page, tape)
    page.locator(".st-key-take-frame button").wait_for()
    assert page.get_by_text("192 × 128 becomes 384 × 256. 20 frames").is_visible()
    page.locator(".st-key-enlarge button").click()
    link = page.get_by_role("link", name="Download tape_x2.mp4")
    link.wait_for()
    facts = page.wait_for_function(FACTS).json_value()
    assert facts[:2] == [384, 256]
    assert facts[2] == pytest.approx(0.8, abs=0.05)
    assert facts[3] is None
    page.wait_for_function(PLAYED)
    with page.expect_download() as coming:
        link.click()
    assert coming.value.suggested_filename == "tape_x2.mp4"
    coming.value.save_as(tmp_path / "page.mp4")
    by_command(tape, "-o", tmp_path / "command.mp4")
    assert (tmp_path / "page.mp4").read_bytes() == (tmp_path / "command.mp4").read_bytes()
    page.context.close()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe(size=(192, 128), times=range(400), picture=photo, options={"crf": "30"})
    return make(tmp_path_factory.mktemp("long") / "long.mp4", recipe)


def test_a_dropped_video_is_cancelled_and_started_again(
    browser: Any, server: Server, long: Path
) -> None:
    content = long.read_bytes()
    page = visit(browser, server)
    settle(page)
    page.evaluate(
        """(bytes) => {
            const moved = new DataTransfer();
            moved.items.add(new File([new Uint8Array(bytes)], "long.mp4", { type: "video/mp4" }));
            const place = document.querySelector("[data-testid=stFileUploaderDropzone]");
            const options = { dataTransfer: moved, bubbles: true, cancelable: true };
            place.dispatchEvent(new DragEvent("drop", options));
        }""",
        list(content),
    )
    page.locator(".st-key-take-frame button").wait_for()
    page.locator(".st-key-enlarge button").click()
    page.get_by_text("left").first.wait_for()
    page.locator(".st-key-cancel button").click()
    page.get_by_text("go on where it stopped").wait_for()
    settle(page)
    page.locator(".st-key-enlarge button").click()
    page.locator(".st-key-cancel button").wait_for()
    page.context.close()


def test_an_upload_is_on_the_disk_and_not_in_memory(
    browser: Any, server: Server, tmp_path: Path
) -> None:
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.write(b"no video")
        file.truncate(200_000_000)
    page = visit(browser, server)
    settle(page)
    before = peak(server)
    choose(page, large)
    page.get_by_text("large.mp4: cannot be read as a video").wait_for()
    assert peak(server) - before < 60_000_000
    assert not [path for path in server.temporary.rglob("source") if path.stat().st_size > 1e8]
    page.locator(".st-key-remove button").click()
    page.locator(".st-key-sample").wait_for()
    with large.open("r+b") as file:
        file.truncate(300_000_001)
    choose(page, large)
    page.get_by_text("large.mp4 is too large").wait_for()
    page.context.close()


def peak(server: Server) -> int:
    """The most memory that the server has had, in bytes."""
    lines = Path(f"/proc/{server.process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize(
    ("width", "scheme", "language"), [(1280, "light", "en"), (400, "dark", "ko")]
)
def test_it_fits(
    browser: Any, server: Server, tape: Path, width: int, scheme: str, language: str
) -> None:
    locale = {"en": "en-US", "ko": "ko-KR"}[language]
    size = {"width": width, "height": 1300}
    page = visit(browser, server, viewport=size, color_scheme=scheme, locale=locale)
    choose(page, tape)
    page.locator(".st-key-take-frame button").wait_for()
    settle(page)
    assert page.evaluate(STICKS_OUT) <= 0
    keep_screenshot(page.screenshot(), f"app-video-{width}-{scheme}-{language}.png")
    page.locator(".st-key-enlarge button").click()
    page.wait_for_function(PLAYER)
    time.sleep(0.5)
    settle(page)
    assert page.evaluate(STICKS_OUT) <= 0
    keep_screenshot(page.screenshot(), f"app-video-result-{width}-{scheme}-{language}.png")
    page.context.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_ends_while_a_video_is_made(
    browser: Any, long: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with serving(tmp_path, "--model", "fast-x2") as server:
        page = visit(browser, server)
        choose(page, long)
        page.locator(".st-key-take-frame button").wait_for()
        page.locator(".st-key-enlarge button").click()
        page.get_by_text(re.compile(r"\d+ %, .* left")).wait_for()  # the engine computes
        os.kill(server.process, number)
        end = time.monotonic() + 60
        while (status := os.waitpid(server.process, os.WNOHANG))[0] == 0:
            assert time.monotonic() < end
            time.sleep(0.05)
        page.context.close()
        assert status[1] == 0, (tmp_path / "log").read_text()
        assert not list(server.temporary.iterdir())
