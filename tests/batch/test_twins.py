"""Two inputs with one stem: each has an output of its own, the same one every time."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.batch import outputs
from enlarge.cli import run
from tests.batch.conftest import contents

Said = pytest.CaptureFixture[str]


def paint(path: Path, seed: int) -> None:
    """A picture whose average tells which it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    form = "TIFF" if path.suffix.lower() == ".heic" else None  # what it holds tells, not its name
    Image.fromarray(np.full((7, 9, 3), 40 * seed, np.uint8)).save(path, form)


def seeds(folder: Path) -> dict[str, int]:
    """The results by name, and which picture each is of."""
    found = {}
    for name in contents(folder):
        with Image.open(folder / name) as image:
            found[name] = round(float(np.asarray(image).mean()) / 40)
    return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "in/IMG_1.HEIC", 1)
    paint(tmp_path / "in/IMG_1.JPG", 2)
    paint(tmp_path / "in/other.png", 3)
    return tmp_path


BOTH = {"IMG_1.HEIC.png": 1, "IMG_1.JPG.png": 2, "other.png": 3}


def test_a_folder_reported_once(here: Path, capsys: Said) -> None:
    assert run(["in", "-o", "out/"]) == 0
    said = capsys.readouterr().err
    assert said.count("differ only in the extension, so the results keep it") == 1
    assert "in/IMG_1.HEIC and 1 more: " in said
    assert seeds(here / "out") == BOTH
    assert run(["in", "-o", "out/", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["kept"]) == 3
    assert "notes" not in document, "nothing is named anew"


def test_in_json_too(here: Path, capsys: Said) -> None:
    assert run(["in", "-o", "out/", "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note.endswith("keep it, as in IMG_1.HEIC.png")


@pytest.mark.parametrize("gone", ["IMG_1.HEIC", "IMG_1.JPG"])
def test_one_of_them_is_removed(gone: str, here: Path, capsys: Said) -> None:
    assert run(["in", "-o", "out/", "--quiet"]) == 0
    before = contents(here / "out")
    (here / "in" / gone).unlink()
    assert run(["in", "-o", "out/", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (len(document["results"]), len(document["kept"])) == (0, 2)
    assert contents(here / "out") == before


@pytest.mark.parametrize("first", ["IMG_1.HEIC", "IMG_1.JPG"])
def test_one_of_them_comes_later(first: str, here: Path, capsys: Said) -> None:
    """The first keeps its result under the name that it has."""
    assert run([f"in/{first}", "-o", "out/", "--quiet"]) == 0
    seed = {"IMG_1.HEIC": 1, "IMG_1.JPG": 2}
    assert seeds(here / "out") == {"IMG_1.png": seed[first]}
    (second,) = {*seed} - {first}
    for inputs in (["in"], [f"in/{second}"]):  # together, and alone
        assert run([*inputs, "-o", "out/", "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        expected = {"IMG_1.png": seed[first], f"{second}.png": seed[second], "other.png": 3}
        assert seeds(here / "out") == expected
        assert len(document["results"]) == (2 if inputs == ["in"] else 0)


def test_a_second_one_alone_never_replaces_the_first(here: Path) -> None:
    assert run(["in/IMG_1.HEIC", "-o", "out/", "--quiet"]) == 0
    (here / "in/IMG_1.HEIC").unlink()
    assert run(["in/IMG_1.JPG", "-o", "out/", "--quiet"]) == 0
    assert seeds(here / "out") == {"IMG_1.png": 1, "IMG_1.JPG.png": 2}
    # But one that was renamed is the same picture.
    (here / "in/other.png").rename(here / "in/new.png")
    assert run(["in/new.png", "-o", "out/", "--quiet"]) == 0
    (here / "in/new.png").rename(here / "in/new.tif")
    before = contents(here / "out")
    assert run(["in/new.tif", "-o", "out/", "--quiet"]) == 0
    assert contents(here / "out") == before


def test_a_third_is_added(here: Path) -> None:
    assert run(["in", "-o", "out/", "--quiet"]) == 0
    before = contents(here / "out")
    paint(here / "in/IMG_1.tif", 4)
    assert run(["in", "-o", "out/", "--quiet"]) == 0
    after = contents(here / "out")
    assert {name: after[name] for name in before} == before
    assert seeds(here / "out") == BOTH | {"IMG_1.tif.png": 4}


def test_the_whole_name_is_that_of_a_third(here: Path) -> None:
    paint(here / "in/IMG_1.JPG.tif", 4)
    assert run(["in", "-o", "out/", "--quiet"]) == 0
    expected = {"IMG_1.HEIC.png": 1, "IMG_1.JPG.png": 2, "IMG_1.JPG.tif.png": 4, "other.png": 3}
    assert seeds(here / "out") == expected


def test_upper_and_lower_case(here: Path, capsys: Said) -> None:
    paint(here / "in/a.JPG", 1)
    paint(here / "in/a.jpg", 2)
    if len(list((here / "in").glob("a.*"))) < 2:
        pytest.skip("this file system ignores case")
    assert run(["in", "-o", "out/", "--quiet"]) == 0
    assert seeds(here / "out") == BOTH | {"a.JPG.png": 1, "a.jpg.png": 2}
    assert run(["in", "-o", "all.zip"]) == 0
    assert "a.JPG.png and a.jpg.png differ only in upper and lower case" in capsys.readouterr().err
    with zipfile.ZipFile("all.zip") as archive:
        assert set(archive.namelist()) == {*BOTH, "a.JPG.png", "a.jpg.png"}


def test_folders_of_a_tree(here: Path) -> None:
    """Each folder for itself: what lies in another one is no twin."""
    paint(here / "in/sub/IMG_1.HEIC", 4)
    paint(here / "in/sub/deep/other.jpg", 5)
    assert run(["in", "-o", "out/", "--quiet"]) == 0
    assert seeds(here / "out") == BOTH | {"sub/IMG_1.png": 4, "sub/deep/other.png": 5}


def test_beside_their_inputs(here: Path, capsys: Said) -> None:
    assert run(["in", "--quiet"]) == 0
    made = {"IMG_1.HEIC_x4.png": 1, "IMG_1.JPG_x4.png": 2, "other_x4.png": 3}
    assert {k: v for k, v in seeds(here / "in").items() if "_x4" in k} == made
    before = contents(here / "in")
    assert run(["in"]) == 1  # as for every result beside its input
    assert "IMG_1.HEIC_x4.png exists; use --overwrite" in capsys.readouterr().err
    (here / "in/IMG_1.JPG").unlink()
    assert run(["in/IMG_1.HEIC"]) == 1, "it has its result, under the whole name"
    before.pop("IMG_1.JPG")
    assert contents(here / "in") == before


def test_into_the_folder_of_the_inputs(here: Path) -> None:
    assert run(["in/IMG_1.HEIC", "in/IMG_1.JPG", "-o", "in/", "--format", "jpg", "--quiet"]) == 0
    made = contents(here / "in")
    assert seeds(here / "in")["IMG_1.HEIC.jpg"] == 1
    assert seeds(here / "in")["IMG_1.JPG.jpg"] == 2
    for name in ("IMG_1.HEIC", "IMG_1.JPG"):
        assert run([f"in/{name}", "-o", "in/", "--format", "jpg", "--quiet"]) == 0
    assert contents(here / "in") == made


def test_a_list_lies_flat(here: Path, capsys: Said) -> None:
    """Twins of two folders; two of one whole name are refused, with advice that can be followed."""
    paint(here / "more/IMG_1.png", 4)
    (here / "list.csv").write_text("LR\nin/IMG_1.HEIC\nmore/IMG_1.png\n")
    assert run(["list.csv", "-o", "out/", "--quiet"]) == 0
    assert seeds(here / "out") == {"IMG_1.HEIC.png": 1, "IMG_1.png.png": 4}
    paint(here / "more/other.png", 5)
    assert run(["in/other.png", "more/other.png", "-o", "out/", "--quiet"]) == 1
    assert "pass the folder that contains both" in capsys.readouterr().err
    assert run(["in", "more", "-o", "both/", "--quiet"]) == 0
    assert seeds(here / "both")["more/other.png"] == 5


def test_into_a_zip(here: Path) -> None:
    assert run(["in", "-o", "all.zip", "--quiet"]) == 0
    with zipfile.ZipFile("all.zip") as archive:
        assert sorted(archive.namelist()) == sorted(BOTH)


def test_names_that_some_systems_take_for_one(here: Path, capsys: Said) -> None:
    """Nothing is renamed for that; it is said, and where the extension helps it stays."""
    paint(here / "in/img_1.tif", 4)
    paint(here / "in/é.png", 5)
    paint(here / "in/e\u0301.png", 6)
    if len(list((here / "in").iterdir())) < 6:
        pytest.skip("this file system ignores case or accents")
    assert run(["in", "-o", "all.zip"]) == 0
    said = capsys.readouterr().err
    assert said.count("differ only in upper and lower case, or in how accents") == 1
    with zipfile.ZipFile("all.zip") as archive:
        expected = {*BOTH, "img_1.tif.png", "é.png", "e\u0301.png"}
        assert set(archive.namelist()) == expected


def test_a_file_system_that_ignores_case(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "_ignores_case", lambda folder: True)
    paint(here / "in/img_1.tif", 4)
    assert run(["in", "-o", "out/", "--quiet"]) == 0
    assert seeds(here / "out") == BOTH | {"img_1.tif.png": 4}


@pytest.mark.parametrize("form", ["dzi", "szi"])
def test_deep_zoom(form: str, here: Path) -> None:
    assert run(["in", "-o", "out/", "--format", form, "--quiet"]) == 0
    made = sorted(path.name for path in (here / "out").glob(f"*.{form}"))
    assert made == [f"IMG_1.HEIC.{form}", f"IMG_1.JPG.{form}", f"other.{form}"]


def test_two_processes_with_a_twin_each(here: Path, capsys: Said) -> None:
    """The second planned while the first was at work: it must not take the name over."""
    from enlarge.batch.jobs import source_stamp
    from enlarge.batch.ledger import Ledger
    from enlarge.batch.locations import File
    from enlarge.batch.record import Fingerprint

    assert run(["in/IMG_1.HEIC", "-o", "out/", "--quiet"]) == 0
    wish = Fingerprint(
        "in/IMG_1.JPG", "another digest", source_stamp(File(Path("in/IMG_1.JPG"))), "m", "s"
    )
    from enlarge.errors import OutputError

    with Ledger(here / "out") as ledger:
        with pytest.raises(OutputError, match=r"was made from in/IMG_1\.HEIC, not from in/IMG_1"):
            ledger.claim("IMG_1.png", wish)
        assert ledger.claim("IMG_1.png", wish, overwrite=True) is None
