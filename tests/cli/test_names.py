"""Which inputs are found, and what their outputs are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enlarge.cli import run
from tests.cli.conftest import Make, tree

Calls = list[tuple[str, str]]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ([], "photo_x4.png"),
        (["--scale", "2.5"], "photo_x2.5.png"),
        (["--scale", "4.0"], "photo_x4.png"),
        (["--scale", "16"], "photo_x16.png"),
        (["--scale", "1"], "photo_x1.png"),
        (["--scale", "3.3333333"], "photo_x3.3333333.png"),
        (["--width", "64", "--height", "60"], "photo_64x60.png"),
        (["--width", "64"], "photo_64x48.png"),
        (["--height", "24"], "photo_32x24.png"),
        (["--crop", "2,2,8,6"], "photo_crop_x4.png"),
        (["--crop", "2,2,8,6", "--width", "16"], "photo_crop_16x12.png"),
        (["--suffix", "-large"], "photo-large.png"),
        (["--suffix", ""], "photo.png"),
        (["--format", "jpg"], "photo_x4.jpg"),
        (["--format", "TIFF"], "photo_x4.tif"),
    ],
)
def test_beside_the_input(options: list[str], name: str, picture: Make, quick: Calls) -> None:
    picture("사진 폴더/photo.jpg")
    assert run(["사진 폴더/photo.jpg", *options]) == 0
    assert quick == [("사진 폴더/photo.jpg", f"사진 폴더/{name}")]


@pytest.mark.parametrize(
    ("output", "target"),
    [
        ("large.webp", "large.webp"),
        ("out", "out/photo.png"),
        ("out/", "out/photo.png"),
        ("made.before", "made.before/photo.png"),
        ("new.folder/", "new.folder/photo.png"),
        ("deep/down/large.tif", "deep/down/large.tif"),
    ],
)
def test_file_or_folder(output: str, target: str, picture: Make, quick: Calls) -> None:
    Path("made.before").mkdir()
    picture("photo.jpg")
    assert run(["photo.jpg", "-o", output]) == 0
    assert quick == [("photo.jpg", target)]


def test_format_and_suffix_hold_in_a_folder(picture: Make, quick: Calls) -> None:
    picture("photo.jpg")
    assert run(["photo.jpg", "-o", "out", "--format", "jpg", "--suffix", "_big"]) == 0
    assert quick == [("photo.jpg", "out/photo_big.jpg")]


def test_a_folder_keeps_its_tree_and_no_name_makes_a_picture_ours(
    picture: Make, quick: Calls
) -> None:
    for name in (
        "in/a.jpg", "in/a_x4.png", "in/a_x2.5.jpg", "in/a_crop_x4.png", "in/a_640x480.png",
        "in/sub/b.PNG", "in/sub/lone_x4.png", "in/.enlarge/c.png", "in/out/a.png",
        "in/big.parts/d.png", "in/._a.jpg",
    ):  # fmt: skip
        picture(name)
    Path("in/notes.txt").write_text("no picture")
    Path("in/.a.png.enlarge-host-1.part").write_bytes(b"")
    assert run(["in", "-o", "in/out", "--overwrite"]) == 0
    assert quick == [
        ("in/a.jpg", "in/out/a.png"),
        ("in/a_640x480.png", "in/out/a_640x480.png"),
        ("in/a_crop_x4.png", "in/out/a_crop_x4.png"),
        ("in/a_x2.5.jpg", "in/out/a_x2.5.png"),
        ("in/a_x4.png", "in/out/a_x4.png"),
        ("in/sub/b.PNG", "in/out/sub/b.png"),
        ("in/sub/lone_x4.png", "in/out/sub/lone_x4.png"),
    ]


def test_a_picture_named_as_a_result_is_not_replaced(
    picture: Make, quick: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("in/a.jpg")
    picture("in/a-big.png")
    assert run(["in", "--suffix", "-big", "--overwrite"]) == 1
    assert "the output in/a-big.png is the input in/a-big.png" in capsys.readouterr().err
    assert quick == []


def test_an_output_folder_above_the_input_is_no_reason_to_skip(picture: Make, quick: Calls) -> None:
    picture("in/a.jpg")
    assert run(["in", "-o", "."]) == 0
    assert quick == [("in/a.jpg", "a.png")]


def test_two_folders_keep_the_tree_below_their_common_root(picture: Make, quick: Calls) -> None:
    picture("in/one/a.png")
    picture("in/two/a.png")
    assert run(["in/one", "in/two", "-o", "out"]) == 0
    assert [target for _, target in quick] == ["out/one/a.png", "out/two/a.png"]


def test_globs(picture: Make, quick: Calls) -> None:
    for name in ("in/one/a.png", "in/two/a.png", "in/two/b.jpg", "in/x[1].png"):
        picture(name)
    assert run(["in/*/*.png", "in/x[1].png", "-o", "out"]) == 0
    assert [target for _, target in quick] == ["out/one/a.png", "out/two/a.png", "out/x[1].png"]
    quick.clear()
    assert run(["in/**/*.jpg", "-o", "out"]) == 0
    assert [target for _, target in quick] == ["out/two/b.png"]


def test_a_csv_lists_paths_relative_to_itself_and_its_outputs_lie_flat(
    picture: Make, quick: Calls
) -> None:
    picture("lists/lr/하나.png")
    picture("lists/deep/er/b.png")
    Path("lists/pairs.csv").write_text("\ufeffHR,LR\nx.png,lr/하나.png\ny.png,deep/er/b.png\n")
    assert run(["lists/pairs.csv", "-o", "out"]) == 0
    assert quick == [
        ("lists/lr/하나.png", "out/하나.png"),
        ("lists/deep/er/b.png", "out/b.png"),
    ]


def test_rows_of_a_csv_fail_alone(
    picture: Make, quick: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("a.png")
    Path("pairs.csv").write_text("HR,LR\nx,a.png\nx,\nx,gone.png\nx\n")
    assert run(["pairs.csv", "-o", "out"]) == 3
    assert quick == [("a.png", "out/a.png")]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "enlarge: pairs.csv: line 3 has no LR"
    assert lines[1] == "enlarge: gone.png: no such file (pairs.csv, line 4)"
    assert lines[-1] == "enlarge: 3 of 4 inputs failed"


def test_the_same_file_is_enlarged_once(picture: Make, quick: Calls) -> None:
    picture("in/a.png")
    assert run(["in/a.png", "./in/a.png", "in", "in/*.png"]) == 0
    assert quick == [("in/a.png", "in/a_x4.png")]


def test_files_named_like_commands_and_options(picture: Make, quick: Calls) -> None:
    for name in ("train", "-v"):
        picture(f"{name}.png").rename(name)
    assert run(["./train"]) == 0
    assert run(["--scale", "2", "--", "-v"]) == 0
    assert quick == [("train", "train_x4.png"), ("-v", "-v_x2.png")]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["gone.png"], "gone.png: no such file or folder"),
        (["a*.png"], "a*.png: no file matches"),
        (
            ["-v", "models"],
            "models: no such file or folder; to run the command, put it first: enlarge models",
        ),
        (["empty"], "empty: no pictures in this folder"),
        ([""], "an input is empty text; expected a file, a folder or -"),
        (["bad.csv"], "bad.csv: expected a column LR and at least one row, found A, B"),
        (["a.zip"], "a.zip: cannot be read as a zip archive (File is not a zip file)"),
    ],
)  # fmt: skip
def test_inputs_that_are_none(
    arguments: list[str], line: str, here: Path, quick: Calls,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    Path("empty").mkdir()
    Path("bad.csv").write_text("A,B\n1,2\n")
    Path("a.zip").write_bytes(b"PK\x03\x04")
    before = tree(here)
    assert run(arguments) == 1
    assert capsys.readouterr().err == f"enlarge: {line}\n"
    assert tree(here) == before


def test_a_name_that_is_no_text(
    picture: Make, quick: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"\xff.png")
    try:
        picture("a.png").rename(name)
    except OSError:
        pytest.skip("this file system holds names that are text only")
    assert run([name, "--quiet"]) == 0
    assert quick == [(name, os.fsdecode(b"\xff_x4.png"))]


def test_names_that_no_file_can_have_are_inputs_that_are_not_there(
    picture: Make, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture("a.png")
    (here / "list.csv").write_text(f"LR\n{'x' * 300}.png\na.png\n")
    assert run(["list.csv", f"{'y' * 300}.png", "-o", "out/"]) == 3
    said = capsys.readouterr().err
    assert "File name too long" in said
    assert "no such file" in said
    assert (here / "out/a.png").is_file()
