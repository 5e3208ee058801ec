"""A small version of the proof: mutated pictures through the reader, and files that once gave a
fault.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from enlarge.media.formats import READABLE
from enlarge.media.reading import open_picture
from tests.media.fuzzing import Fuzzed, broken, fuzz, read_all
from tests.media.mutating import mutations, pieces_of, with_checksums
from tests.media.seeds import seeds


def test_mutated_files_give_one_error_or_a_whole_picture() -> None:
    result = fuzz(400, seed=1)
    assert result.faults == []
    assert result.count == 400
    assert set(result.said) <= {"whole", "InputError", "OutputError", "BudgetError"}
    assert result.said["InputError"] > 100, "hardly anything was damaged"
    assert result.said["whole"] > 50, "hardly anything went beyond the header"
    assert result.salvaged > 20, "hardly anything was salvaged"


def test_files_that_once_gave_a_fault(tmp_path: Path) -> None:
    # Each into every format that the proof writes, with and without positions.
    files = [file for file in broken() for _ in range(8)]
    assert files
    result = read_all(files, keep=tmp_path)
    assert result.faults == []
    assert result.count == len(files)
    assert all(len(data) < 20_000 for _, data in files)


def test_what_is_mutated_was_whole() -> None:
    pytest.importorskip("pillow_heif")
    every = seeds()
    assert {name.split()[0] for name in every} == set(READABLE)
    for data in every.values():
        with open_picture(data) as picture:
            assert len(picture.rows().read(100)) in (47, 61)
            assert not any("damaged" in note or "lacks" in note for note in picture.notes)
    assert with_checksums(every["png rgba"]) == every["png rgba"]
    assert list(mutations(60)) == list(mutations(60))
    assert sum(data == every[name] for name, data in mutations(300)) < 30


@pytest.mark.parametrize("name", ["png texts", "jpeg rgb", "webp moving", "tiff plain"])
def test_pieces_are_those_of_the_format(name: str) -> None:
    data = seeds()[name]
    pieces = pieces_of(data)
    assert len(pieces) >= 3
    assert all(0 <= start < end <= len(data) for start, end in pieces)
    if not name.startswith("tiff"):
        assert pieces[-1][1] == len(data)


def test_faults_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that crashes, hangs or leaves something is told from one that does not."""
    from tests.media import fuzzing

    monkeypatch.setattr(fuzzing, "PATIENCE", 1.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    worker = fuzzing.WORKER.replace(
        "    begun =",
        "    import os\n"
        "    if number == 1: os.abort()\n"
        "    if number == 3: time.sleep(100)\n"
        "    if number == 5: source.with_name('left.part').write_bytes(b'')\n"
        "    begun =",
    ).replace(
        "            copy(source, target, number, **options)\n",
        "            copy(source, target, number, **options)\n"
        "            if number == 6: raise ValueError('unforeseen')\n"
        "            if number == 8: target.unlink()\n"
        "            if number == 9: bytearray(2 << 30)\n"
        "            if number == 10: raise EnlargeError('two\\n'\n'lines')\n",
    )
    monkeypatch.setattr(fuzzing, "WORKER", worker)
    sound = seeds()["png rgb"]
    result: Fuzzed = read_all([("sound", sound)] * 12, each=4, keep=tmp_path / "kept")
    assert result.count == 12
    found = [fault.partition(": ")[2] for fault in result.faults]
    crash, hang, extra, bug, gone, memory, lines = found
    assert crash.startswith("crash (-6); its last words: 'Fatal Python error: Aborted")
    assert crash.endswith(f"; kept as {tmp_path}/kept/fuzz-00001-sound")
    assert hang == f"no answer within 1 s; kept as {tmp_path}/kept/fuzz-00003-sound"
    assert "left.part" in extra
    assert "BUG ValueError: unforeseen" in bug
    assert gone.startswith("BUG output False")
    assert "BUG MemoryError" in memory
    assert "BUG of several lines" in lines
