"""Videos in the web app, without a browser: what is taken, previewed, made, and left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

import enlarge.app.video
from enlarge.app.clips import clip_outlook
from enlarge.app.options import Options
from enlarge.app.queue import Queue
from enlarge.app.texts import LANGUAGES, Language, text
from enlarge.app.transfer import GATES, Incoming, Outgoing
from enlarge.app.visit import Clip, Visit
from enlarge.app.work import Sentence, weights_of
from enlarge.settings import Settings
from enlarge.upscaler import Upscaler
from tests.app.streamlit_page import opened, run
from tests.video.material import Recipe, make

SETTINGS = Settings(model="fast", scale=2, format="mp4", codec="h264", crf=18)
MODEL = Upscaler(weights_of(SETTINGS))
OPTIONS = Options(max_files=3, max_frames=50)


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("tape") / "tape.mp4", Recipe(audio=1))


@pytest.fixture
def visit() -> Iterator[Visit]:
    found = Visit(Queue(), OPTIONS)
    yield found
    found.close()


def bring(visit: Visit, path: Path, name: str | None = None) -> Clip:
    """What the server does when a video arrives, and the page after it."""
    _, gate = visit.incoming()
    gate.path.parent.mkdir()
    gate.path.write_bytes(path.read_bytes())
    gate.name = name or path.name
    clip = visit.take_clip()
    assert clip is not None
    return clip


def wait(clip: Any) -> None:
    end = time.monotonic() + 120
    while clip.job is not None and clip.job.active:
        assert time.monotonic() < end
        time.sleep(0.02)


def state(clip: Clip) -> str:
    return "" if clip.job is None else clip.job.state


def by_command(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "enlarge", *map(str, arguments), "--model", "fast"]
    subprocess.run([*command, "--scale", "2"], check=True)


def test_the_file_is_the_command_lines(visit: Visit, tape: Path, tmp_path: Path) -> None:
    clip = bring(visit, tape)
    assert (clip.problem, clip.known().frames) == (None, 8)
    visit.start_clip(clip, SETTINGS, MODEL)
    wait(clip)
    assert clip.job is not None
    assert clip.job.state == "done", clip.job.problem
    gate, name = visit.outgoing(clip)
    assert name == "tape_x2.mp4"
    outgoing = GATES.find(gate)
    assert isinstance(outgoing, Outgoing)
    by_command(tape, "-o", tmp_path / name)
    assert outgoing.path.read_bytes() == (tmp_path / name).read_bytes()
    assert clip.canvas is not None
    assert clip.canvas.pixels.shape == (128, 192, 3)
    visit.remove(clip.key)
    assert GATES.find(gate) is None
    end = time.monotonic() + 20
    while clip.source.parent.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_frame_is_that_of_the_command_line(visit: Visit, tape: Path, tmp_path: Path) -> None:
    clip, at = bring(visit, tape), Fraction("0.12")
    visit.add_frame(clip, at, SETTINGS, MODEL)
    (item,) = visit.items.values()
    wait(item)
    assert item.job is not None
    assert item.job.state == "done", item.job.problem
    assert item.result_name == "tape_at0.12_x2.png"
    by_command(tape, "--at", "0.12", "-o", tmp_path / "command.png")
    with Image.open(item.target) as one, Image.open(tmp_path / "command.png") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_few_frames_of_a_preview_are_kept(visit: Visit, tape: Path) -> None:
    clip = bring(visit, tape)
    made = [visit.frame_item(clip, Fraction(n, 100)) for n in range(0, 32, 2)]
    assert visit.frame_item(clip, Fraction(30, 100)) is made[-1]
    assert len(list(clip.source.parent.glob("*.png"))) <= 9
    assert made[-1].source.exists()


def test_a_cancelled_video_goes_on(visit: Visit, tape: Path) -> None:
    clip = bring(visit, tape)
    visit.start_clip(clip, SETTINGS, MODEL)
    assert clip.job is not None
    clip.job.cancelled.set()
    wait(clip)
    assert state(clip) == "cancelled"
    assert not clip.target.exists()
    visit.start_clip(clip, SETTINGS, MODEL)
    wait(clip)
    assert state(clip) == "done", clip.job.problem


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("notes.mp4", b"hello, this is text\n" * 9, "no_video"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "no_video"),
        ("list.ts", b"ffconcat version 1.0\nfile '/etc/passwd'\n", "no_video"),
        ("noise.mp4", np.random.default_rng(1).bytes(4000), "unreadable_video"),
        ("empty.mp4", b"", "no_video"),
    ],
)
def test_what_is_no_video(
    visit: Visit, tmp_path: Path, name: str, content: bytes, key: str
) -> None:
    (tmp_path / "in").write_bytes(content)
    clip = bring(visit, tmp_path / "in", name)
    assert clip.problem is not None
    assert clip.problem.key == key
    assert str(visit.folder) not in str(clip.problem.values)
    assert not clip.source.parent.exists()


def test_what_did_not_come(visit: Visit) -> None:
    _, gate = visit.incoming()
    assert visit.take_clip() is None
    gate.problem = "too_large"
    clip = visit.take_clip()
    assert clip is not None
    assert clip.problem is not None
    assert clip.problem.values == {"name": "video", "limit": "2 GB"}
    assert visit.incoming()[1] is not gate


def test_long_videos_and_large_results_are_refused(visit: Visit, tape: Path) -> None:
    facts = bring(visit, tape).known()
    outlook = clip_outlook(SETTINGS, facts, Options(max_frames=5))
    assert outlook == Sentence("too_many_frames", {"frames": "8", "limit": "5"})
    outlook = clip_outlook(SETTINGS, facts, Options(max_result=10_000))
    assert isinstance(outlook, Sentence)
    assert outlook.key == "result_too_large"


def test_the_gates_close_with_the_visit(visit: Visit, tape: Path) -> None:
    clip = bring(visit, tape)
    name, gate = visit.incoming()
    assert isinstance(GATES.find(name), Incoming)
    folder = clip.source.parent
    visit.close()
    assert GATES.find(name) is None
    assert not folder.exists()
    assert gate.name is None


@pytest.fixture
def page() -> Iterator[AppTest]:
    with opened(OPTIONS) as test:
        yield test


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_video_on_the_page(page: AppTest, tape: Path, language: Language) -> None:
    page.context = {"locale": language}
    run(page)
    visit: Visit = page.session_state["visit"]
    _, gate = visit.incoming()
    gate.path.parent.mkdir()
    gate.path.write_bytes(tape.read_bytes())
    gate.name = "tape [1].mp4"
    run(page)
    (clip,) = visit.clips.values()
    moment = page.slider(key=f"moment-{clip.key}")
    assert moment.max == pytest.approx(0.28, abs=0.05)
    moment.set_value(0.0)
    page.slider(key=f"part-{clip.key}").set_value((0.0, 0.2))
    run(page)
    frames = text(language, "video_about", frames="5", size="")
    assert any(frames[:9] in caption.value for caption in page.caption)
    page.button(key="enlarge").click()
    run(page)
    wait(clip)
    run(page)
    assert clip.job is not None
    assert clip.job.state == "done", clip.job.problem
    assert clip.job.result.frames == 5
    page.button(key="remove").click()
    run(page)
    assert page.button(key="sample")


def test_a_frame_becomes_a_picture_of_the_page(page: AppTest, tape: Path) -> None:
    run(page)
    visit: Visit = page.session_state["visit"]
    bring(visit, tape)
    run(page)
    page.button(key="take-frame").click()
    run(page)
    (item,) = visit.items.values()
    assert page.selectbox(key="selected").value == item.key
    wait(item)
    run(page)
    assert item.job is not None
    assert item.job.state == "done", item.job.problem


def test_without_pyav_the_page_names_the_command(
    page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enlarge.app.video, "has_av", lambda: False)
    run(page)
    shown = [one.value for one in page.caption]
    assert any('pip install "enlarge[video]"' in one for one in shown)
