"""Videos on the command line: one file, a part, a frame, a folder, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import enlarge
from enlarge.cli import run
from tests.conftest import ROOT
from tests.video.material import Recipe, make, scene, times_of

av = pytest.importorskip("av")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a video of eight frames."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    make(folder / "tape.mp4", Recipe(audio=1))
    return folder


def test_one_video(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tape.mp4"]) == 0
    printed = capsys.readouterr()
    assert "tape_x4.mp4  384×256, 8 frames, " in printed.out
    assert "its colours are not tagged; assumed, and tagged" in printed.err
    assert times_of(here / "tape_x4.mp4") == times_of(here / "tape.mp4")
    assert run(["tape.mp4"]) == 1
    assert "tape_x4.mp4 exists; use --overwrite" in capsys.readouterr().err
    assert run(["tape.mp4", "--overwrite", "--quiet"]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux how threads are scheduled")
def test_av1_takes_no_priority(here: Path) -> None:
    """SVT-AV1 does, if it may: as root."""
    tasks = Path("/proc/self/task")

    def policies() -> set[int]:
        return {os.sched_getscheduler(int(thread.name)) for thread in tasks.iterdir()}

    before, seen = policies(), set[int]()
    enlarge.upscale_video("tape.mp4", "a.webm", progress=lambda _: seen.update(policies()))
    assert seen == policies() == before


def test_a_part(here: Path) -> None:
    assert run(["tape.mp4", "-o", "part.mkv", "--start", "0:00:00.08", "--end", "0.2"]) == 0
    assert len(times_of(here / "part.mkv")) == 3


def test_one_frame(here: Path) -> None:
    """The one that is shown at that time: number 2, from 0.08 to 0.12 seconds."""
    assert run(["tape.mp4", "--at", "0.11", "--scale", "1", "--model", "fast"]) == 0
    found = enlarge.upscale(here / "tape_at0.11_x1.png", scale=1, model="fast")
    plain = next(iter(enlarge.frames("tape.mp4", scale=1, start=0.08, model="fast")))
    assert np.abs(found.astype(int) - plain).max() <= 40  # it went through the network twice
    bar = np.flatnonzero(found[20, :, 0] > 215)
    wanted = np.flatnonzero(scene(2)[20, :, 0] > 215)
    assert abs(bar.mean() - wanted.mean()) < 0.5


def test_a_frame_after_the_end(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tape.mp4", "--at", "9"]) == 1
    assert "there is no frame at 9 s; it ends at 0.32 s" in capsys.readouterr().err


def test_a_folder_of_videos(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "videos").mkdir()
    make(here / "videos" / "a.mp4", Recipe())
    make(here / "videos" / "b.avi", Recipe(codec="mjpeg", pixels="yuvj420p", options={"q": "2"}))
    (here / "videos" / "app.ts").write_text("export const model = 'fast';\n" * 9)
    assert run(["videos", "-o", "large/", "--scale", "2"]) == 0
    assert sorted(path.name for path in (here / "large").iterdir()) == [
        ".enlarge",
        "a.mp4",
        "b.mp4",
    ]
    capsys.readouterr()
    assert run(["videos", "-o", "large/", "--scale", "2"]) == 0
    assert "2 of 2 were already done" in capsys.readouterr().err


def test_results_beside_their_inputs_are_left_out(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([".", "--scale", "2"]) == 0
    assert run([".", "--scale", "2", "--overwrite"]) == 0
    assert "skipped 1 picture made by enlarge: tape_x2.mp4" in capsys.readouterr().err
    assert {path.name for path in here.iterdir()} == {"tape.mp4", "tape_x2.mp4"}


def test_dry_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tape.mp4", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "1 video of 8 frames to enlarge" in printed
    assert "of disk space" in printed
    assert run(["tape.mp4", "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["videos"], document["frames"], document["pictures"]) == (1, 8, 0)
    assert document["seconds"] > 0
    assert run(["tape.mp4", "--at", "0.1", "--model", "auto", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "1 picture to enlarge" in printed
    assert "tape.mp4: photo-fast: " in printed or "tape.mp4: fast: " in printed
    assert "estimated from a part of tape.mp4" in printed
    assert {path.name for path in here.iterdir()} == {"tape.mp4"}


def test_a_damaged_video_gives_status_3(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(here / "long.mkv", Recipe(times=range(60)))
    content = (here / "long.mkv").read_bytes()
    (here / "long.mkv").write_bytes(content[: len(content) // 3])
    assert run(["long.mkv", "--scale", "2"]) == 3
    assert "long.mkv: is damaged: " in capsys.readouterr().err
    assert (here / "long_x2.mkv").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (
            ["tape.mp4", "-o", "x.png"],
            2,
            "x.png is no video file; choose .mp4, .mkv, .mov or .webm",
        ),
        (["tape.mp4", "-o", "-"], 2, "a video is written to a file or a folder, not to standard"),
        (["tape.mp4", "-o", "x.webm", "--codec", "h264"], 2, "--codec h264 and .webm contradict"),
        (["tape.mp4", "--codec", "ffv1", "--crf", "9"], 2, "--crf and ffv1 contradict each other"),
        (["tape.mp4", "--crf", "60"], 2, "--crf of h264 is between 0 and 51, got 60"),
        (["tape.mp4", "--crop", "90,0,9,9"], 2, "--crop 90,0,9,9 is not inside 96×64"),
        (["tape.mp4", "--at", "0", "--format", "mkv"], 2, "--at gives a picture, and mkv is for"),
        (["tape.mp4", "--start", "5", "-o", "x.mp4"], 1, "there are no frames in the part"),
        (["photo.png", "--at", "5"], 2, "--at is for videos, and photo.png is a picture"),
        (["photo.png", "-o", "x.mp4"], 2, "photo.png is a picture, and mp4 is for videos"),
        (["tape.zip", "-o", "x/"], 1, "no pictures in this archive"),
    ],
)
def test_what_is_refused(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    import zipfile

    from PIL import Image

    Image.fromarray(scene(0)).save("photo.png")
    with zipfile.ZipFile("tape.zip", "w") as file:
        file.write("tape.mp4")
    before = set(here.iterdir())
    assert run(arguments) == status
    assert words in capsys.readouterr().err
    assert set(here.iterdir()) == before


def test_without_pyav(tmp_path: Path) -> None:
    """One line with the command, and nothing for a picture beside it."""
    make(tmp_path / "tape.mp4", Recipe())
    code = "import sys; sys.modules['av'] = None; from enlarge.cli import run; run(['tape.mp4'])"
    said = python(code, tmp_path)
    assert 'tape.mp4: videos need PyAV; install it: pip install "enlarge[video]"' in said


def python(code: str, folder: Path) -> str:
    environment: Any = {
        "PYTHONPATH": str(ROOT / "src"),
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
    }
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout + found.stderr


def test_a_picture_imports_nothing_of_video(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(scene(0)).save(tmp_path / "photo.png")
    code = (
        "import sys; from enlarge.cli import run; assert run(['photo.png', '--quiet']) == 0; "
        "print([name for name in sys.modules if name.split('.')[0] == 'av' "
        "or name.startswith('enlarge.video')])"
    )
    assert python(code, tmp_path).strip() == "[]"
