"""Names of any bytes that the file system allows reach every kind of output, and every report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from enlarge.app.options import Options
from enlarge.app.queue import Queue
from enlarge.app.visit import Visit
from enlarge.batch.names import decoded_name, encodable_name, fitting_name, folded_name
from enlarge.cli import run
from enlarge.cli.console import one_line
from tests.batch.conftest import contents

ODD = tuple(
    map(
        os.fsdecode,
        (
            b"latin\xe9.png", b"new\nline.png", b"-dash.png", b"--help.png", b"quo'te\".png",
            b"trailing .png", b"dots...png", b"esc\x1b[31m.png", b"back\\slash.png",
            b"back\\xe9.png", b"back\xe9.png", b"percent%20[1].png", "emoji😀.png".encode(),
            "é.png".encode(), "e\u0301.png".encode(), b"a" * 251 + b".png",
        ),
    )
)  # fmt: skip
Said = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    for name in ODD:
        try:
            with (tmp_path / "in" / name).open("wb") as file:
                Image.fromarray(pixels).save(file, "PNG")
        except OSError:
            pytest.skip("this file system holds names that are text only")
    if len(list((tmp_path / "in").iterdir())) < len(ODD):
        pytest.skip("this file system takes some of the names for one")
    return tmp_path


def stems() -> set[str]:
    return {Path(name).stem for name in ODD}


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("png", []), ("jpg", []), ("webp", []), ("tif", []), ("tif", ["--pyramid"]), ("avif", []),
        ("szi", []),
    ],
)  # fmt: skip
def test_a_folder(form: str, options: list[str], here: Path, capsys: Said) -> None:
    command = ["in", "-o", "out/", "--format", form, *options]
    assert run([*command, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert {Path(entry["input"]).name for entry in results} == set(ODD)
    made = contents(here / "out")
    assert {Path(entry["output"]).name for entry in results} == set(made)
    fits = {f"{stem}.{form}" for stem in stems() if len(stem) + len(form) < 255}
    assert len(fits) == len(ODD) - (form in ("webp", "avif"))  # whose extensions are longer
    assert fits <= set(made)
    assert len(made) == len(ODD)
    assert run([*command, "--json"]) == 0  # the ledger knows every one of them
    assert len(json.loads(capsys.readouterr().out)["kept"]) == len(ODD)
    assert run(["out", "-o", "again/", "--json"]) == 1  # and so does a scan of the results
    skipped = json.loads(capsys.readouterr().out).get("skipped", [])
    assert len(skipped) == (0 if form == "szi" else len(ODD))


def test_deep_zoom(here: Path) -> None:
    """The tiles' folder needs two bytes more than the descriptor: the longest name is cut."""
    assert run(["in", "-o", "out/", "--format", "dzi", "--quiet"]) == 0
    made = {path.stem for path in (here / "out").glob("*.dzi")}
    assert len(made) == len(ODD)
    assert {path.name for path in (here / "out").glob("*_files")} == {f"{x}_files" for x in made}
    (cut,) = made - stems()
    assert cut.startswith("a" * 200)


def test_a_zip(here: Path) -> None:
    assert run(["in", "-o", "all.zip", "--quiet"]) == 0
    assert not Path("all.zip.parts").exists()
    with zipfile.ZipFile("all.zip") as archive:
        assert len(set(archive.namelist())) == len(ODD)
        assert archive.testzip() is None
    assert run(["all.zip", "-o", "out/", "--quiet"]) == 0
    assert set(contents(here / "out")) == set(ODD)


def test_beside_the_inputs(here: Path, capsys: Said) -> None:
    assert run(["in"]) == 0
    said = capsys.readouterr()
    assert "the name would be longer than 255 bytes and is shortened to in/aaaa" in said.err
    assert len(said.out.splitlines()) == len(ODD)
    made = set(contents(here / "in")) - set(ODD)
    assert {f"{stem}_x4.png" for stem in stems()} - made == {"a" * 251 + "_x4.png"}
    assert len(made) == len(ODD)
    assert all(len(os.fsencode(name)) <= 255 for name in made)
    assert run(["in"]) == 1, "the shortened name is the same the next time"
    assert "exists; use --overwrite" in capsys.readouterr().err


def test_lists_and_single_files(here: Path, capsys: Said) -> None:
    rows = b"LR\n" + b"".join(
        b'"in/' + os.fsencode(name).replace(b'"', b'""') + b'"\n' for name in ODD
    )
    Path("list.csv").write_bytes(rows)
    assert run(["list.csv", "-o", "out/", "--quiet"]) == 0
    assert set(contents(here / "out")) == set(ODD)
    latin, dash = os.fsdecode(b"in/latin\xe9.png"), "-dash.png"
    assert run([latin, "-o", os.fsdecode(b"folder\xe9/one\xe9.png"), "--quiet"]) == 0
    assert os.listdir(b"folder\xe9") == [b"one\xe9.png"]  # noqa: PTH208
    os.chdir("in")
    assert run(["-o", "../single/", "--quiet", "--", dash, "--help.png"]) == 0
    assert set(contents(here / "single")) == {dash, "--help.png"}


def test_reports_on_a_terminal_that_knows_ascii_only(here: Path) -> None:
    (here / "in" / os.fsdecode(b"bro\xe9ken\n\x1b[2J.png")).write_bytes(b"")
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "enlarge", "in", "-o", "out/"]
    for options in ([], ["--json"], ["--report", "r.json"], ["--report", "r.html"], ["--dry-run"]):
        with subprocess.Popen(
            [*command, *options], cwd=here, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            out, said = process.communicate()
        assert process.returncode == 3, said
        assert out.isascii()
        assert said.isascii()
        (line,) = [line for line in said.splitlines() if b"ken" in line] or [b""]
        if "--json" in options:
            document = json.loads(out)
            assert {Path(entry["input"]).name for entry in document["kept"]} >= set(ODD[:6])
        else:
            assert line.startswith(b"enlarge: in/bro\\xe9ken\\n\\x1b[2J.png: the file is empty")
    made = json.loads(Path("r.json").read_text(encoding="utf-8"))
    assert {Path(entry["input"]).name for entry in made["kept"]} >= set(ODD[:6])


def test_the_page(tmp_path: Path) -> None:
    """A browser sends text, but any: control characters, halves of characters, long names."""
    visit = Visit(Queue(), Options())
    pixels = Image.new("RGB", (9, 7))
    pixels.save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for number, name in enumerate(("a\nb.png", "\ud83d.png", "a/b\\c.png", "é" * 300 + ".png", "")):
        item = visit.add(str(number), name, data)
        assert item.problem is None
        item.name.encode()
        assert not set(item.name) & set("\n/\\")
    visit.close()


@given(st.binary(min_size=1, max_size=40))
def test_a_ledger_tells_all_names_apart(data: bytes) -> None:
    name = os.fsdecode(data)
    text = encodable_name(name)
    text.encode()
    assert decoded_name(text) == name
    if name.isascii() and "\\" not in name:
        assert text == name


def test_names_as_earlier_versions_wrote_them() -> None:
    assert encodable_name(os.fsdecode(b"a\xff.png")) == "a\\xff.png"
    assert encodable_name("back\\slash.png") == "back\\slash.png"
    assert encodable_name("a\\xff.png") == "a\\\\xff.png"  # the only ones that are written anew


def test_names_that_fit() -> None:
    assert fitting_name("a" * 251, ".png") == "a" * 251 + ".png"
    for stem in ("a" * 252, "é" * 127, os.fsdecode(b"\xff" * 253)):
        for ending in ("_x4.png", "_größer.png", ".dzi"):
            name = fitting_name(stem, ending)
            assert len(os.fsencode(name)) <= 255
            assert name.endswith(ending)
            assert fitting_name(stem, ending) == name != fitting_name("b" + stem[1:], ending)
    assert folded_name("É") == folded_name("e\u0301")


def test_lines_stay_lines() -> None:
    name = os.fsdecode(b"a\xe9\n\x1b[31m\xc3\xa9.png") + "\u202e😀\u200d"
    assert one_line(name) == "a\\xe9\\n\\x1b[31mé.png\\u202e😀\u200d"


@pytest.fixture(autouse=True)
def _back(tmp_path: Path) -> Iterator[None]:
    before = Path.cwd()
    yield
    os.chdir(before)
