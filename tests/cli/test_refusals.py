"""What is refused: with one line and the right status, before any work, leaving nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from enlarge.batch import outputs
from enlarge.cli import run
from tests.cli.conftest import Make, tree
from tests.conftest import Disk

Calls = list[tuple[str, str]]
Refused = Callable[..., str]


@pytest.fixture
def refused(here: Path, quick: Calls, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command line that must be refused; returns its one line."""

    def refuse(*arguments: str, status: int = 1) -> str:
        before = tree(here)
        assert run(arguments) == status
        said = capsys.readouterr()
        assert said.out == ""
        assert not quick, "work was done"
        assert tree(here) == before
        (line,) = said.err.splitlines()
        assert line.startswith("enlarge: ")
        return line.removeprefix("enlarge: ")

    return refuse


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--nope"], ["--nope", "unknown option"]),
        (["--precison", "f32"], ["--precison", "--precision"]),
        (["--scale", "abc"], ["--scale", "abc", "float"]),
        (["--scale"], ["--scale", "argument"]),
        (["--scale", "0.5"], ["--scale", "between 1 and 16", "0.5"]),
        (["--scale", "17"], ["--scale", "between 1 and 16", "17"]),
        (["--scale", "nan"], ["--scale", "between 1 and 16", "nan"]),
        (["--scale", "inf"], ["--scale", "between 1 and 16", "inf"]),
        (["--scale", "-2"], ["--scale", "between 1 and 16", "-2"]),
        (["--scale=-inf"], ["--scale", "between 1 and 16", "-inf"]),
        (["--scale", "2", "--width", "64"], ["--scale", "--width", "contradict"]),
        (["--scale", "2", "--height", "64"], ["--scale", "--height", "contradict"]),
        (["--scale", "2", "--scale", "3"], ["--scale", "multiple"]),
        (["--width", "0"], ["--width", "whole number", "'0'"]),
        (["--width", "1.5"], ["--width", "whole number", "'1.5'"]),
        (["--width", "15"], ["photo.png", "16×12", "15×11"]),
        (["--height", "11"], ["photo.png", "16×12", "15×11"]),
        (["--width", "257"], ["photo.png", "16×12", "257×193"]),
        (["--crop", "1,2"], ["--crop", "X,Y,WIDTH,HEIGHT", "1,2"]),
        (["--crop", "a,b,c,d"], ["--crop", "X,Y,WIDTH,HEIGHT", "a,b,c,d"]),
        (["--crop", "-1,0,4,4"], ["--crop", "X,Y,WIDTH,HEIGHT", "-1,0,4,4"]),
        (["--crop", "0,0,0,4"], ["--crop", "X,Y,WIDTH,HEIGHT", "0,0,0,4"]),
        (["--crop", "8,8,9,4"], ["photo.png", "--crop 8,8,9,4", "16×12"]),
        (["--engine", "tpu"], ["--engine", "tpu", "openvino"]),
        (["--engine", "openvino", "--device", "cuda:0"], ["--engine openvino", "--device cuda:0"]),
        (["--device", "GPU"], ["device", "'GPU'", "cuda:NUMBER"]),
        (["--precision", "f8"], ["--precision", "f8", "bf16"]),
        (
            ["--precision", "int8"],
            ["auto may take photo-fast", "no 8-bit form", "another --precision"],
        ),
        (["--metadata", "some"], ["--metadata", "some", "no-gps"]),
        (["--tile", "0"], ["--tile", "auto", "0"]),
        (["--tile", "big"], ["--tile", "auto", "big"]),
        (["--memory", "lots"], ["memory", "1.5GB", "lots"]),
        (["--memory", "-1GB"], ["memory"]),
        (["--threads", "-1"], ["--threads", "whole number", "-1"]),
        (["--quality", "0", "--format", "jpg"], ["--quality", "'0'"]),
        (["--quality", "101", "--format", "jpg"], ["--quality", "101"]),
        (["--quality", "90"], ["--quality", "png", "contradict"]),
        (["--format", "psd"], [".psd", ".png"]),
        (["--format", "jpg", "-o", "x.png"], ["--format jpg", "x.png", "contradict"]),
        (["--suffix", "a/b"], ["--suffix", "a/b"]),
        (["--suffix", "_big", "-o", "x.png"], ["--suffix", "x.png", "contradict"]),
        (["--suffix", "_big", "-o", "-"], ["--suffix", "-o -", "contradict"]),
        (["--quiet", "-v"], ["--quiet", "--verbose", "contradict"]),
        (["--json", "-o", "-"], ["--json", "-o -"]),
        (["--json=5"], ["--json", "5"]),
        (["--no-json"], ["--no-json"]),
        (["--strength", "0.5"], ["--strength 0.5", "auto, the default", "--model photo"]),
        (["--strength", "0", "--model", "quality"], ["--strength 0", "quality", "photo-sharp"]),
        (["--strength", "1.1", "--model", "photo"], ["--strength", "between 0", "1.1"]),
        (["--strength", "-1", "--model", "photo"], ["--strength", "between 0", "-1"]),
        (["--strength", "nan", "--model", "photo"], ["--strength", "between 0", "nan"]),
        (["--strength", "half", "--model", "photo"], ["--strength", "half", "float"]),
        (["--model", "best"], ["--model", "best", "fast"]),
        (["--model", "./gone.onnx"], ["--model", "gone.onnx", "no such file"]),
        (["-o", "x.psd"], [".psd", ".png"]),
        (["--pyramid"], ["--pyramid", "png", ".tif"]),
        (["--pyramid", "--format", "tif", "-o", "-"], ["--pyramid", "-o -", ".tif"]),
        (["--report", "x.txt"], ["--report", ".json or .html", "x.txt"]),
        (["--report", "gone/x.json"], ["--report", "no folder gone"]),
        (["--watch", "-o", "out/"], ["--watch", "folders", "photo.png"]),
        (["-o", ""], ["-o is empty"]),
        (["-o"], ["-o", "argument"]),
    ],
)
def test_a_wrong_command_line(
    arguments: list[str], parts: list[str], picture: Make, refused: Refused
) -> None:
    picture("photo.png")
    line = refused("photo.png", *arguments, status=2)
    assert all(part in line for part in parts), line


def test_no_input(refused: Refused) -> None:
    assert "expected a picture" in refused(status=2)


def test_a_file_named_like_the_command(picture: Make, refused: Refused) -> None:
    picture("train.png").rename("train")
    assert refused("train", status=2).endswith("for a file named train, write ./train")


def test_several_inputs_and_one_file(picture: Make, refused: Refused) -> None:
    picture("in/a.png")
    picture("in/b.png")
    assert "-o x/" in refused("in/a.png", "in/b.png", "-o", "x.png", status=2)
    assert "2 inputs" in refused("in", "-o", "x.png", status=2)
    assert "2 inputs" in refused("in", "-o", "-", status=2)


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_an_output_that_is_an_input(overwrite: list[str], picture: Make, refused: Refused) -> None:
    picture("a.png")
    picture("b.png")
    Path("soft.png").symlink_to("a.png")
    os.link("a.png", "hard.png")
    Path("folder").symlink_to(".")
    for arguments in (
        ["a.png", "-o", "a.png"],
        ["a.png", "-o", "soft.png"],
        ["soft.png", "-o", "a.png"],
        ["a.png", "-o", "hard.png"],
        ["a.png", "-o", "folder/a.png"],
        ["a.png", "-o", "."],
        ["a.png", "--suffix", ""],
    ):
        assert "is the input" in refused(*arguments, *overwrite)
    picture("photo.jpg")
    picture("photo_x4.png")
    assert "is the input" in refused("photo.jpg", "photo_x4.png", *overwrite)
    Path("broken.png").write_bytes(b"no picture, and yet an input")
    assert "is the input" in refused("broken.png", "a.png", "b.png", "-o", ".", *overwrite)


def test_case_where_it_does_not_count(
    picture: Make, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "_ignores_case", lambda folder: True)
    picture("one/IMG.png")
    picture("two/img.png")
    assert "would both become" in refused("one/IMG.png", "two/img.png", "-o", "out")


def test_two_inputs_that_would_get_one_name(picture: Make, refused: Refused) -> None:
    """Those that differ in nothing but their folders; see test_twins for extensions."""
    picture("a.png")
    picture("sub/a.png")
    line = refused("a.png", "sub/a.png", "-o", "out", "--overwrite")
    assert line.startswith("a.png and sub/a.png would both become out/a.png; enlarge them into")


def test_an_output_that_exists(picture: Make, refused: Refused, quick: Calls) -> None:
    picture("a.png")
    picture("b.png")
    Path("b_x4.png").write_bytes(b"old")
    assert refused("a.png", "b.png").startswith("b_x4.png exists; use --overwrite")
    assert run(["a.png", "b.png", "--overwrite", "--quiet"]) == 0
    assert Path("b_x4.png").read_bytes() == b"done"


def test_places_that_take_no_output(picture: Make, refused: Refused) -> None:
    picture("a.png")
    Path("folder.png").mkdir()
    Path("file").write_text("")
    os.mkfifo("pipe.png")
    assert "is not a folder" in refused("a.png", "-o", "file/x.png")
    assert "is not a folder" in refused("a.png", "-o", "file")
    assert "not a regular file" in refused("a.png", "-o", "pipe.png", "--overwrite")
    assert "pipe.png: is a pipe or a device, not a file; redirect it" in refused("pipe.png")
    picture("folder.jpg")
    assert "is a folder" in refused("folder.jpg", "--suffix", "", "--overwrite")
    assert "longer than 255 bytes" in refused("a.png", "--suffix", "_" * 252)


def test_a_folder_that_is_read_only(
    picture: Make, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture("a.png")
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    assert refused("a.png", "-o", "new/deep/").startswith(".: cannot be written to")


@pytest.mark.parametrize(("suffix", "limit"), [("webp", "16,383"), ("jpg", "65,535")])
def test_beyond_the_formats_limit(suffix: str, limit: str, picture: Make, refused: Refused) -> None:
    picture("small.png")
    picture("wide.png", 5000, 1)
    line = refused("small.png", "wide.png", "-o", "out", "--format", suffix, "--scale", "16")
    assert line.startswith("wide.png: ")
    assert limit in line
    assert "80,000×16" in line


def test_a_disk_that_is_too_small(
    picture: Make, refused: Refused, quick: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 400_000

    def usage(path: object) -> object:
        return shutil._ntuple_diskusage(10**9, 10**9 - free, free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    for name in ("a.png", "b.png", "c.png"):
        picture(name, 64, 64)  # at most 262 kB each
    assert "not enough disk space" in refused("a.png", "b.png", "c.png", "-o", "out/new")
    assert run(["a.png", "b.png", "--quiet"]) == 0


@pytest.fixture
def tiny_disk(disk: Disk) -> Path:
    """A disk of 64 kB."""
    return disk("64k")


def test_a_real_disk(picture: Make, refused: Refused, tiny_disk: Path) -> None:
    picture("a.png", 64, 64)
    line = refused("a.png", "-o", str(tiny_disk / "x.png"))
    assert "not enough disk space" in line
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    picture("b.png", 2, 2)
    assert "cannot be written to" in refused("b.png", "-o", str(tiny_disk / "x.png"))


def test_streams(picture: Make, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    picture("a.png")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert "expected a picture on standard input" in refused("-", "-o", "x.png")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert "standard output takes one picture" in refused("-", "a.png", status=2)
    assert "--json" in refused("-", "--json", status=2)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert "would go to the terminal" in refused("a.png", "-o", "-", status=2)


def test_deep_zoom_has_its_tiles_beside_it(picture: Make, refused: Refused) -> None:
    picture("a.png")
    assert "use szi, which is one file" in refused(
        "a.png", "-o", "x.zip", "--format", "dzi", status=2
    )
