from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from enlarge.batch.jobs import Stamp, source_digest, source_stamp
from enlarge.batch.ledger import Ledger
from enlarge.batch.locations import File
from enlarge.batch.record import LEDGER, Fingerprint, State, input_digest, output_state
from enlarge.digests import file_digest
from enlarge.errors import InputError, OutputError
from tests.conftest import Begin

WISH = Fingerprint("in/a.png", "digest of a", Stamp("stamp of a"), "model", "{}")


def make(
    ledger: Ledger, name: str, data: bytes, wish: Fingerprint = WISH, *, until: str = "done"
) -> None:
    """Do the work of one output, as far as `until`."""
    assert ledger.claim(name, wish) is None
    if until == "doing":
        return
    target = ledger.folder / name
    scratch = ledger.folder.parent / "scratch"
    scratch.write_bytes(data)
    ledger.seal(name, file_digest(scratch))
    if until == "sealed":
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch.rename(target)
    if until == "done":
        ledger.finish(name, file_digest(target), {"width": 4, "height": 3})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


def files(folder: Path) -> list[str]:
    """What lies beside the ledger of a folder, itself included."""
    return [path.name for path in (folder / LEDGER).parent.iterdir()]


def state(folder: Path, name: str, wish: Fingerprint = WISH) -> State:
    with Ledger(folder) as ledger:
        return output_state(ledger.row(name), wish, folder / name)


def test_what_is_done_is_current(folder: Path) -> None:
    with Ledger(folder) as ledger:
        make(ledger, "사진/a.png", b"large")
        row = ledger.claim("사진/a.png", WISH)
        assert row is not None
        assert (row.state, row.width, row.height, row.source) == ("done", 4, 3, "in/a.png")
    assert state(folder, "사진/a.png") is State.CURRENT
    assert not list((folder / LEDGER).parent.glob("*.lock"))
    assert files(folder) == [LEDGER.name]


@pytest.mark.parametrize(
    "other",
    [
        Fingerprint("in/a.png", "another digest", Stamp("another"), "model", "{}"),
        Fingerprint("in/a.png", "digest of a", Stamp("stamp of a"), "another model", "{}"),
        Fingerprint("in/a.png", "digest of a", Stamp("stamp of a"), "model", '{"scale": 2}'),
    ],
)
def test_what_changed_is_done_again(other: Fingerprint, folder: Path) -> None:
    with Ledger(folder) as ledger:
        make(ledger, "a.png", b"large")
    assert state(folder, "a.png", other) is State.STALE
    with Ledger(folder) as ledger:
        make(ledger, "a.png", b"other", other)
    assert state(folder, "a.png", other) is State.CURRENT
    assert state(folder, "a.png") is State.STALE


def test_a_new_name_or_time_of_the_input_changes_nothing(folder: Path) -> None:
    with Ledger(folder) as ledger:
        make(ledger, "a.png", b"large")
    touched = Fingerprint("moved/a.png", WISH.input, Stamp("later"), WISH.model, WISH.settings)
    assert state(folder, "a.png", touched) is State.CURRENT


def test_what_is_there_is_told_apart(folder: Path) -> None:
    with Ledger(folder) as ledger:
        make(ledger, "a.png", b"large")
        assert output_state(None, WISH, folder / "a.png") is State.FOREIGN
        os.utime(folder / "a.png")  # another time, the same bytes
        assert output_state(ledger.row("a.png"), WISH, folder / "a.png") is State.CURRENT
        (folder / "a.png").write_bytes(b"LARGE")
        assert output_state(ledger.row("a.png"), WISH, folder / "a.png") is State.ALTERED
        (folder / "a.png").unlink()
        assert output_state(ledger.row("a.png"), WISH, folder / "a.png") is State.MISSING


def copied(folder: Path, ledger: Ledger) -> Path:
    """The folder as a kill would leave it now."""
    ledger.rows()
    crash = folder.with_name("crash")
    shutil.copytree(folder, crash)
    return crash


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("doing", State.MISSING),
        ("sealed", State.MISSING),
        ("named", State.CURRENT),
        ("done", State.CURRENT),
    ],
)
def test_a_kill_at_every_step(until: str, expected: State, folder: Path) -> None:
    with Ledger(folder) as ledger:
        make(ledger, "a.png", b"large", until=until)
        crash = copied(folder, ledger)
    assert state(crash, "a.png") is expected
    with Ledger(crash) as ledger:
        row = ledger.claim("a.png", WISH)
        if expected is State.CURRENT:
            assert row is not None
            assert row.state == "done"
        else:
            assert row is None


@pytest.mark.parametrize("until", ["doing", "sealed", "named"])
def test_a_kill_while_an_output_is_made_anew(until: str, folder: Path) -> None:
    anew = Fingerprint("in/a.png", "digest of b", Stamp("b"), "model", "{}")
    with Ledger(folder) as ledger:
        make(ledger, "a.png", b"large")
        make(ledger, "a.png", b"other", anew, until=until)
        crash = copied(folder, ledger)
    expected = State.CURRENT if until == "named" else State.STALE
    for _ in range(3):  # begun and given up again and again, it stays known as ours
        assert state(crash, "a.png", anew) is expected
        with Ledger(crash) as ledger:
            assert (ledger.claim("a.png", anew) is None) == (until != "named")


def test_two_processes(folder: Path, begin: Begin) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from enlarge.batch.ledger import Ledger; from tests.batch.test_ledger import WISH\n"
        f"ledger = Ledger(Path({str(folder)!r}))\n"
        "assert ledger.claim('a.png', WISH) is None\n"
        "print('claimed', flush=True); time.sleep(600)\n"
    )
    other = begin([sys.executable, "-c", code], stderr=None)
    assert other.stdout is not None
    assert other.stdout.readline() == "claimed\n"
    with Ledger(folder) as ledger:
        row = ledger.claim("a.png", WISH)
        assert row is not None
        assert ledger.is_busy(row)
        assert ledger.claim("b.png", WISH) is None
        other.kill()
        other.wait()
        assert not ledger.is_busy(row)
        assert ledger.claim("a.png", WISH) is None


def test_failures_are_tried_again(folder: Path) -> None:
    with Ledger(folder) as ledger:
        assert ledger.claim("a.png", WISH) is None
        ledger.fail("a.png", "cut off")
        row = ledger.row("a.png")
        assert row is not None
        assert (row.state, row.problem) == ("failed", "cut off")
        make(ledger, "a.png", b"large")
    assert state(folder, "a.png") is State.CURRENT


def test_names_that_are_no_text(folder: Path) -> None:
    name = os.fsdecode(b"a\xff.png")
    with Ledger(folder) as ledger:
        make(ledger, name, b"large")
    assert state(folder, name) is State.CURRENT


def test_a_ledger_that_knows_nothing_goes(folder: Path) -> None:
    with Ledger(folder) as ledger:
        ledger.claim("a.png", WISH)
        ledger.discard_if_empty()
        ledger.close()
    assert files(folder) == []


@pytest.mark.parametrize("data", [b"no database, but long enough to be told so " * 30])
def test_a_damaged_ledger(data: bytes, folder: Path) -> None:
    (folder / LEDGER).parent.mkdir()
    (folder / LEDGER).write_bytes(data)
    with pytest.raises(OutputError, match=r"is damaged .*remove it to start over"):
        Ledger(folder)
    assert files(folder) == [LEDGER.name]


def test_a_later_version(folder: Path) -> None:
    Ledger(folder).close()
    base = sqlite3.connect(folder / LEDGER)
    base.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(OutputError, match="later version of enlarge"):
        Ledger(folder)


def claim_many(ledger: Ledger) -> None:
    for number in range(10_000):
        ledger.claim(f"{number}.png", WISH)


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(folder) as ledger:
        pages = ledger._base.execute("PRAGMA page_count").fetchone()[0]
        ledger._base.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OutputError, match="cannot be written: database or disk is full"):
            claim_many(ledger)
        with pytest.raises(OutputError, match="full"):
            ledger.claim("x" * 9000, WISH)
        assert ledger.rows()


def test_digests_of_inputs(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    source = File(path)
    digest = source_digest(source)
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    wish = Fingerprint("a", digest, source_stamp(source), "model", "{}")
    with Ledger(folder) as ledger:
        make(ledger, "a.png", b"large", wish)
        row = ledger.row("a.png")
    assert input_digest(row, source_stamp(source), lambda: 1 / 0) == digest  # type: ignore[arg-type,return-value]
    path.write_bytes(b"abd")
    assert input_digest(row, source_stamp(source), lambda: "read") == "read"
    path.unlink()
    for read in (source_stamp, source_digest):
        with pytest.raises(InputError, match=r"a\.png: cannot be read: No such file"):
            read(source)


def test_others_are_those_who_live(tmp_path: Path) -> None:
    with Ledger(tmp_path) as one:
        assert not one.others()
        (one.path.parent / "host-1-dead.lock").touch()
        assert not one.others()
        with Ledger(tmp_path) as two:
            assert one.others()
            assert two.others()
        assert not one.others()


def test_what_somebody_changes_after_the_plan_is_not_replaced(folder: Path) -> None:
    anew = Fingerprint("in/a.png", "digest of b", Stamp("b"), "model", "{}")
    with Ledger(folder) as ledger:
        make(ledger, "a.png", b"large")
        (folder / "a.png").write_bytes(b"retouched")
        with pytest.raises(OutputError, match=r"a\.png was changed since enlarge made it"):
            ledger.claim("a.png", anew)
        assert ledger.claim("a.png", anew, overwrite=True) is None
