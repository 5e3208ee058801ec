"""A small version of the proof: mutated pictures through the reader."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from enlarge.media.reading import open_picture
from tests.media.fuzzing import Fuzzed, fuzz, mutations, seeds, with_checksums


def test_mutated_files_give_one_error_or_a_whole_picture() -> None:
    result = fuzz(200, seed=1)
    assert result.faults == []
    assert result.count == 200
    assert set(result.said) <= {"whole", "InputError", "OutputError"}
    assert result.said["InputError"] > 50, "hardly anything was damaged"
    assert result.said["whole"] > 10, "hardly anything went beyond the header"


def test_what_is_mutated_was_whole() -> None:
    every = seeds()
    assert {name.split()[0] for name in every} == {"jpeg", "png", "webp", "tiff", "bmp", "gif"}
    for data in every.values():
        with open_picture(data) as picture:
            assert len(picture.rows().read(100)) in (47, 61)
    assert with_checksums(every["png rgba"]) == every["png rgba"]
    assert list(mutations(60)) == list(mutations(60))
    assert sum(data == every[name] for name, data in mutations(300)) < 30


def test_faults_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that crashes, hangs or leaves something is told from one that does not."""
    from tests.media import fuzzing

    monkeypatch.setattr(fuzzing, "PATIENCE", 1.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    broken = fuzzing.WORKER.replace(
        "    begun =",
        "    import os\n"
        "    number = int(source.name)\n"
        "    if number == 1: os.abort()\n"
        "    if number == 3: time.sleep(100)\n"
        "    if number == 5: target.write_bytes(b'')\n"
        "    if number == 6: source = None\n"
        "    begun =",
    )
    monkeypatch.setattr(fuzzing, "WORKER", broken)
    result: Fuzzed = fuzz(8, each=3, seed=4)
    assert result.count == 8
    crash, hang, extra, bug = (fault.partition(": ")[2] for fault in result.faults)
    assert crash == f"crash (-6); kept as {tmp_path}/fuzz-00001"
    assert hang == f"no answer within 1 s; kept as {tmp_path}/fuzz-00003"
    assert f"kept as {tmp_path}/fuzz-00005" in extra
    assert bug.startswith("BUG ")
