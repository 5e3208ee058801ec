"""A large picture goes on at the band where it stopped. ("Large" is anything here.)"""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.cli import run
from enlarge.errors import BudgetError, Cancelled, InputError
from enlarge.media.libvips import FileCallbacks
from enlarge.media.parts import count_parts
from enlarge.media.parts_folder import parts_folder
from enlarge.picture import outlook
from enlarge.picture.budget import (
    CODEC_FIXED,
    CODEC_ROWS,
    USABLE,
    Budget,
    TileChoice,
    choose_tiles,
)
from enlarge.picture.hooks import Progress
from enlarge.picture.passes import Pass
from enlarge.upscaler import open_model
from tests.batch.conftest import contents
from tests.conftest import Begin, Disk

Said = pytest.CaptureFixture[str]
CODE = "import enlarge.picture.outlook as o; o.RESUMABLE = 1; from enlarge.cli import main; main()"
BANDS = 11


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outlook, "RESUMABLE", 1)
    return tmp_path


def picture(path: Path, seed: int = 0) -> None:
    """A picture that 64-pixel tiles make 11 bands of."""
    path.parent.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    Image.fromarray(random.integers(0, 256, (300, 40, 3), dtype=np.uint8)).save(path)


def stopped(
    begin: Begin, cwd: Path, target: str, bands: int, with_signal: int, *arguments: str
) -> str:
    """Begin the command, and stop it as soon as so many bands lie there; what it said."""
    process = begin([sys.executable, "-c", CODE, *arguments, "--tile", "64"], cwd=cwd)
    limit = time.monotonic() + 120
    while process.poll() is None and count_parts(cwd / target) < bands:
        assert time.monotonic() < limit
        time.sleep(0.001)
    process.send_signal(with_signal)
    _, said = process.communicate()
    assert process.returncode != 0, "it was done before it was stopped"
    return said


@pytest.mark.parametrize(
    ("output", "target"),
    [("out.png", "out.png"), ("out/", "out/a.png"), ("out.zip", "out.zip.parts/a.png")],
)
def test_killed_twice(
    output: str,
    target: str,
    here: Path,
    begin: Begin,
    capsys: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture(here / "in/a.png")
    arguments = ["in/a.png" if output == "out.png" else "in", "-o", output]
    stopped(begin, here, target, 2, signal.SIGKILL, *arguments)
    first = count_parts(here / target)
    stopped(begin, here, target, max(first + 1, 5), signal.SIGKILL, *arguments)
    second = count_parts(here / target)
    assert 2 <= first < second < BANDS
    assert not (here / target).exists()
    capsys.readouterr()
    assert run([*arguments, "--tile", "64", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["notes"][0] == f"{second} of {BANDS} bands were finished by an earlier run"
    monkeypatch.setattr(outlook, "RESUMABLE", 10**9)
    assert run(["in/a.png", "-o", "whole.png", "--tile", "64", "--quiet"]) == 0
    if output == "out.zip":
        with zipfile.ZipFile("out.zip") as archive:
            made = archive.read("a.png")
    else:
        made = (here / target).read_bytes()
    assert made == Path("whole.png").read_bytes()
    assert not parts_folder(here / target).exists()
    left = {path.name for path in here.rglob("*") if ".part" in path.name or "band" in path.name}
    assert not left


def test_an_interrupt_says_what_it_leaves(here: Path, begin: Begin) -> None:
    picture(here / "a.png")
    said = stopped(begin, here, "out.png", 2, signal.SIGTERM, "a.png", "-o", "out.png")
    count = count_parts(here / "out.png")
    assert said.splitlines() == [
        f"enlarge: out.png.parts keeps {count} finished bands; rerun the command to resume",
        "enlarge: interrupted; no unfinished files are left",
    ]
    assert sorted(contents(here))[0] == "a.png"
    assert not (here / "out.png").exists()


def test_another_input_in_between(
    here: Path, begin: Begin, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(here / "a.png")
    stopped(begin, here, "out.png", 2, signal.SIGKILL, "a.png", "-o", "out.png")
    picture(here / "a.png", seed=1)
    assert run(["a.png", "-o", "out.png", "--tile", "64"]) == 0
    said = capsys.readouterr().err
    assert "they are from another input, other settings or another version" in said
    monkeypatch.setattr(outlook, "RESUMABLE", 10**9)
    assert run(["a.png", "-o", "whole.png", "--tile", "64", "--quiet"]) == 0
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()


def test_a_damaged_band_is_made_again(here: Path, begin: Begin, capsys: Said) -> None:
    picture(here / "a.png")
    assert run(["a.png", "-o", "whole.png", "--tile", "64", "--quiet"]) == 0
    stopped(begin, here, "out.png", 3, signal.SIGKILL, "a.png", "-o", "out.png")
    band = here / "out.png.parts/band-000001"
    data = bytearray(band.read_bytes())
    data[1000] ^= 1
    band.write_bytes(data)
    assert run(["a.png", "-o", "out.png", "--tile", "64"]) == 0
    said = capsys.readouterr().err
    assert "out.png.parts/band-000001 was damaged and is computed again" in said
    assert f"1 of {BANDS} bands were finished by an earlier run" in said
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()


def test_the_disk_must_hold_the_bands(
    here: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(here / "a.png")
    bands = 300 * 40 * 16 * 3
    enough = shutil._ntuple_diskusage(10**12, 0, 2 * bands + 65_536)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: enough)
    assert run(["a.png", "-o", "out.png", "--tile", "64", "--quiet"]) == 0
    short = shutil._ntuple_diskusage(10**12, 0, 2 * bands + 65_535)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: short)
    assert run(["a.png", "-o", "other.png", "--tile", "64"]) == 1
    said = capsys.readouterr().err
    assert "not enough disk space" in said
    assert "or use --no-resume, which keeps no finished bands" in said
    assert run(["a.png", "-o", "other.png", "--tile", "64", "--no-resume", "--quiet"]) == 0
    assert Path("out.png").read_bytes() == Path("other.png").read_bytes()
    assert sorted(path.name for path in here.iterdir()) == ["a.png", "other.png", "out.png"]


def test_the_disk_check_knows_what_lies_there(
    here: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(here / "a.png")
    stopped(begin, here, "out.png", 4, signal.SIGKILL, "a.png", "-o", "out.png")
    bands = 300 * 40 * 16 * 3
    enough = shutil._ntuple_diskusage(10**12, 0, 2 * bands + 65_536 - bands // 4)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: enough)
    assert run(["a.png", "-o", "out.png", "--tile", "64", "--quiet"]) == 0


def test_a_broken_input_leaves_nothing(here: Path, capsys: Said) -> None:
    picture(here / "whole.png")
    data = (here / "whole.png").read_bytes()
    (here / "a.png").write_bytes(data[: len(data) * 2 // 3])
    assert run(["a.png", "-o", "out.png", "--tile", "64"]) == 1
    assert "truncated or damaged" in capsys.readouterr().err
    assert sorted(path.name for path in here.iterdir()) == ["a.png", "whole.png"]


def test_an_input_out_of_reach_leaves_the_bands(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network drive may come back; a damaged file does not become whole."""
    picture(here / "a.png")
    model = open_model("fast")
    is_gone, real_read = Event(), FileCallbacks._read

    def read(self: FileCallbacks, size: int) -> bytes:
        if is_gone.is_set():
            self.failure = OSError(errno.EIO, "Input/output error")
            return b""
        return real_read(self, size)

    monkeypatch.setattr(FileCallbacks, "_read", read)
    monkeypatch.setattr("enlarge.picture.run._READ_AHEAD_BYTES", 0)  # as of a larger picture
    with pytest.raises(InputError, match=r"^a\.png: cannot be read: Input/output error$"):
        model.upscale_file("a.png", "out.png", tile=64, progress=lambda _: is_gone.set())
    assert 0 < count_parts(here / "out.png") < BANDS
    is_gone.clear()
    done = model.upscale_file("a.png", "out.png", tile=64)
    assert "bands were finished by an earlier run" in done.notes[0]
    assert not parts_folder(here / "out.png").exists()


def test_an_input_that_changes_meanwhile(here: Path, capsys: Said) -> None:
    picture(here / "a.png")
    model = open_model("fast")

    def change(progress: Progress) -> None:
        (here / "a.png").write_bytes(b"something else")

    with pytest.raises(InputError, match="changed while it was read"):
        model.upscale_file("a.png", "out.png", tile=64, progress=change)
    assert [path.name for path in here.iterdir()] == ["a.png"]


def test_a_cancelled_picture_goes_on(here: Path) -> None:
    picture(here / "a.png")
    model = open_model("fast")
    stop = Event()
    done: list[int] = []

    def watch(progress: Progress) -> None:
        done.append(progress.done)
        if len(done) == 4:
            stop.set()

    with pytest.raises(Cancelled):
        model.upscale_file("a.png", "out.png", tile=64, progress=watch, cancel=stop)
    assert count_parts(here / "out.png") == 4
    stop.clear()
    made = model.upscale_file("a.png", "out.png", tile=64, progress=watch, cancel=stop)
    assert done == list(range(1, BANDS + 1)), "what was finished is not computed again"
    assert made.notes == (f"4 of {BANDS} bands were finished by an earlier run",)
    assert sorted(path.name for path in here.iterdir()) == ["a.png", "out.png"]


def test_two_processes_on_one_picture(here: Path, begin: Begin, capsys: Said) -> None:
    picture(here / "a.png")
    command = [sys.executable, "-c", CODE, "a.png", "-o", "out.png", "--tile", "64"]
    process = begin(command, cwd=here)
    while process.poll() is None and count_parts(here / "out.png") < 1:
        time.sleep(0.001)
    process.send_signal(signal.SIGSTOP)
    try:
        assert run(["a.png", "-o", "out.png", "--tile", "64"]) == 1
    finally:
        process.send_signal(signal.SIGCONT)
    assert "another process is writing it" in capsys.readouterr().err
    _, said = process.communicate()
    assert process.returncode == 0, said


@pytest.mark.parametrize("form", ["dzi", "szi"])
def test_a_folder_to_deep_zoom(form: str, here: Path, capsys: Said) -> None:
    for number in range(2):
        picture(here / f"in/{number}.png", seed=number)
    command = ["in", "-o", "in", "--format", form, "--tile", "64"]
    assert run([*command, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [result["output"] for result in results] == [f"in/0.{form}", f"in/1.{form}"]
    first = contents(here / "in")
    assert run([*command, "--json"]) == 0, "the tiles are no inputs"
    assert len(json.loads(capsys.readouterr().out)["kept"]) == 2
    picture(here / "in/1.png", seed=5)
    assert run([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (len(document["results"]), len(document["kept"])) == (1, 1)
    second = contents(here / "in")
    assert second.keys() == first.keys()
    assert second[f"in/1.{form}".partition("/")[2]] != first[f"in/1.{form}".partition("/")[2]]
    assert second[f"0.{form}"] == first[f"0.{form}"]


def test_deep_zoom_is_killed_and_resumed(here: Path, begin: Begin) -> None:
    picture(here / "in/a.png")
    arguments = ["in", "-o", "out", "--format", "dzi"]
    stopped(begin, here, "out/a.dzi", 3, signal.SIGKILL, *arguments)
    assert [name for name in contents(here / "out") if not name.startswith((".", "a.dzi.p"))] == []
    assert run([*arguments, "--tile", "64", "--quiet"]) == 0
    made = contents(here / "out")
    assert {name.partition("/")[0] for name in made} == {"a.dzi", "a_files"}
    assert run(["in", "-o", "whole", "--format", "dzi", "--tile", "64", "--quiet"]) == 0
    assert made == contents(here / "whole")


def test_deep_zoom_refusals(here: Path, capsys: Said) -> None:
    picture(here / "a.png")
    assert run(["a.png", "-o", "-", "--format", "szi"]) == 2
    assert "szi cannot be written to standard output; use -o FILE.szi" in capsys.readouterr().err
    assert run(["a.png", "-o", "a.dzi", "--pyramid"]) == 2
    assert run(["a.png", "-o", "a.zip", "--format", "dzi"]) == 2
    assert "use szi, which is one file" in capsys.readouterr().err
    (here / "a_files").mkdir()
    (here / "a_files/mine.txt").write_text("mine")
    assert run(["a.png", "-o", "a.dzi", "--overwrite"]) == 1
    assert "a_files: is needed for the tiles of a.dzi" in capsys.readouterr().err


@pytest.fixture
def small_disk(disk: Disk) -> Path:
    """A disk that holds half of the bands."""
    return disk("330k")


def test_a_disk_that_fills_up(
    here: Path, small_disk: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept until then is there when there is room again."""
    picture(here / "a.png")
    with monkeypatch.context() as patch:  # what was enough at the beginning is used up by others
        enough = shutil._ntuple_diskusage(10**12, 0, 10**12)
        patch.setattr(shutil, "disk_usage", lambda path: enough)
        assert run(["a.png", "-o", "disk/out.png", "--tile", "64"]) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert [path.name for path in small_disk.iterdir()] == ["out.png.parts"]
    kept = count_parts(small_disk / "out.png")
    assert 0 < kept < BANDS
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert run(["a.png", "-o", "disk/out.png", "--tile", "64", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["notes"][0].startswith(f"{kept} of {BANDS} bands")
    assert [path.name for path in small_disk.iterdir()] == ["out.png"]
    assert run(["a.png", "-o", "whole.png", "--tile", "64", "--quiet", "--no-resume"]) == 0
    assert (small_disk / "out.png").read_bytes() == (here / "whole.png").read_bytes()


def test_a_budget_that_is_just_enough_does_not_change_the_tiles(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process holds a little more the second time, which would give smaller tiles."""
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (700, 300, 3), dtype=np.uint8)).save("a.png")
    model = open_model("fast")
    card = model.card_for(model.engine(np.dtype(np.uint8)))
    held = 300_000_000
    monkeypatch.setattr("enlarge.picture.budget.resident", lambda: held)
    step = Pass(300, 700, 1200, 2800, 3, 1)
    (plan,) = choose_tiles(TileChoice((step,), card), Budget(10**10))
    needed = step.bytes(card, plan.tile_width, plan.tile_height, plan.band)
    fixed = held + CODEC_FIXED + CODEC_ROWS * 1200 * 3
    budget = int((fixed + needed) / USABLE) + 10
    stop = Event()

    def watch(progress: Progress) -> None:
        if progress.done >= len(plan.columns):
            stop.set()

    options: dict[str, Any] = {"memory": budget, "progress": watch, "cancel": stop}
    with pytest.raises(Cancelled):
        model.upscale_file("a.png", "out.png", **options)
    assert count_parts(here / "out.png") == 1
    held += 1_000_000
    other = model.upscale_file("a.png", "fresh.png", memory=budget)
    assert other.tile != (plan.tile_width, plan.tile_height)
    done = model.upscale_file("a.png", "out.png", memory=budget)
    assert done.tile == (plan.tile_width, plan.tile_height)
    assert done.notes[0].startswith("1 of ")
    held += 100_000_000
    with pytest.raises(BudgetError):
        model.upscale_file("a.png", "never.png", memory=budget - 150_000_000)
