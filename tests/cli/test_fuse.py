"""`enlarge fuse`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import enlarge
from enlarge.cli import run
from tests.fusing.bursts import burst

Said = pytest.CaptureFixture[str]


@pytest.fixture
def frames(here: Path) -> list[str]:
    names = []
    Path("burst").mkdir()
    for number, frame in enumerate(burst(4).frames):
        name = f"burst/{number}.png"
        Image.fromarray(frame).save(name)
        names.append(name)
    return names


def test_a_picture_with_its_report(frames: list[str], capsys: Said) -> None:
    more = ["--then", "none", "-o", "out.png", "--report", "report.html", "--json"]
    assert run(["fuse", *frames, *more]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["output"] == "out.png"
    assert told["used"] == 4
    assert [frame["name"] for frame in told["frames"]] == frames
    with Image.open("out.png") as image:
        written = np.asarray(image)
    wanted = enlarge.fuse(frames, then="none").picture
    assert (written == wanted).all()
    page = Path("report.html").read_text(encoding="utf-8")
    assert "nothing in this picture was learned from other pictures" in page
    assert all(frame["digest"] in page for frame in told["frames"])
    assert run(["inspect", "out.png"]) == 0
    assert "fused from 4 of 4 frames; no network ran" in capsys.readouterr().out


def test_a_folder_and_its_default_name(frames: list[str], capsys: Said) -> None:
    assert run(["fuse", "burst", "--region", "20,10,48,40", "--scale", "2", "--then", "none"]) == 0
    assert "burst/0_fused.png  96×80  fused from 4 of 4 frames" in capsys.readouterr().out
    with Image.open("burst/0_fused.png") as image:
        assert image.size == (96, 80)


def test_the_report_as_json(frames: list[str]) -> None:
    assert run(["fuse", *frames, "--then", "none", "-o", "o.png", "--report", "r.json"]) == 0
    assert json.loads(Path("r.json").read_text())["then"] == "none"


def test_frames_of_a_video(frames: list[str], capsys: Said) -> None:
    av: Any = pytest.importorskip("av")
    with av.open("tape.mp4", "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for pixels in burst(9, sigma=2).frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
    more = ["--at", "0.17", "--frames", "5", "--then", "none", "--json"]
    assert run(["fuse", "tape.mp4", *more]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["output"] == "tape_fused.png"
    assert [frame["name"] for frame in told["frames"]] == [
        f"tape.mp4 at {0.04 * number:.3f} s" for number in range(2, 7)
    ]
    assert told["reference"] == 2
    assert told["used"] == 5
    assert run(["fuse", "tape.mp4", "-o", "x.png"]) == 2
    assert "tape.mp4 is a video; --at names the time" in capsys.readouterr().err
    assert run(["fuse", "tape.mp4", "burst", "--at", "0", "-o", "x.png"]) == 1
    assert "is a video, and not the only input" in capsys.readouterr().err
    assert run(["fuse", "tape.mp4", "--at", "7", "-o", "x.png"]) == 1
    assert "has no frames at 7 s" in capsys.readouterr().err


def test_a_scene_that_bends_is_said_to(here: Path, capsys: Said) -> None:
    names = [f"{number}.png" for number in range(9)]
    for name, pixels in zip(names, burst(9, sigma=4, bend=1.0).frames, strict=True):
        Image.fromarray(pixels).save(here / name)
    assert run(["fuse", *names, "-o", "face.png", "--then", "none"]) == 0
    assert "The scene is not rigid" in "".join(capsys.readouterr())


def test_existing_outputs_are_kept(frames: list[str], capsys: Said) -> None:
    Path("out.png").write_text("mine")
    assert run(["fuse", *frames, "-o", "out.png"]) == 1
    assert "out.png exists; use --overwrite" in capsys.readouterr().err
    assert Path("out.png").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "no frames are given"),
        (["burst/0.png"], 1, "burst/0.png is the only frame"),
        (["burst/0.png", "nosuch.png"], 1, "nosuch.png"),
        (["burst", "--reference", "5"], 2, "--reference 5: there are 4 frames"),
        (["burst", "--reference", "0"], 2, "--reference must be a whole number from 1 on"),
        (["burst", "--region", "90,0,40,40"], 2, "--region 90,0,40,40 is not inside"),
        (["burst", "-o", "burst"], 1, "is a folder"),
        (["burst", "-o", "burst/1.png", "--overwrite"], 1, "is one of the frames"),
        (["burst", "--at", "1"], 2, "--at takes a video"),
        (["burst", "-"], 2, "not standard input"),
        (["burst", "--report", "r.txt"], 2, "--report writes .json or .html"),
        (["burst", "--then", "nosuch", "-o", "x.png"], 1, "unknown model 'nosuch'"),
        (["burst", "-o", "x.mp4"], 2, "fuse writes a picture, and mp4 is a format of videos"),
    ],
)
def test_refusals(
    frames: list[str], capsys: Said, arguments: list[str], status: int, words: str
) -> None:
    assert run(["fuse", *arguments]) == status
    assert words in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["burst"]
