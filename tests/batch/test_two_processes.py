"""Two processes with one output name: the second is refused when it names its result."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from enlarge.errors import OutputError
from enlarge.media.temporary import TemporaryFile, sweep
from tests.conftest import Begin

# The command, which stops when its result is complete and waits until a file `go` appears.
_SLOW = """
import sys, time, pathlib
import enlarge.media.temporary as temporary
finish = temporary.TemporaryFile.finish
name = sys.argv.pop(1)

def waiting(self, *rest, **options):
    if self.target.name == name:
        pathlib.Path("ready").touch()
        while not pathlib.Path("go").exists():
            time.sleep(0.005)
    return finish(self, *rest, **options)

temporary.TemporaryFile.finish = waiting
from enlarge.cli import main
main()
"""


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def left_over(folder: Path) -> list[str]:
    """What nobody asked for."""
    return [path.name for path in folder.rglob("*") if path.name.endswith((".part", ".parts"))]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two pictures of different sizes."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (16, 12), (200, 40, 30)).save("one.png")
    Image.new("RGB", (9, 7), (10, 20, 200)).save("two.png")
    return tmp_path


@pytest.mark.parametrize(
    "output", ["large.png", "large.tif", "large.zip", "large.dzi", "large.szi"]
)
def test_the_second_is_refused(output: str, here: Path, begin: Begin) -> None:
    target = here / output
    code = [sys.executable, "-c", _SLOW, output]
    slow = begin([*code, "one.png", "-o", output], cwd=here)
    wait_for(here / "ready", slow)
    if output.endswith(".zip"):  # which no other command made from the same folder of parts
        with zipfile.ZipFile(target, "w") as archive:
            archive.write("two.png")
    else:
        quick = begin([sys.executable, "-m", "enlarge", "two.png", "-o", output], cwd=here)
        _, said = quick.communicate()
        assert quick.returncode == 0, said
    before = {path: path.read_bytes() for path in here.rglob("large_files/**/*") if path.is_file()}
    before[target] = target.read_bytes()
    (here / "go").touch()
    _, said = slow.communicate()
    assert slow.returncode == 1, said
    assert f"{output} was written by another process in the meantime and is kept" in said
    assert "use --overwrite to replace it, or -o to choose another output" in said
    assert {path: path.read_bytes() for path in before} == before
    if output.endswith(".zip"):  # the pictures are kept for the next run
        assert [path.name for path in (here / "large.zip.parts").glob("*.png")] == ["one.png"]
    else:
        assert {path for path in here.rglob("large*/**/*") if path.is_file()} == {*before} - {
            target
        }
        assert left_over(here) == []


@pytest.mark.parametrize("output", ["large.png", "large.dzi"])
def test_the_second_replaces_with_overwrite(output: str, here: Path, begin: Begin) -> None:
    code = [sys.executable, "-c", _SLOW, output]
    slow = begin([*code, "one.png", "-o", output, "--overwrite"], cwd=here)
    wait_for(here / "ready", slow)
    quick = begin([sys.executable, "-m", "enlarge", "two.png", "-o", output], cwd=here)
    assert quick.wait() == 0
    before = (here / output).read_bytes()
    (here / "go").touch()
    _, said = slow.communicate()
    assert slow.returncode == 0, said
    assert (here / output).read_bytes() != before
    assert left_over(here) == []


def test_a_folder_with_a_ledger(here: Path, begin: Begin) -> None:
    """The ledger is told too: the next run does not take the other's result for its own."""
    Path("out").mkdir()
    code = [sys.executable, "-c", _SLOW, "one.png"]
    slow = begin([*code, "one.png", "-o", "out/"], cwd=here)
    wait_for(here / "ready", slow)
    Path("out/one.png").write_bytes(b"another program's")
    (here / "go").touch()
    _, said = slow.communicate()
    assert slow.returncode == 1, said
    assert "out/one.png was written by another process in the meantime" in said
    assert Path("out/one.png").read_bytes() == b"another program's"
    again = begin([sys.executable, "-m", "enlarge", "one.png", "-o", "out/"], cwd=here)
    _, said = again.communicate()
    assert again.returncode == 1
    assert "--overwrite" in said
    assert Path("out/one.png").read_bytes() == b"another program's"
    assert left_over(here) == []


def test_two_batches_into_one_zip(here: Path, begin: Begin) -> None:
    """The second holds less than the first, which it must not replace."""
    code = [sys.executable, "-c", _SLOW, "both.zip"]
    slow = begin([*code, "one.png", "-o", "both.zip"], cwd=here)
    wait_for(here / "ready", slow)
    quick = begin([sys.executable, "-m", "enlarge", "two.png", "-o", "both.zip"], cwd=here)
    _, said = quick.communicate()
    assert quick.returncode == 0, said
    (here / "go").touch()
    _, said = slow.communicate()
    assert slow.returncode == 1, said
    with zipfile.ZipFile("both.zip") as archive:
        assert archive.namelist() == ["two.png"]
    both = ["one.png", "two.png", "-o", "both.zip"]
    last = begin([sys.executable, "-m", "enlarge", *both, "--overwrite"], cwd=here)
    _, said = last.communicate()
    assert last.returncode == 0, said
    with zipfile.ZipFile("both.zip") as archive:
        assert archive.namelist() == ["one.png", "two.png"]
    assert left_over(here) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to rename by itself")
@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_links(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    for content in (b"first", b"second"):
        file = TemporaryFile(tmp_path / "a")
        file.file.write(content)
        if content == b"first":
            file.finish(overwrite=False)
            continue
        with pytest.raises(OutputError, match="is kept"):
            file.finish(overwrite=False)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert names(tmp_path) == ["a"]


def test_one_of_many_processes_wins(tmp_path: Path, begin: Begin) -> None:
    code = """
import sys
from pathlib import Path
from enlarge.errors import OutputError
from enlarge.media.temporary import TemporaryFile
file = TemporaryFile(Path("a"))
file.file.write(sys.argv[1].encode())
sys.stdin.read()  # all begin at once
try:
    file.finish(overwrite=False)
except OutputError:
    sys.exit(1)
"""
    for _ in range(5):
        (tmp_path / "a").unlink(missing_ok=True)
        processes = [
            begin([sys.executable, "-c", code, str(n)], cwd=tmp_path, stdin=subprocess.PIPE)
            for n in range(6)
        ]
        time.sleep(0.2)
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        ended = [process.wait() for process in processes]
        winners = [number for number, status in enumerate(ended) if status == 0]
        assert [(tmp_path / "a").read_text()] == list(map(str, winners))
        assert names(tmp_path) == ["a"]


def test_killed_between_the_two_names(tmp_path: Path, begin: Begin) -> None:
    """A kill after the link leaves a temporary name, which the next run removes."""
    code = """
import os, signal
from pathlib import Path
from enlarge.media.temporary import TemporaryFile
file = TemporaryFile(Path("a"))
file.file.write(b"whole")
Path.unlink = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
file.finish(overwrite=False)
"""
    process = begin([sys.executable, "-c", code], cwd=tmp_path)
    assert process.wait() == -signal.SIGKILL
    assert len(names(tmp_path)) == 2
    assert len(sweep(tmp_path)) == 1
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert names(tmp_path) == ["a"]
