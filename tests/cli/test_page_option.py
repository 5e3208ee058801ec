"""`--page`: another picture of a file, and all of them."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import enlarge
from enlarge.batch.ledger import Ledger
from enlarge.cli import run
from enlarge.errors import InputError, OptionError
from enlarge.media.reading import describe_picture
from tests.cli.conftest import Make, tree

Said = pytest.CaptureFixture[str]


def frames(name: str, count: int = 3, width: int = 16) -> list[Image.Image]:
    """Write an animation or pages; the pictures."""
    generator = np.random.default_rng(3)
    shape = (count, 12, width, 3)
    made = [Image.fromarray(one) for one in generator.integers(0, 256, shape, dtype=np.uint8)]
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    made[0].save(name, save_all=True, append_images=made[1:])
    return made


def pixels(path: str | Path | io.BytesIO) -> NDArray[Any]:
    return np.asarray(Image.open(path))


def test_one_page(here: Path, capsys: Said) -> None:
    made = frames("anim.png")
    assert run(["anim.png", "--page", "2"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("anim_page2_x4.png  64×48, ")
    assert said.err == ""  # nothing is left out: this one was asked for
    expected = enlarge.upscale(np.asarray(made[1]))
    assert np.array_equal(pixels("anim_page2_x4.png"), expected)
    assert np.array_equal(enlarge.upscale("anim.png", page=2), expected)
    assert describe_picture(Path("anim_page2_x4.png"))["provenance"]["page"] == "2"
    enlarge.upscale("anim.png", output="three.png", page=3)
    assert np.array_equal(pixels("three.png"), enlarge.upscale(np.asarray(made[2])))
    assert run(["anim.png", "--page", "3", "-o", "third.png"]) == 0
    assert Path("third.png").read_bytes() == Path("three.png").read_bytes()


def test_the_first_page_without_the_option(here: Path, capsys: Said) -> None:
    frames("anim.png")
    assert run(["anim.png", "--json"]) == 0
    said = capsys.readouterr()
    (result,) = json.loads(said.out)["results"]
    assert result["notes"] == ["has 3 frames; only the first is used"]
    assert result["output"] == "anim_x4.png"
    assert "page" not in describe_picture(Path("anim_x4.png"))["provenance"]


def test_all_pages_beside(here: Path, capsys: Said) -> None:
    frames("scan.tif", count=11)
    assert run(["scan.tif", "--page", "all", "--quiet"]) == 0
    results = [f"scan_page{number:02}_x4.png" for number in range(1, 12)]
    assert tree(here) == ["scan.tif", *results]
    assert run(["scan.tif", "--page", "7"]) == 1
    assert "scan_page07_x4.png exists" in capsys.readouterr().err


def test_all_pages_resume(here: Path, picture: Make, capsys: Said) -> None:
    made = frames("in/anim.png")
    picture("in/photo.png")
    command = ["in", "-o", "out", "--page", "all"]
    assert run(command) == 0
    names = ["anim_page1.png", "anim_page2.png", "anim_page3.png", "photo.png"]
    assert tree(Path("out")) == names
    for number, one in enumerate(made, 1):
        expected = enlarge.upscale(np.asarray(one))
        assert np.array_equal(pixels(f"out/anim_page{number}.png"), expected)
    first = Path("out/anim_page1.png").stat().st_mtime_ns
    Path("out/anim_page2.png").unlink()
    capsys.readouterr()
    assert run(command) == 0
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()] == ["out/anim_page2.png"]
    assert said.err == "enlarge: 3 of 4 were already done\n"
    assert Path("out/anim_page1.png").stat().st_mtime_ns == first
    with Ledger(Path("out")) as ledger:
        rows = {name: json.loads(row.settings).get("page") for name, row in ledger.rows().items()}
    assert rows == {names[0]: 1, names[1]: 2, names[2]: 3, "photo.png": None}
    # The same page, asked for by its number, is that result; a picture of one page is what it is
    # without the option.
    assert run(["in/anim.png", "-o", "out", "--page", "3", "--json"]) == 0
    (kept,) = json.loads(capsys.readouterr().out)["kept"]
    assert (kept["input"], kept["page"], kept["output"]) == (
        "in/anim.png",
        3,
        "out/anim_page3.png",
    )
    assert run(["in/photo.png", "-o", "out", "--json"]) == 0
    (kept,) = json.loads(capsys.readouterr().out)["kept"]
    assert "page" not in kept
    assert run([*command, "--overwrite", "--scale", "2", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [result.get("page") for result in results] == [1, 2, 3, None]


def test_another_page_is_another_result(here: Path, capsys: Said) -> None:
    made = frames("anim.png")
    for page in ("1", "2"):
        assert run(["anim.png", "-o", "out", "--suffix", "!", "--page", page, "--quiet"]) == 0
    assert tree(Path("out")) == ["anim_page1!.png", "anim_page2!.png"]
    assert np.array_equal(pixels("out/anim_page2!.png"), enlarge.upscale(np.asarray(made[1])))


def test_all_pages_into_a_zip_and_from_one(here: Path, capsys: Said) -> None:
    frames("a/anim.png", count=2)
    with zipfile.ZipFile("in.zip", "w") as archive:
        archive.write("a/anim.png", "deep/anim.png")
    assert run(["in.zip", "-o", "out.zip", "--page", "all"]) == 0
    assert "out.zip  2 pictures" in capsys.readouterr().out
    with zipfile.ZipFile("out.zip") as archive:
        assert archive.namelist() == ["deep/anim_page1.png", "deep/anim_page2.png"]
        read = [pixels(io.BytesIO(archive.read(name))) for name in archive.namelist()]
    for page, found in enumerate(read, 1):
        assert np.array_equal(found, enlarge.upscale("a/anim.png", page=page))


def test_pages_of_different_sizes_are_planned_each(here: Path, capsys: Said) -> None:
    large = Image.new("RGB", (40, 30))
    Image.new("RGB", (8, 6)).save("scan.tif", save_all=True, append_images=[large])
    assert run(["scan.tif", "--page", "all", "--dry-run", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["pictures"] == 2
    assert run(["scan.tif", "--page", "all", "--crop", "0,0,20,20"]) == 3
    said = capsys.readouterr()
    assert said.out.startswith("scan_page2_crop_x4.png  80×80")
    assert "scan.tif: --crop 0,0,20,20 is not inside 8×6" in said.err


def test_a_page_that_is_not_there(here: Path, picture: Make, capsys: Said) -> None:
    frames("anim.png")
    picture("photo.png")
    assert run(["anim.png", "--page", "4"]) == 2
    line = "anim.png: there is no page 4: it has 3 frames; --page takes 1 to 3, or all"
    assert capsys.readouterr().err == f"enlarge: {line}\n"
    assert run(["anim.png", "photo.png", "--page", "2", "-o", "out"]) == 3
    said = capsys.readouterr()
    assert "photo.png: there is no page 2: it has one picture; leave out --page" in said.err
    assert tree(Path("out")) == ["anim_page2.png"]
    with pytest.raises(OptionError, match=r"anim.png: there is no page 4: it has 3 frames"):
        enlarge.upscale("anim.png", page=4)


def test_suffixes_of_files_with_several_pictures(here: Path, capsys: Said) -> None:
    frames("in/a.png")
    Path("in/a.png").rename("in/a.apng")
    frames("in/b.mpo")
    assert run(["in", "-o", "out", "--page", "all"]) == 0
    assert tree(Path("out")) == [f"{stem}_page{page}.png" for stem in "ab" for page in (1, 2, 3)]
    assert run(["in/b.mpo", "-o", "c.mpo"]) == 2
    assert "cannot write .mpo" in capsys.readouterr().err


@pytest.mark.parametrize("page", ["0", "-1", "1.5", "two", "", "ALL"])
def test_pages_that_are_no_numbers(here: Path, capsys: Said, page: str) -> None:
    frames("anim.png")
    assert run(["anim.png", f"--page={page}"]) == 2
    assert "--page must be a whole number from 1 on, or all" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["one.png", "-"])
def test_all_pages_need_a_folder(here: Path, capsys: Said, target: str) -> None:
    frames("anim.png")
    assert run(["anim.png", "--page", "all", "-o", target]) == 2
    said = capsys.readouterr().err
    assert f"--page all and -o {target} contradict each other" in said
    assert "name a folder" in said
    assert tree(here) == ["anim.png"]


def test_standard_input(here: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    made = frames("anim.png")

    def given() -> None:
        file = io.BytesIO(Path("anim.png").read_bytes())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))

    given()
    assert run(["-", "--page", "2", "-o", "two.png"]) == 0
    assert np.array_equal(pixels("two.png"), enlarge.upscale(np.asarray(made[1])))
    given()
    assert run(["-", "--page", "all", "-o", "out"]) == 2
    assert "save it to a file, or give the number of a page" in capsys.readouterr().err


def test_a_file_that_cannot_be_read(here: Path, capsys: Said) -> None:
    Path("note.png").write_text("no picture")
    frames("anim.png", count=2)
    assert run(["note.png", "anim.png", "-o", "out", "--page", "all"]) == 3
    assert capsys.readouterr().err.count("note.png: is not a picture") == 1
    assert tree(Path("out")) == ["anim_page1.png", "anim_page2.png"]


def test_a_broken_page_is_named(here: Path, capsys: Said) -> None:
    frames("anim.png")
    data = bytearray(Path("anim.png").read_bytes())
    at = data.index(b"fdAT") + 20
    data[at : at + 40] = bytes(40)
    Path("anim.png").write_bytes(data)
    code = run(["anim.png", "-o", "out", "--page", "all"])
    said = capsys.readouterr().err
    made = [name for name in tree(Path("out")) if name.endswith(".png")]
    assert (code, made) == (3, ["anim_page1.png", "anim_page3.png"])
    assert "frame 2 of this PNG is truncated or damaged" in said
    assert "(page 2)" in said
    assert "(page 3)" not in said  # it replaces all of the second


def test_inspect(here: Path, capsys: Said) -> None:
    Image.new("RGB", (8, 6)).save("scan.tif", save_all=True, append_images=[Image.new("L", (4, 5))])
    assert run(["inspect", "scan.tif", "--page", "2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["page"], facts["pages"], facts["width"], facts["height"]) == (2, 2, 4, 5)
    assert run(["inspect", "scan.tif", "--page", "3"]) != 0
    assert "no page 3: it has 2 pages" in capsys.readouterr().err


def test_python_says_where_pages_are_not(here: Path) -> None:
    frames("anim.png")
    with pytest.raises(OptionError, match="gives several pictures, expected one"):
        enlarge.upscale("anim.png", page="all")
    with pytest.raises(OptionError, match="gives several pictures, expected one"):
        enlarge.upscale("anim.png", page="all", output="x.png")
    with pytest.raises(OptionError, match=r"needs a picture file, got ndarray.*seek"):
        enlarge.upscale(np.zeros((4, 4, 3), np.uint8), page=1)
    with pytest.raises((InputError, OptionError), match="got 0"):
        enlarge.upscale("anim.png", page=0)
