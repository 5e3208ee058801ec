from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from enlarge.cli import run as command
from enlarge.data.store import HEAD, INDEX, StoredPairs
from enlarge.errors import BudgetError, DataError
from enlarge.media.temporary import take_lock
from enlarge.training import material
from enlarge.training.config import load_config
from enlarge.training.material import Joined, gather


@pytest.fixture
def store(pairs: Path, tmp_path: Path) -> Path:
    """The five pairs, prepared."""
    told = ["prepare", str(pairs), "-o", str(tmp_path / "store"), "--patch", "12", "--quiet"]
    assert command(told) == 0
    return tmp_path / "store"


def test_parts_are_joined_in_order(store: Path) -> None:
    stored = StoredPairs(store)
    joined = Joined([stored.chosen([3]), [], stored.chosen([1, 0])])
    assert [pair.name for pair in joined] == ["3", "1", "0"]
    assert joined[-1].name == "0"
    assert [pair.name for pair in joined[1:]] == ["1", "0"]
    with pytest.raises(IndexError):
        joined[3]
    assert len(Joined([])) == 0


def test_a_store_and_the_files_behind_it_are_the_same_pictures(recipe: Path, store: Path) -> None:
    config = load_config(recipe, ["data.photos=[]", f"data.pairs=[{store}]"])
    with pytest.raises(DataError, match="5 pictures are in training and in valid: pairs/train"):
        gather(config, 4)


def test_a_chain_makes_the_low_pictures_of_a_store_of_photographs(
    recipe: Path, store: Path
) -> None:
    told = [f"data.photos=[{store}]", "data.chain=cctv", "data.valid=[]"]
    found = gather(load_config(recipe, told), 4)
    assert all(pair.chain is not None for pair in found.train)
    assert found.train[0].low.shape == (20, 20, 3)
    plain = gather(load_config(recipe, [f"data.photos=[{store}]", "data.valid=[]"]), 4)
    assert all(pair.chain is None for pair in plain.train)
    assert np.array_equal(plain.train[0].high, found.train[0].high)


def test_a_chain_makes_what_pairs_lack(recipe: Path, photos: Path) -> None:
    told = ["data.photos=[]", f"data.pairs=[{photos}]", "data.chain=old", "data.valid=[]"]
    assert all(pair.chain is not None for pair in gather(load_config(recipe, told), 4).train)


def test_a_store_that_is_not_complete_is_refused_and_goes_on(
    recipe: Path, store: Path, pairs: Path
) -> None:
    lines = (store / INDEX).read_text().splitlines(keepends=True)
    (store / INDEX).write_text("".join(lines[:3]))
    with pytest.raises(DataError, match="holds 3 of 5 pairs; run `enlarge prepare` again"):
        gather(load_config(recipe, [f"data.pairs=[{store}]"]), 4)
    told = ["prepare", str(pairs), "-o", str(store), "--patch", "12", "--quiet"]
    assert command(told) == 0
    assert len(StoredPairs(store)) == 5


def test_one_process_at_a_time_writes_a_store(
    store: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (store / HEAD).open("r+b") as head:
        assert take_lock(head)
        assert command(["prepare", str(pairs), "-o", str(store), "--patch", "12"]) == 1
    assert "another process is writing" in capsys.readouterr().err


def test_every_photograph_that_cannot_be_read_is_named(recipe: Path, photos: Path) -> None:
    for name in ("0", "2"):
        whole = (photos / f"{name}.png").read_bytes()
        (photos / f"{name}.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"2 of 3 pairs cannot be used(.|\n)*\n  0: (.|\n)*\n  2: "):
        gather(load_config(recipe, []), 4)


def test_pictures_that_do_not_fit_into_memory_are_refused(
    recipe: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(material, "default_budget", lambda: 20_000)
    with pytest.raises(
        BudgetError, match=r"take \d+ kB in memory, this machine has 40 kB; .*STORE"
    ):
        gather(load_config(recipe, []), 4)
    told = ["data.photos=[]", f"data.pairs=[{store}]", "data.valid=[]"]
    assert len(gather(load_config(recipe, told), 4).train) == 5


def test_the_third_share_is_written_down(recipe: Path, pairs: Path) -> None:
    told = ["data.photos=[]", f"data.pairs=[{pairs}]", "data.valid=[]"]
    found = gather(load_config(recipe, [*told, "data.split=[0.6, 0.2, 0.2]"]), 4)
    assert {use: len(names) for use, names in found.lists.items()} == {
        "train": 3,
        "valid: split": 1,
        "test": 1,
    }
