"""Finished bands on the disk: taken over when they are whole and of the same picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from enlarge.errors import OutputError
from enlarge.media.parts import Parts, count_parts, parts_bytes
from enlarge.media.parts_folder import parts_folder, sweep_parts
from enlarge.media.temporary import TemporaryFile

HEIGHTS = [5, 7, 7, 2]
BANDS = [
    np.random.default_rng(number).integers(0, 65536, (height, 9, 3)).astype(np.uint16)
    for number, height in enumerate(HEIGHTS)
]


def parts_of(target: Path, **facts: object) -> Parts:
    about = {"input": "abc", "crop": None, "plans": ["one"], **facts}
    return Parts(target, about, HEIGHTS, 9, 3, np.dtype(np.uint16))


def keep(target: Path, count: int) -> None:
    with parts_of(target) as parts:
        for number in range(count):
            parts.save(number, BANDS[number])


def found(target: Path, **facts: object) -> tuple[list[NDArray[np.uint16]], list[str]]:
    with parts_of(target, **facts) as parts:
        return list(parts.stored()), parts.notes


def test_what_was_kept_is_there_again(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    keep(target, 3)
    assert sorted(path.name for path in (tmp_path / "out.png.parts").iterdir()) == [
        "band-000000", "band-000001", "band-000002", "lock", "parts.json",
    ]  # fmt: skip
    assert count_parts(target) == 3
    assert parts_bytes(target) == (5 + 7 + 7) * 9 * 3 * 2 + 3 * 32
    bands, notes = found(target)
    for band, wanted in zip(bands, BANDS[:3], strict=True):
        np.testing.assert_array_equal(band, wanted)
    assert notes == ["3 of 4 bands were finished by an earlier run"]
    with parts_of(target) as parts:
        parts.save(3, BANDS[3])
        parts.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", [{"input": "abd"}, {"crop": [0, 0, 9, 9]}, {"version": "2"}])
def test_parts_of_something_else_are_removed(tmp_path: Path, other: dict[str, object]) -> None:
    target = tmp_path / "out.png"
    keep(target, 2)
    bands, notes = found(target, **other)
    assert bands == []
    assert len(notes) == 1
    assert "removed 2 finished bands in" in notes[0]
    assert "from another input" in notes[0]
    assert list(tmp_path.iterdir()) == []  # no band: nothing is left


@pytest.mark.parametrize("harm", ["flipped", "digest", "short", "long", "empty", "gone", "folder"])
def test_a_damaged_band_counts_as_missing(tmp_path: Path, harm: str) -> None:
    target = tmp_path / "out.png"
    keep(target, 3)
    path = parts_folder(target) / "band-000001"
    data = path.read_bytes()
    changed = {
        "flipped": data[:100] + bytes([data[100] ^ 1]) + data[101:],
        "digest": data[:-1] + bytes([data[-1] ^ 1]),
        "short": data[:-40],
        "long": data + b"x",
        "empty": b"",
    }
    path.unlink()
    if harm == "folder":
        path.mkdir()
    elif harm != "gone":
        path.write_bytes(changed[harm])
    bands, notes = found(target)
    assert len(bands) == 1
    np.testing.assert_array_equal(bands[0], BANDS[0])
    said = [note for note in notes if "was damaged" in note]
    assert len(said) == (harm != "gone")
    assert all("band-000001" in note for note in said)


def test_a_cut_off_description_is_no_description(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    keep(target, 2)
    path = parts_folder(target) / "parts.json"
    path.write_text(path.read_text()[:20])
    assert found(target)[0] == []


def test_one_process_at_a_time(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    with parts_of(target) as parts:
        parts.save(0, BANDS[0])
        with pytest.raises(OutputError, match=r"out\.png: another process is writing it"):
            parts_of(target)
    assert len(found(target)[0]) == 1


def test_what_is_not_ours_is_not_touched(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    folder = tmp_path / "out.png.parts"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds mine\.txt; move it, or choose another output"):
        parts_of(target)
    assert (folder / "mine.txt").read_text() == "mine"
    folder.rename(tmp_path / "elsewhere")
    folder.write_text("a file")
    with pytest.raises(OutputError, match=r"out\.png\.parts: cannot be written: "):
        parts_of(target)


def test_a_kill_between_name_and_removal(tmp_path: Path) -> None:
    """The target has its name: its parts are left over. Without it they are wanted."""
    target = tmp_path / "out.png"
    for is_named in (False, True):
        keep(target, 2)
        target.write_bytes(b"an older one")
        made = TemporaryFile(target)
        made.file.write(b"whole")
        with parts_of(target) as parts:
            if is_named:
                made.finish(parts.sealed)
            else:
                parts.sealed(made.file)
        sweep_parts(tmp_path)
        assert count_parts(target) == (0 if is_named else 2)
        assert parts_folder(target).exists() != is_named
        made.abort()


def test_a_sweep_leaves_what_somebody_holds(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    with parts_of(target) as parts:
        parts.save(0, BANDS[0])
        made = TemporaryFile(target)
        made.finish(parts.sealed)
        sweep_parts(tmp_path)
        assert parts_folder(target).exists()
        parts.remove()
    assert list(tmp_path.iterdir()) == [target]


def test_long_names_and_links(tmp_path: Path) -> None:
    target = tmp_path / ("사" * 83 + ".png")
    keep(target, 1)
    assert len(found(target)[0]) == 1
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "real" / "file.png")
    keep(link, 1)
    assert (tmp_path / "real" / "file.png.parts").is_dir()


def test_a_band_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    with parts_of(target) as parts:
        for path in parts.folder.iterdir():
            path.unlink()
        parts.folder.rmdir()
        parts.save(0, BANDS[0])
        with pytest.raises(OutputError, match="does not exist"):
            parts.save(1, BANDS[1])
