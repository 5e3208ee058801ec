from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from enlarge.cli import run as command
from enlarge.data.photos import list_photos
from enlarge.data.store import HEAD, INDEX, StoredPairs
from enlarge.errors import BudgetError, DataError
from enlarge.media.temporary import take_lock
from enlarge.training import training_data
from enlarge.training.config import load_config
from enlarge.training.fit import fit
from enlarge.training.learner import VALIDATION_SIDE, center_crop
from enlarge.training.training_data import ConcatPairs, load_training_data


@pytest.fixture
def store(pairs: Path, tmp_path: Path) -> Path:
    """The five pairs, prepared."""
    told = ["prepare", str(pairs), "-o", str(tmp_path / "store"), "--patch", "12", "--quiet"]
    assert command(told) == 0
    return tmp_path / "store"


def test_parts_are_joined_in_order(store: Path) -> None:
    stored = StoredPairs(store)
    joined = ConcatPairs([stored.chosen([3]), [], stored.chosen([1, 0])])
    assert [pair.name for pair in joined] == ["3", "1", "0"]
    assert joined[-1].name == "0"
    assert [pair.name for pair in joined[1:]] == ["1", "0"]
    with pytest.raises(IndexError):
        joined[3]
    assert len(ConcatPairs([])) == 0


def test_a_store_and_the_files_behind_it_are_the_same_pictures(recipe: Path, store: Path) -> None:
    config = load_config(recipe, ["data.photos=[]", f"data.pairs=[{store}]"])
    with pytest.raises(DataError, match="5 pictures are in training and in valid: pairs/train"):
        load_training_data(config, 4)


def test_a_chain_makes_the_low_pictures_of_a_store_of_photographs(
    recipe: Path, store: Path
) -> None:
    told = [f"data.photos=[{store}]", "data.chain=cctv", "data.valid=[]"]
    found = load_training_data(load_config(recipe, told), 4)
    assert all(pair.chain is not None for pair in found.train)
    assert found.train[0].low.shape == (20, 20, 3)
    plain = load_training_data(
        load_config(recipe, ["data.photos=[]", f"data.pairs=[{store}]", *told[2:]]), 4
    )
    assert np.array_equal(plain.train[0].high, found.train[0].high)


def test_a_chain_makes_what_pairs_lack(recipe: Path, photos: Path) -> None:
    told = ["data.photos=[]", f"data.pairs=[{photos}]", "data.chain=old", "data.valid=[]"]
    assert all(
        pair.chain is not None for pair in load_training_data(load_config(recipe, told), 4).train
    )


def test_a_store_that_is_not_complete_is_refused_and_goes_on(
    recipe: Path, store: Path, pairs: Path
) -> None:
    lines = (store / INDEX).read_text().splitlines(keepends=True)
    (store / INDEX).write_text("".join(lines[:3]))
    with pytest.raises(DataError, match="holds 3 of 5 pairs; rerun `enlarge prepare`"):
        load_training_data(load_config(recipe, [f"data.pairs=[{store}]"]), 4)
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
        load_training_data(load_config(recipe, []), 4)


def test_pictures_that_do_not_fit_into_memory_are_refused(
    recipe: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_data, "default_budget", lambda: 20_000)
    with pytest.raises(
        BudgetError, match=r"take \d+ kB in memory, this machine has 40 kB; .*STORE"
    ):
        load_training_data(load_config(recipe, []), 4)
    told = ["data.photos=[]", f"data.pairs=[{store}]", "data.valid=[]"]
    assert len(load_training_data(load_config(recipe, told), 4).train) == 5


def test_the_third_share_is_written_down(recipe: Path, pairs: Path) -> None:
    told = ["data.photos=[]", f"data.pairs=[{pairs}]", "data.valid=[]"]
    found = load_training_data(load_config(recipe, [*told, "data.split=[0.6, 0.2, 0.2]"]), 4)
    assert {use: len(names) for use, names in found.lists.items()} == {
        "train": 3,
        "valid: split": 1,
        "test": 1,
    }


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (["data.pairs=[gone.csv]"], r"gone\.csv: no such csv; .*'data.pairs=\[\]'"),
        (["data.pairs=[gone]"], "gone: no such folder or csv"),
        (["data.photos=[gone]"], "no photographs in gone"),
        (["data.valid=[./gone]"], "gone: no such folder or csv"),
    ],
)
def test_what_is_not_there_is_named_before_memory_is_measured(
    told: list[str], said: str, recipe: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def measure(*_: object) -> None:
        raise AssertionError("memory was measured")

    # Tests of missing packages import the command's parts anew: this is what it will find.
    footprint = importlib.import_module("enlarge.training.footprint")
    monkeypatch.setattr(footprint, "upper_bound", measure)
    monkeypatch.setattr(footprint, "measure_footprint", measure)
    assert command(["train", str(recipe), "train.patch=128", *told]) == 1
    assert re.search(said, capsys.readouterr().err)


def test_a_part_that_no_manifest_has_is_named(recipe: Path) -> None:
    with pytest.raises(DataError, match=r"data.valid names mine.*a folder is written \./mine"):
        load_training_data(load_config(recipe, ["data.valid=[mine]"]), 4)
    assert not load_training_data(load_config(recipe, ["data.valid=[valid, detail]"]), 4).valid


def test_of_a_large_picture_the_middle_is_judged() -> None:
    high = torch.arange(2 * 5 * 2 * 700).reshape(1, 1, 10, 1400)
    low = high[..., ::2, ::2]
    a, b = center_crop(low, high, 2)
    assert a.shape == (1, 1, 5, VALIDATION_SIDE)
    assert torch.equal(b[..., ::2, ::2], a)
    assert torch.equal(a, low[..., 94:606])


def test_what_enlarge_made_is_not_trained_on(recipe: Path, photos: Path) -> None:
    Image.open(photos / "0.png").resize((360, 280)).save(photos / "0_x4.png")
    (photos / "._1.png").write_bytes(b"a resource fork")
    (photos / "big.png.parts").mkdir()
    Image.open(photos / "0.png").save(photos / "big.png.parts/0.png")
    assert [path.name for path in list_photos(photos, None)] == ["0.png", "1.png", "2.png"]
    for name in ("LR", "DIV2K_train_LR_bicubic"):
        (photos / name).mkdir()
        with pytest.raises(
            DataError, match=f"{name} contains low-resolution pictures, to judge by its name"
        ):
            load_training_data(load_config(recipe, []), 4)
        (photos / name).rmdir()


def test_a_picture_of_less_than_a_pixel_is_left_out(recipe: Path, photos: Path) -> None:
    Image.new("RGB", (3, 1)).save(photos / "dot.png")
    assert (fit(load_config(recipe, ["train.steps=2"])) / "last.ckpt").is_file()


def test_a_store_of_photographed_pairs_gives_its_originals_alone(
    recipe: Path, photos: Path, store: Path, here: Path
) -> None:
    """As one of `photos`, whose LR is the chain's; as one of `pairs` it is taken as it lies. So is
    the bicubic LR of a store of photographs.
    """
    assert command(["prepare", str(photos), "-o", "made", "--patch", "12", "--quiet"]) == 0
    told = ["data.valid=[]", "data.augment=none"]
    as_photos = load_training_data(load_config(recipe, [f"data.photos=[{store}]", *told]), 4)
    as_pairs = load_training_data(
        load_config(recipe, ["data.photos=[]", f"data.pairs=[{store}]", *told]), 4
    )
    assert all(pair.chain is not None for pair in as_photos.train)
    assert all(pair.chain is None for pair in as_pairs.train)
    made = load_training_data(load_config(recipe, ["data.photos=[made]", *told]), 4)
    assert all(pair.chain is None for pair in made.train)


def test_sources_of_one_name_are_all_judged_by(recipe: Path, pairs: Path, tmp_path: Path) -> None:
    shutil.copytree(pairs.parent, tmp_path / "other/pairs")
    Image.new("RGB", (80, 80), "red").save(tmp_path / "other/pairs/hr/0.png")
    other = tmp_path / "other/pairs/train.csv"
    found = load_training_data(load_config(recipe, [f"data.valid=['{pairs}', '{other}']"]), 4)
    assert list(found.valid) == ["pairs/train", "pairs/train-2"]
    assert found.lists["valid: pairs/train"] != found.lists["valid: pairs/train-2"]


def test_copies_for_workers_are_reckoned_with(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_data, "default_budget", lambda: 70_000)
    load_training_data(load_config(recipe, ["data.valid=[]"]), 4)
    with pytest.raises(BudgetError, match="in 3 copies, for processes and workers"):
        load_training_data(load_config(recipe, ["data.valid=[]", "data.workers=1"]), 4)
