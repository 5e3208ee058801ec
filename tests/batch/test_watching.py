from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from PIL import Image

from enlarge.batch.watching import QUIET, Watch
from tests.batch.conftest import Start, contents, fill


class Clock:
    """Seconds that pass when the test says so, from the last change of a file on."""

    def __init__(self, path: Path) -> None:
        self.passed = 0.0
        self._path = path

    def now(self) -> float:
        return self.passed

    def today(self) -> float:
        return self._path.stat().st_ctime + self.passed


def test_a_file_is_complete_when_it_rests(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    clock = Clock(path)
    watch = Watch(clock.now, clock.today)
    assert not watch.is_complete(path)
    path.write_bytes(b"")
    clock.passed += 100
    assert not watch.is_complete(path), "nothing in it yet"
    for grown in range(3):
        path.write_bytes(b"x" * (grown + 1))
        clock.passed = 0.0
        assert not watch.is_complete(path)
    clock.passed += QUIET / 2
    assert not watch.is_complete(path)
    clock.passed += QUIET
    assert watch.is_complete(path)
    assert not watch.is_complete(path), "once is enough"
    path.write_bytes(b"another")
    clock.passed = 0.1
    assert not watch.is_complete(path)
    clock.passed += QUIET
    assert watch.is_complete(path)


def test_what_was_there_before_needs_no_wait(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    clock = Clock(path)
    path.write_bytes(b"whole")
    clock.passed = 60.0
    assert Watch(clock.now, clock.today).is_complete(path)


def test_a_time_to_come_is_waited_out(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    clock = Clock(path)
    watch = Watch(clock.now, clock.today)
    path.write_bytes(b"whole")
    os.utime(path, (time.time() + 10**6,) * 2)  # a camera with a wrong clock
    assert not watch.is_complete(path)
    clock.passed += QUIET
    assert watch.is_complete(path)


def wait_for(folder: Path, count: int) -> None:
    limit = time.monotonic() + 120
    while len(contents(folder)) < count:
        assert time.monotonic() < limit, "the watch did not do it"
        time.sleep(0.1)


def test_a_watch_with_one_folder_for_both(tmp_path: Path, start: Start) -> None:
    inbox = tmp_path / "in"
    fill(inbox, 1)
    options = ("--suffix", "-large", "--no-provenance")
    process = start("--watch", "in", "-o", "in", *options, cwd=tmp_path)
    wait_for(inbox, 2)
    (inbox / "broken.png").write_bytes(b"no picture")
    fill(tmp_path / "new", 2, seed=3)
    (tmp_path / "new/p0001.png").rename(inbox / "later.png")
    wait_for(inbox, 5)
    time.sleep(3)  # time enough for a second look, which must find nothing
    process.send_signal(signal.SIGTERM)  # SIGINT is ignored behind an &
    out, said = process.communicate()
    assert process.returncode == 130, said
    assert sorted(contents(inbox)) == [
        "broken.png",
        "deep/er/p0000-large.png",
        "deep/er/p0000.png",
        "later-large.png",
        "later.png",
    ]
    assert len(out.splitlines()) == 2
    assert said.count("broken.png") == 1


def test_two_pictures_that_would_get_one_name(tmp_path: Path, start: Start) -> None:
    """Both are made, under their whole names."""
    inbox = tmp_path / "in"
    fill(inbox, 1)
    one = inbox / "deep/er/p0000.png"
    with Image.open(one) as image:
        image.convert("RGB").rotate(180).save(one.with_suffix(".tif"))
    process = start("--watch", "in", "-o", "out", cwd=tmp_path)
    wait_for(tmp_path / "out", 2)
    time.sleep(3)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert list(contents(tmp_path / "out")) == ["deep/er/p0000.png.png", "deep/er/p0000.tif.png"]
    assert said.count("differ only in the extension") == 1
