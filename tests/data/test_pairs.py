from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.cli import run
from enlarge.data.pairs import check_pairs, find_pairs, load_files, split
from enlarge.errors import DataError
from tests.data.conftest import noise


def test_a_csv_names_pairs_relative_to_itself(archive: Path) -> None:
    found = find_pairs(archive)
    assert [pair.name for pair in found.pairs] == ["0000", "0001", "0002", "0003"]
    assert not found.orphans
    assert not check_pairs(found.pairs, 4, least=32)
    first = load_files(found.pairs[:1], 4)[0]
    assert first.low.shape == (32, 32, 3)
    assert np.array_equal(first.low, first.high[::4, ::4])


@pytest.mark.parametrize("inside", [True, False])
def test_folders_are_matched_by_stem_and_orphans_named(archive: Path, inside: bool) -> None:
    folder = archive.parent / "train"
    (folder / "hr/0003.png").unlink()
    (folder / "lr/0002.png").rename(folder / "lr/x.png")
    source = folder if inside else {"lr": str(folder / "lr"), "hr": str(folder / "hr")}
    found = find_pairs(source)
    assert [pair.name for pair in found.pairs] == ["0000", "0001"]
    assert [Path(orphan.name).name for orphan in found.orphans] == ["0003.png", "x.png", "0002.png"]


def test_folders_are_in_the_order_of_names_without_extensions(tmp_path: Path) -> None:
    """Which pairs are for validation, and where a store is resumed, depends on it."""
    for kind in ("lr", "hr"):
        (tmp_path / kind).mkdir()
        for name in ("a", "a-1", "a (2)", "b"):
            (tmp_path / kind / f"{name}.png").touch()
    assert [pair.name for pair in find_pairs(tmp_path).pairs] == ["a", "a (2)", "a-1", "b"]


def test_every_offender_is_named_in_one_report(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing file, a swapped pair, a 3.9× pair, a truncated PNG; and gray, and too small."""
    folder = archive.parent / "train"
    rows = ["LR,HR"]
    for i in range(7):
        for kind, side in (("lr", 32), ("hr", 128)):
            Image.fromarray(noise(side, side, i)).save(folder / kind / f"{i:04d}.png")
        rows.append(f"train/lr/{i:04d}.png,train/hr/{i:04d}.png")
    (folder / "hr/0000.png").unlink()
    rows[2] = "train/hr/0001.png,train/lr/0001.png"
    Image.fromarray(noise(125, 125)).save(folder / "hr/0002.png")
    whole = (folder / "hr/0003.png").read_bytes()
    (folder / "hr/0003.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(noise(32, 32)[..., 0]).save(folder / "lr/0004.png")
    for kind, side in (("lr", 8), ("hr", 32)):
        Image.fromarray(noise(side, side)).save(folder / kind / "0005.png")
    archive.write_text("\n".join(rows))
    command = ["prepare", str(archive), "-o", str(tmp_path / "store"), "--patch", "16"]
    assert run(command) == 1
    text = capsys.readouterr().err
    assert "6 of 7 pairs" in text
    lines = dict(line.strip().split(": ", 1) for line in text.splitlines()[1:])
    assert "0000.png does not exist" in lines["0000"]
    assert "swapped" in lines["0001"]
    assert "3.91× its LR 32×32, expected exactly ×4, 128×128" in lines["0002"]
    assert "cannot be read" in lines["0003"]
    assert "not 8-bit RGB: it has 1 channels" in lines["0004"]
    assert "smaller than a patch of 16×16" in lines["0005"]
    assert not (tmp_path / "store").exists()


def test_a_csv_of_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="columns LR,HR, got a, b"):
        find_pairs(tmp_path / "a.csv")
    with pytest.raises(DataError, match="no such folder or csv"):
        find_pairs(tmp_path / "gone")


def test_splits_are_exact_disjoint_and_repeatable() -> None:
    """The deck's 1640 pairs at 0.6 / 0.2 / 0.2, 0.8 / 0.2 and 1.0 / 0.0."""
    parts = split(1640, (0.6, 0.2, 0.2), 7)
    assert [len(part) for part in parts] == [984, 328, 328]
    assert sorted(i for part in parts for i in part) == list(range(1640))
    assert parts == split(1640, (0.6, 0.2, 0.2), 7)
    assert parts != split(1640, (0.6, 0.2, 0.2), 8)
    assert [len(part) for part in split(1640, (0.8, 0.2), 0)] == [1312, 328]
    assert [len(part) for part in split(18, (1.0, 0.0), 0)] == [18, 0]
    with pytest.raises(DataError, match="add up to 1"):
        split(10, (0.8, 0.3), 0)


def test_an_archive_of_1640_pairs_is_planned_as_104960_patches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from enlarge.data.store import estimate

    for kind, side in (("lr", 512), ("hr", 2048)):
        Image.new("RGB", (side, side)).save(tmp_path / f"{kind}.png")
    (tmp_path / "train.csv").write_text("LR,HR\n" + "./lr.png,./hr.png\n" * 1640)
    plan = estimate(find_pairs(tmp_path / "train.csv").pairs, 4, 64)
    assert (plan.pairs, plan.patches) == (1640, 104_960)
    assert plan.bytes == 1640 * 3 * (512**2 + 2048**2)


def test_city100_is_whole(data: Path) -> None:
    csv = data / "real/city100/train.csv"
    found = find_pairs(csv)
    assert len(found.pairs) == 18
    assert not check_pairs(found.pairs, 4, least=64)


def test_a_store_repeats_its_pairs_and_goes_on(archive: Path, tmp_path: Path) -> None:
    import pickle

    from enlarge.data.store import StoredPairs, write_store

    pairs = find_pairs(archive).pairs
    store = tmp_path / "store"
    assert write_store(pairs, store, 4) == 4
    assert write_store(pairs, store, 4) == 0
    # Killed while the third pair was being written: half a line, and pixels behind the last one.
    lines = (store / "index.jsonl").read_text().splitlines(keepends=True)
    (store / "index.jsonl").write_text("".join(lines[:2]) + lines[2][:20])
    with (store / "high.bin").open("ab") as file:
        file.write(b"rest")
    assert write_store(pairs, store, 4) == 2
    stored = pickle.loads(pickle.dumps(StoredPairs(store)))
    assert stored.scale == 4
    for there, wanted in zip(stored, load_files(pairs, 4), strict=True):
        assert there.name == wanted.name
        assert np.array_equal(there.low, wanted.low)
        assert np.array_equal(there.high, wanted.high)
        assert there.low.flags.owndata is False
    shutil.copy(archive.parent / "train/lr/0000.png", archive.parent / "train/lr/0001.png")
    with pytest.raises(DataError, match="earlier versions of these"):
        write_store(pairs, store, 4)
    with pytest.raises(DataError, match="is not a store"):
        write_store(pairs, archive.parent, 4)
