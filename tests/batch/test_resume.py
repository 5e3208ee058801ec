"""Batches that are killed, disturbed and resumed; a small version of the proofs."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.batch.ledger import Ledger
from enlarge.batch.record import Row
from enlarge.cli import run
from tests.batch.conftest import Start, contents, fill
from tests.conftest import Disk

PICTURES, BROKEN = 60, 6

Said = pytest.CaptureFixture[str]


def killed(process: subprocess.Popen[str], folder: Path, count: int) -> None:
    """Kill the process as soon as the folder holds so many files."""
    while process.poll() is None:
        if folder.is_dir() and len(contents(folder)) >= count:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.001)
    process.communicate()


@pytest.mark.parametrize("output", ["out", "out.zip"])
def test_killed_and_resumed(output: str, tmp_path: Path, start: Start) -> None:
    fill(tmp_path / "in", PICTURES, broken=BROKEN)
    whole = start("in", "-o", f"whole-{output}", "--quiet", cwd=tmp_path)
    _, said = whole.communicate()
    assert whole.returncode == 3, said
    folder = tmp_path / ("out.zip.parts" if output.endswith(".zip") else "out")
    random.seed(7)
    counts = sorted(random.sample(range(1, PICTURES - BROKEN), 3))
    for count in counts:
        killed(start("in", "-o", output, cwd=tmp_path), folder, count)
    resumed = start("in", "-o", output, "--json", cwd=tmp_path)
    text, said = resumed.communicate()
    assert resumed.returncode == 3, said
    document = json.loads(text)
    assert len(document["failed"]) == BROKEN
    assert all("p0" in entry["error"] for entry in document["failed"])
    made, kept = len(document["results"]), len(document.get("kept", []))
    assert made + kept == PICTURES - BROKEN
    assert kept >= counts[-1] - 3  # what was between name and word at the kill counts as well
    if output.endswith(".zip"):
        assert (tmp_path / output).read_bytes() == (tmp_path / f"whole-{output}").read_bytes()
        with zipfile.ZipFile(tmp_path / output) as archive:
            assert len(archive.namelist()) == PICTURES - BROKEN
    else:
        expected = contents(tmp_path / "whole-out")
        assert len(expected) == PICTURES - BROKEN
        assert contents(folder) == expected


def test_two_processes_on_one_folder(tmp_path: Path, start: Start) -> None:
    fill(tmp_path / "in", 30)
    both = [start("in", "-o", "out", cwd=tmp_path) for _ in range(2)]
    lines: list[str] = []
    for process in both:
        out, said = process.communicate()
        assert process.returncode == 0, said
        lines += [line.split("  ")[0] for line in out.splitlines()]
    assert sorted(lines) == sorted(f"out/{name}" for name in contents(tmp_path / "out"))
    assert len(lines) == 30, "something was done twice"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_only_what_is_missing_or_changed(here: Path, capsys: Said) -> None:
    fill(here / "in", 5)
    assert run(["in", "-o", "out", "--quiet"]) == 0
    first = contents(here / "out")
    capsys.readouterr()
    assert run(["in", "-o", "out", "-v"]) == 0
    said = capsys.readouterr()
    assert said.out.count(", already done") == 5
    assert said.err == "enlarge: 5 of 5 were already done\n"

    (here / "out/p0001.png").unlink()
    Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save("in/p0002.png")
    fill(here / "more", 1, seed=5)
    (here / "more/deep/er/p0000.png").rename("in/new.png")
    assert run(["in", "-o", "out", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [result["output"] for result in document["results"]] == [
        "out/new.png", "out/p0001.png", "out/p0002.png",
    ]  # fmt: skip
    assert len(document["kept"]) == 3
    after = contents(here / "out")
    assert after["p0001.png"] == first["p0001.png"]
    assert after["p0002.png"] != first["p0002.png"]

    for other in (["--scale", "2"], ["--scale", "2", "--ensemble"]):
        assert run(["in", "-o", "out", *other, "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["results"]) == 6


def test_another_strength_is_another_result(here: Path, capsys: Said) -> None:
    fill(here / "in", 2)
    made = {}
    for model, strength, count in (
        ("photo", "0", 2),
        ("photo", None, 0),  # the same
        ("photo", "0.5", 2),
        ("photo-sharp", "0.5", 0),  # the same mixture
        ("photo", "0.25", 2),
        ("photo", "1", 2),
        ("photo-sharp", None, 0),
    ):
        option = [] if strength is None else ["--strength", strength]
        assert run(["in", "-o", "out", "--model", model, *option, "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["results"]) == count, (model, strength)
        made[model, strength] = contents(here / "out")["p0001.png"]
        settings = {row.settings for row in _rows(here / "out")}
        mixed = strength if strength in ("0.5", "0.25") else None
        assert {json.loads(text).get("strength") for text in settings} == {
            None if mixed is None else float(mixed)
        }
    assert len(set(made.values())) == 4


def _rows(folder: Path) -> list[Row]:
    with Ledger(folder) as ledger:
        return list(ledger.rows().values())


def test_what_somebody_altered_is_noticed(here: Path, capsys: Said) -> None:
    fill(here / "in", 3)
    assert run(["in", "-o", "out", "--quiet"]) == 0
    first = contents(here / "out")
    (here / "out/p0001.png").write_bytes(b"my own touch")
    assert run(["in", "-o", "out"]) == 1
    line = "enlarge: out/p0001.png was changed since enlarge made it; use --overwrite"
    assert capsys.readouterr().err.startswith(line)
    assert (here / "out/p0001.png").read_bytes() == b"my own touch"
    assert run(["in", "-o", "out", "--overwrite", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 1
    assert contents(here / "out") == first


def test_an_input_that_changes_or_vanishes_meanwhile(
    here: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(here / "in", 3)
    real_claim = Ledger.claim

    def claim(self: Ledger, output: str, wish: object, **options: bool) -> object:
        found = real_claim(self, output, wish, **options)  # type: ignore[arg-type]
        if output == "p0001.png":
            Path("in/p0001.png").write_bytes(Path("in/p0002.png").read_bytes())
        if output == "p0002.png":
            Path("in/p0002.png").unlink()
        return found

    monkeypatch.setattr(Ledger, "claim", claim)
    monkeypatch.setattr("enlarge.batch.lanes.LANES", 1)
    assert run(["in", "-o", "out", "--quiet"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == ("enlarge: in/p0001.png: changed while it was being read; enlarge it again")
    assert lines[1].startswith("enlarge: in/p0002.png: cannot be read: No such file")
    assert sorted(contents(here / "out")) == ["deep/er/p0000.png"]


def test_a_submission(here: Path, capsys: Said) -> None:
    """The layout of the Dacon competition: a csv of paths, a zip of PNGs at its root."""
    fill(here / "data/test/lr", 4)
    names = sorted(path.name for path in (here / "data/test/lr").rglob("*.png"))
    for path in (here / "data/test/lr/deep/er").iterdir():
        path.rename(here / "data/test/lr" / path.name)
    rows = "".join(f"./test/lr/{name}\n" for name in names)
    (here / "data/test.csv").write_text("LR\n" + rows)
    assert run(["data/test.csv", "-o", "submission.zip", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["archive"] == {"output": "submission.zip", "pictures": 4}
    assert document["results"][0]["output"] == f"submission.zip/{names[0]}"
    assert sorted(path.name for path in here.iterdir()) == ["data", "submission.zip"]
    with zipfile.ZipFile("submission.zip") as archive:
        assert archive.namelist() == names
        with archive.open(names[0]) as file:
            assert Image.open(file).size == (64, 48)
    assert run(["data/test.csv", "-o", "submission.zip"]) == 1
    assert "submission.zip exists; use --overwrite to replace it" in capsys.readouterr().err
    # The zip itself can be enlarged again, into a zip.
    assert run(["submission.zip", "-o", "again.zip", "--quiet"]) == 0
    with zipfile.ZipFile("again.zip") as archive:
        assert archive.namelist() == names
        with archive.open(names[3]) as file:
            assert Image.open(file).size == (256, 192)
    assert run(["submission.zip"]) == 2
    assert (
        "for the pictures in an archive, name an output folder or a zip" in capsys.readouterr().err
    )


def test_a_scan_leaves_out_what_enlarge_made(here: Path, capsys: Said) -> None:
    fill(here / "in", 2)
    assert run(["in", "-o", "out", "--format", "jpg", "--quiet"]) == 0
    fill(here / "out", 3, seed=9)
    (here / "out/p0001.png").rename(here / "out/other.png")
    assert run(["out", "-o", "again"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith(
        "enlarge: skipped 2 pictures made by enlarge: out/p0001.jpg, "
        "out/deep/er/p0000.jpg; to enlarge"
    )
    assert sorted(contents(here / "again")) == ["deep/er/p0000.png", "other.png", "p0002.png"]
    assert run(["again", "-o", "third"]) == 1
    assert "no pictures in this folder except 3 made by enlarge" in capsys.readouterr().err
    assert run(["again/*.png", "-o", "third", "--quiet"]) == 0
    assert sorted(contents(here / "third")) == ["other.png", "p0002.png"]


def test_dry_run_and_report(here: Path, capsys: Said) -> None:
    fill(here / "in", 25, broken=5)
    assert run(["in", "-o", "out", "--dry-run", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert not (here / "out").exists()
    # Files that are cut off are known at once, like those without a readable header.
    assert (document["pictures"], document["unreadable"]) == (20, 5)
    assert document["megapixels_out"] == pytest.approx(16 * document["megapixels_in"])
    assert document["seconds"] > 0
    assert document["disk_bytes"] > 0
    assert run(["in", "-o", "out", "--report", "r.html", "--quiet"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "enlarge: 5 of 25 inputs failed"
    assert sum(line.startswith("  in/") for line in lines) == 5  # the table
    page = (here / "r.html").read_text()
    assert "20 enlarged" in page
    assert "in/deep/er/p0000-empty.png" in page
    assert run(["in", "-o", "out", "--report", "r.json", "--quiet"]) == 3
    report = json.loads((here / "r.json").read_text())
    assert (len(report["kept"]), len(report["failed"])) == (20, 5)
    assert run(["in", "-o", "out", "--dry-run"]) == 3
    assert "0 pictures to enlarge, 20 already done, 5 unreadable" in capsys.readouterr().out


@pytest.fixture
def small_disk(disk: Disk) -> Path:
    """A disk of 300 kB."""
    return disk("300k")


def test_a_disk_that_fills_up(
    here: Path, small_disk: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(here / "in", 30)
    assert run(["in", "-o", "whole", "--quiet"]) == 0
    enough = shutil._ntuple_diskusage(10**12, 0, 10**12)
    with monkeypatch.context() as patch:  # what was enough at the beginning is used up by others
        patch.setattr(shutil, "disk_usage", lambda path: enough)
        assert run(["in", "-o", "disk", "--quiet"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert any("No space left on device" in line or "disk is full" in line for line in lines)
    assert not [path for path in small_disk.rglob("*") if path.suffix == ".part"]
    expected = contents(here / "whole")
    half = contents(small_disk)
    assert 0 < len(half) < 30
    assert all(expected[name] == data for name, data in half.items())
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert run(["in", "-o", "disk", "--quiet"]) == 0
    assert contents(small_disk) == expected
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    capsys.readouterr()
    assert run(["in", "-o", "disk/deeper"]) == 1
    assert "cannot be written to" in capsys.readouterr().err


def test_another_picture_of_the_same_name_is_refused(here: Path, capsys: Said) -> None:
    """Two cameras number their pictures alike. Moved or renamed, a picture stays the same."""
    for card, seed in (("a", 1), ("b", 2)):
        fill(here / card, 1, seed=seed)
    assert run(["a", "-o", "out", "--quiet"]) == 0
    before = contents(here / "out")
    assert run(["b", "-o", "out"]) == 1
    said = capsys.readouterr().err
    assert "out/deep/er/p0000.png was made from a/deep/er/p0000.png, not from b/deep/er" in said
    assert contents(here / "out") == before
    (here / "a").rename("moved")
    assert run(["moved", "-o", "out", "--scale", "2", "--quiet"]) == 0
    assert run(["b", "-o", "out", "--overwrite", "--quiet"]) == 0
    assert contents(here / "out") != before


def test_a_zip_is_not_replaced_by_one_that_holds_less(here: Path, capsys: Said) -> None:
    """The one that was broken is mended, and given alone."""
    fill(here / "in", 3)
    (here / "in/b.png").write_bytes(b"broken")
    assert run(["in", "-o", "out.zip", "--quiet"]) == 3
    before = (here / "out.zip").read_bytes()
    Image.new("RGB", (9, 7)).save(here / "in/b.png")
    capsys.readouterr()
    assert run(["in/b.png", "-o", "out.zip", "--quiet"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (here / "out.zip").read_bytes() == before
    assert run(["in", "-o", "out.zip", "--quiet"]) == 0
    with zipfile.ZipFile(here / "out.zip") as archive:
        assert "b.png" in archive.namelist()


def test_results_beside_their_inputs_under_other_endings(here: Path, capsys: Said) -> None:
    """`-o` names the folder of the inputs: what was made there is no input the next time, and what
    was there before is never replaced.
    """
    fill(here / "in", 3)
    for path in sorted((here / "in").rglob("*.png")):
        with Image.open(path) as image:
            image.convert("RGB").save(path.with_suffix(".jpg"))
        path.unlink()
    assert run(["in", "-o", "in", "--quiet"]) == 0
    made = contents(here / "in")
    assert run(["in", "-o", "in", "--quiet"]) == 0
    assert contents(here / "in") == made
