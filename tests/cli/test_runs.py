"""The command from its words to its files, with the real network on tiny pictures."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import enlarge
from enlarge.batch import planning
from enlarge.cli import progress, run
from enlarge.picture.run import enlarge_file
from enlarge.weights.catalog import auto_weights
from tests.cli.conftest import Make, tree

Said = pytest.CaptureFixture[str]


def pixels(source: Path | io.BytesIO) -> Any:
    return np.asarray(Image.open(source))


def test_a_picture(picture: Make, here: Path, capsys: Said) -> None:
    photo = picture("photo.png")
    assert run(["photo.png"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith("photo_x4.png  64×48, ")
    assert tree(here) == ["photo.png", "photo_x4.png"]
    assert np.array_equal(pixels(here / "photo_x4.png"), enlarge.upscale(photo))
    assert run(["photo.png", "--overwrite", "-v"]) == 0
    assert "fast" in capsys.readouterr().out
    assert run(["photo.png", "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_json(picture: Make, here: Path, capsys: Said) -> None:
    picture("a.png")
    Path("b.png").write_text("no picture")
    assert run(["b.png", "a.png", "-o", "out", "--json", "--scale", "2"]) == 3
    said = capsys.readouterr()
    document = json.loads(said.out)
    (result,) = document["results"]
    assert (result["input"], result["output"]) == ("a.png", "out/a.png")
    assert (result["width"], result["height"]) == (32, 24)
    (failure,) = document["failed"]
    assert failure["input"] == "b.png"
    assert said.err == f"enlarge: {failure['error']}\n"
    assert tree(here) == ["a.png", "b.png", "out", "out/a.png"]


def test_streams(
    picture: Make, here: Path, capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    photo = picture("photo.png")
    expected = enlarge.upscale(photo)

    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    give(photo.read_bytes())
    assert run(["-"]) == 0
    said = capsysbinary.readouterr()
    assert np.array_equal(pixels(io.BytesIO(said.out)), expected)
    assert said.err.startswith(b"standard output  64")
    assert run(["photo.png", "-o", "-", "--format", "tif", "--quiet"]) == 0
    said = capsysbinary.readouterr()
    assert said.out[:2] == b"II"
    assert said.err == b""
    assert np.array_equal(pixels(io.BytesIO(said.out)), expected)
    give(photo.read_bytes())
    assert run(["-", "photo.png", "-o", "out"]) == 0
    assert tree(here / "out") == ["photo.png", "stdin.png"]
    give(photo.read_bytes())
    assert run(["-", "-o", "all.zip"]) == 0
    with zipfile.ZipFile("all.zip") as archive:
        assert archive.namelist() == ["stdin.png"]
    assert not Path("all.zip.parts").exists()
    capsysbinary.readouterr()
    for data in (b"", b"no picture"):
        give(data)
        assert run(["-", "-o", "new/x.png"]) == 1
        said = capsysbinary.readouterr()
        assert said.out == b""
        assert said.err.startswith(b"enlarge: standard input: ")
        assert said.err.count(b"\n") == 1
    assert not (here / "new").exists()
    monkeypatch.setattr(sys, "stdin", None)
    assert run(["-", "-o", "x.png"]) == 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_picture_that_cannot_be_read(count: int, picture: Make, here: Path, capsys: Said) -> None:
    photo = picture("in/good.png")
    Path("in/cut.png").write_bytes(photo.read_bytes()[:300])
    inputs = ["in/cut.png", "in/good.png"][:count]
    assert run([*inputs, "-o", "out/deep"]) == (1 if count == 1 else 3)
    said = capsys.readouterr().err
    assert said.startswith("enlarge: in/cut.png: ")
    made = [] if count == 1 else ["out", "out/deep", "out/deep/good.png"]
    assert [name for name in tree(here) if name.startswith("out")] == made


def test_a_bug_in_one_picture(
    picture: Make, here: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        picture(name)

    def broken(transfer: Any, *rest: Any, **options: Any) -> Any:
        if transfer.source.name == "b.png":
            raise ZeroDivisionError("division\nby zero")
        if transfer.source.name == "c.png":
            raise MemoryError
        return enlarge_file(transfer, *rest, **options)

    monkeypatch.setattr("enlarge.batch.worker.enlarge_file", broken)
    assert run(["c.png", "b.png", "a.png", "-o", "out"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("enlarge: c.png: out of memory; try a lower --memory")
    assert lines[1].startswith(
        "enlarge: b.png: this is a bug in enlarge, please report it: "
        "ZeroDivisionError: division by zero (test_runs.py:"
    )
    assert lines[2] == "enlarge: 2 of 3 inputs failed"
    assert tree(here / "out") == ["a.png"]
    assert run(["b.png", "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_before_the_first_picture(
    picture: Make, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture("a.png")
    monkeypatch.setattr(planning, "find_inputs", lambda *_, **__: 1 / 0)
    assert run(["a.png"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("enlarge: this is a bug in enlarge")
    assert line.endswith("use -v for the traceback")


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["--memory", "20MB"], 1, "the smallest that works is"),
        (["--tile", "10"], 2, "--tile 10 is too small for "),
        (["--model", "./model.onnx"], 1, "model.onnx"),
        (["--model", "./photo.png"], 1, "is a picture (PNG)"),
    ],
)
def test_what_only_the_plan_can_refuse(
    arguments: list[str], status: int, part: str, picture: Make, here: Path, capsys: Said
) -> None:
    picture("photo.png")
    Path("model.onnx").write_bytes(b"\x01\x02\x03 no model")
    before = tree(here)
    assert run(["photo.png", "-o", "out", *arguments]) == status
    said = capsys.readouterr()
    assert part in said.err
    assert said.err.count("\n") == 1
    assert tree(here) == before


def test_the_smallest_budget_that_is_named_works(picture: Make, here: Path) -> None:
    """In processes of their own: this one's size, which counts, changes from test to test."""
    picture("photo.png")

    def enlarge(budget: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; from enlarge.cli import run; sys.exit(run(sys.argv[1:]))"
        command = [sys.executable, "-c", code, "photo.png", "--memory", budget]
        return subprocess.run(command, capture_output=True, text=True)

    refused = enlarge("20MB")
    assert refused.returncode == 1
    assert enlarge("".join(refused.stderr.split()[-2:])).returncode == 0


def test_a_coarse_jpeg_gets_the_model_for_it(here: Path, capsys: Said) -> None:
    Image.new("RGB", (16, 12), (90, 120, 60)).save("a.jpg", quality=40)
    cleaning = auto_weights().choices["degraded"].path.stem
    assert run(["a.jpg"]) == 0
    said = capsys.readouterr()
    assert f"; {cleaning}: JPEG of quality 40" in said.out
    assert said.err == ""
    assert run(["a.jpg", "--overwrite", "--model", "fast"]) == 0
    assert "JPEG of quality" not in capsys.readouterr().out


def test_leftovers_of_a_killed_run_are_swept(picture: Make, here: Path) -> None:
    from enlarge.media.temporary import temporary_name

    picture("photo.png")
    left = here / temporary_name("photo_x4.png").replace(f"-{os.getpid()}.", "-1.")
    left.write_bytes(b"half")
    assert run(["photo.png", "--quiet"]) == 0
    assert tree(here) == ["photo.png", "photo_x4.png"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("shown", [True, False])
def test_a_bar_on_long_work_in_a_terminal(
    shown: bool, picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture("photo.png", 150, 150)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "PATIENCE", 0.0 if shown else 1000.0)
    assert run(["photo.png", "--tile", "64"]) == 0
    assert ("photo.png" in terminal.getvalue()) == shown
    assert ("s left" in terminal.getvalue()) == shown
    before = terminal.getvalue()
    assert run(["photo.png", "--tile", "64", "--quiet", "--overwrite"]) == 0
    assert terminal.getvalue() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_log_stops_nothing_but_a_document_for_programs(
    picture: Make, quick: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    for name in ("a.png", "b.png"):
        picture(name)
    for options, status in (([], 0), (["--json"], 1)):
        with Path("/dev/full").open("w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            assert run(["a.png", "b.png", "--overwrite", *options]) == status
    assert len(quick) == 4
    line = "enlarge: standard output: cannot be written: No space left on device\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("more", [["-o", "a.dzi"], ["-o", "a.tif", "--pyramid"]])
def test_a_dry_run_of_what_goes_to_no_stream(
    more: list[str], picture: Make, here: Path, capsys: Said
) -> None:
    picture("photo.png")
    before = tree(here)
    assert run(["photo.png", *more, "--dry-run"]) == 0, capsys.readouterr().err
    assert "1 picture to enlarge" in capsys.readouterr().out
    assert tree(here) == before


def test_one_picture_that_a_size_does_not_suit(picture: Make, here: Path, capsys: Said) -> None:
    picture("in/small.png")
    picture("in/large.png", 64, 48)
    assert run(["in", "-o", "out", "--width", "40", "--json"]) == 3
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert [result["input"] for result in document["results"]] == ["in/small.png"]
    assert [failure["input"] for failure in document["failed"]] == ["in/large.png"]
    assert run(["in/large.png", "-o", "out", "--width", "40"]) == 2
    assert run(["in", "-o", "none", "--width", "4"]) == 2
    assert not Path("none").exists()
