"""What a scan leaves out: what says that enlarge made it, or what a ledger lists. Never a name."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.batch.record import LEDGER
from enlarge.cli import run
from enlarge.media.reading import open_picture
from tests.batch.conftest import contents
from tests.conftest import Begin

OWN = ("hero.jpg", "hero_640x480.png", "hero_1920x1080.jpg", "hero_x2.png")
Said = pytest.CaptureFixture[str]


def paint(path: Path, size: tuple[int, int] = (9, 7), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("options", [[], ["--scale", "2"], ["--suffix", "_x2"]])
def test_names_of_users_are_taken(options: list[str], here: Path, capsys: Said) -> None:
    for name in OWN:
        paint(here / "in" / name)
    assert run(["in", "-o", "out/", *options]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 4
    assert "skipped" not in said.err
    assert len(contents(here / "out")) == 4


def test_results_beside_their_inputs_are_left_out_and_counted(here: Path, capsys: Said) -> None:
    for name in OWN:
        paint(here / "in" / name)
    assert run(["in/hero.jpg", "in/hero_x2.png", "--quiet"]) == 0
    assert (here / "in/hero_x4.png").exists()
    assert run(["in", "-o", "out/"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith(
        "enlarge: skipped 2 pictures made by enlarge: in/hero_x2_x4.png, in/hero_x4.png; "
        "to enlarge those too, name them or use a glob\n"
    )
    assert len(said.out.splitlines()) == 4
    assert run(["in", "-o", "out/", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["kept"]) == 4
    assert document["skipped"] == [
        {"input": f"in/{name}", "reason": "its metadata says that enlarge made it"}
        for name in ("hero_x2_x4.png", "hero_x4.png")
    ]
    assert run(["in", "-o", "out/", "--dry-run", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["skipped"]) == 2
    assert run(["in", "-o", "out/", "--quiet", "--report", "r.html"]) == 0
    assert "hero_x4.png" in Path("r.html").read_text()
    assert capsys.readouterr().err == ""
    # A new name does not make a result a new picture.
    (here / "in/hero_x4.png").rename(here / "in/great.png")
    assert run(["in", "-o", "out/", "-v"]) == 0
    assert "  in/great.png: its metadata says that enlarge made it\n" in capsys.readouterr().err
    assert len(contents(here / "out")) == 4


@pytest.mark.parametrize("form", ["png", "jpg", "webp", "tif", "avif"])
def test_every_format_says_so(form: str, here: Path, capsys: Said) -> None:
    paint(here / "in/a.png")
    options = ["--format", form, "--metadata", "none", "--quiet"]
    assert run(["in", *options]) == 0
    assert run(["in", *options]) == 1  # nothing twice: the result exists
    assert f"in/a_x4.{form} exists; use --overwrite" in capsys.readouterr().err
    assert run(["in", *options, "--scale", "2"]) == 0
    assert sorted(contents(here / "in")) == sorted(["a.png", f"a_x2.{form}", f"a_x4.{form}"])


def test_what_a_ledger_lists_is_ours_without_provenance(here: Path, capsys: Said) -> None:
    paint(here / "in/sub/a.png")
    paint(here / "in/b.png", seed=1)
    assert run(["in", "-o", "out/", "--no-provenance", "--quiet"]) == 0
    for source in ("out", "out/sub"):  # the ledger of a folder above counts as well
        assert run([source, "-o", "again/", "--json"]) == 1
        document = json.loads(capsys.readouterr().out)
        assert {entry["reason"] for entry in document["skipped"]} == {
            f"{Path('out') / LEDGER if source == 'out' else here / 'out' / LEDGER} lists it as a "
            "result"
        }
    before = sorted(path.name for path in (here / "out/.enlarge").iterdir())
    assert before == [LEDGER.name], "reading a ledger must leave nothing there"
    # A result that another program saved anew is still ours; another picture in its place is not.
    with Image.open(here / "out/b.png") as image:
        image.save(here / "out/b.png", optimize=True)
    paint(here / "out/sub/a.png", (11, 5), seed=2)
    assert run(["out", "-o", "again/"]) == 0
    said = capsys.readouterr()
    assert "skipped 1 picture made by enlarge: out/b.png" in said.err
    assert sorted(contents(here / "again")) == ["sub/a.png"]


def test_a_ledger_that_cannot_be_read_is_none(here: Path, capsys: Said) -> None:
    paint(here / "in/a.png")
    (here / "in/.enlarge").mkdir()
    (here / "in" / LEDGER).write_bytes(b"no database at all")
    base = sqlite3.connect(here / "in/old.sqlite")
    base.execute("CREATE TABLE pictures (output TEXT, more TEXT)")
    base.execute("INSERT INTO pictures VALUES ('a.png', 'of a later version')")
    base.commit()
    base.close()
    assert run(["in", "-o", "out/", "--quiet"]) == 0
    (here / "in/old.sqlite").rename(here / "in" / LEDGER)
    assert run(["in", "-o", "other/", "--quiet"]) == 0


def test_a_running_batch_is_read_too(here: Path, begin: Begin) -> None:
    """A ledger that another process has open, with what is not in its main file yet."""
    paint(here / "in/a.png")
    assert run(["in", "-o", "out/", "--no-provenance", "--quiet"]) == 0
    from enlarge.batch.ledger import Ledger

    with Ledger(here / "out") as ledger:
        ledger._base.execute("UPDATE pictures SET output = 'b.png'")
        (here / "out/a.png").rename(here / "out/b.png")
        assert run(["out", "-o", "again/", "--quiet"]) == 1


def test_a_thousand_inputs_are_looked_at_by_their_headers(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is opened once, and no more than its beginning is read."""
    paint(here / "in/large.jpg", (1500, 1000))
    assert run(["in/large.jpg", "--scale", "1", "--quiet"]) == 0
    size = (here / "in/large_x1.png").stat().st_size
    read: list[int] = []
    opened = io.FileIO.read

    class Counted(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = bytes(opened(self, -1 if size is None else size))
            read.append(len(data))
            return data

    monkeypatch.setattr(
        Path, "open", lambda path, mode: io.BufferedReader(Counted(os.fspath(path)))
    )
    with open_picture(here / "in/large_x1.png") as picture:
        assert picture.metadata.xmp is not None
    assert sum(read) < size / 10
