"""A video that is killed again and again becomes the same as one that is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import enlarge
from enlarge.errors import Cancelled, OutputError
from enlarge.video import outlook
from tests.conftest import ROOT
from tests.video.material import Recipe, make, packets_of

av = pytest.importorskip("av")

CHILD = """
import os, signal, sys
import enlarge
from enlarge.video import outlook
outlook.SEGMENT_FRAMES = (4, 4)
source, target, codec, last = sys.argv[1:]
def watch(progress):
    if progress.done == int(last):
        os.kill(os.getpid(), signal.SIGKILL)
enlarge.upscale_video(source, target, model="fast", scale=2, codec=codec, progress=watch)
"""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of four frames."""
    monkeypatch.setattr(outlook, "SEGMENT_FRAMES", (4, 4))


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """22 frames: five segments of four, and one of two. One tile each."""
    return make(tmp_path_factory.mktemp("tape") / "tape.mp4", Recipe(times=range(22), audio=1))


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize(
    ("codec", "suffix"), [("h264", ".mp4"), ("hevc", ".mkv"), ("ffv1", ".mkv")]
)
@pytest.mark.usefixtures("short")
def test_killed_five_times(tape: Path, tmp_path: Path, codec: str, suffix: str) -> None:
    whole, killed = tmp_path / f"whole{suffix}", tmp_path / f"killed{suffix}"
    enlarge.upscale_video(tape, whole, model="fast", scale=2, codec=codec)
    command = [sys.executable, "-c", CHILD, str(tape), str(killed), codec]
    kept = []
    for last in (3, 6, 9, 15, 21):
        child = subprocess.run([*command, str(last)], env=_environment(), check=False)
        assert child.returncode == -signal.SIGKILL
        assert not killed.exists()
        kept.append(len(list((tmp_path / f"killed{suffix}.parts").glob("segment-*"))))
    assert kept == sorted(kept)
    assert kept[-1] >= 4
    done = enlarge.upscale_video(tape, killed, model="fast", scale=2, codec=codec)
    assert any("frames were finished by an earlier run" in note for note in done.notes)
    assert packets_of(killed) == packets_of(whole)
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith("whole")}
    assert left == {killed.name}


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src")}


@pytest.mark.usefixtures("short")
def test_cancelled_and_continued(tape: Path, tmp_path: Path) -> None:
    target, cancel = tmp_path / "made.mkv", threading.Event()
    counts: list[int] = []

    def watch(progress: Any) -> None:
        counts.append(progress.done)
        if progress.done == 10:
            cancel.set()

    with pytest.raises(Cancelled):
        enlarge.upscale_video(tape, target, scale=2, progress=watch, cancel=cancel)
    parts = tmp_path / "made.mkv.parts"
    assert not target.exists()
    assert {path.name for path in parts.iterdir()} >= {"segment-000000", "parts.json"}
    assert not list(parts.glob(".*.part"))
    counts.clear()
    enlarge.upscale_video(tape, target, scale=2, progress=lambda step: counts.append(step.done))
    assert counts[0] > 4
    assert counts[-1] == 22
    assert not parts.exists()


@pytest.mark.usefixtures("short")
def test_segments_of_other_settings_are_not_used(tape: Path, tmp_path: Path) -> None:
    target = tmp_path / "made.mp4"
    _cancel_at(10, tape, target, crf=30)
    done = enlarge.upscale_video(tape, target, scale=2, crf=31)
    assert any("removed" in note and "other settings" in note for note in done.notes)
    plain = tmp_path / "plain.mp4"
    enlarge.upscale_video(tape, plain, scale=2, crf=31)
    assert packets_of(target) == packets_of(plain)


@pytest.mark.usefixtures("short")
def test_segments_of_another_pyav_are_not_used(
    tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its encoders may have other parameter sets, and a file has one."""
    target = tmp_path / "made.mp4"
    _cancel_at(10, tape, target)
    monkeypatch.setattr(av, "__version__", f"{av.__version__}.1")
    done = enlarge.upscale_video(tape, target, scale=2)
    assert any("removed" in note and "another version" in note for note in done.notes)


def _cancel_at(count: int, tape: Path, target: Path, **options: Any) -> None:
    cancel = threading.Event()

    def watch(progress: Any) -> None:
        if progress.done == count:
            cancel.set()

    with pytest.raises(Cancelled):
        enlarge.upscale_video(tape, target, scale=2, progress=watch, cancel=cancel, **options)


@pytest.mark.usefixtures("short")
def test_a_damaged_segment_is_made_again(tape: Path, tmp_path: Path) -> None:
    target, plain = tmp_path / "made.mp4", tmp_path / "plain.mp4"
    _cancel_at(14, tape, target)
    segment = tmp_path / "made.mp4.parts" / "segment-000001"
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    done = enlarge.upscale_video(tape, target, scale=2)
    assert any("segment-000001 was damaged" in note for note in done.notes)
    enlarge.upscale_video(tape, plain, scale=2)
    assert packets_of(target) == packets_of(plain)


@pytest.mark.usefixtures("short")
def test_nothing_is_kept_without_resume(tape: Path, tmp_path: Path) -> None:
    target = tmp_path / "made.mp4"
    _cancel_at(14, tape, target, resume=False)
    assert list(tmp_path.iterdir()) == []


def test_another_folder_of_that_name_is_left_alone(tape: Path, tmp_path: Path) -> None:
    target = tmp_path / "made.mp4"
    (tmp_path / "made.mp4.parts").mkdir()
    mine = tmp_path / "made.mp4.parts" / "notes.txt"
    mine.write_text(json.dumps("mine"))
    with pytest.raises(OutputError, match=r"made\.mp4\.parts: is needed .* but holds notes\.txt"):
        enlarge.upscale_video(tape, target, scale=2)
    assert mine.exists()
