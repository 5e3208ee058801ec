"""Which pictures belong together, in every layout that is understood; and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.errors import DataError, InputError
from enlarge.media.resample import imresize
from enlarge.metrics.pairs import _label, find_set, read_pair


def picture(path: Path, width: int, height: int, channels: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = width + sum(map(ord, path.stem))
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    Image.fromarray(pixels if channels > 1 else pixels[..., 0]).save(path)
    return path


def benchmark(root: Path, factor: int = 4) -> Path:
    for name in ("a", "나"):
        picture(root / "HR" / f"{name}.png", 8 * factor, 6 * factor)
        picture(root / "LR" / f"{name}.png", 8, 6)
    return root


def test_a_benchmark_folder(tmp_path: Path) -> None:
    found = find_set(benchmark(tmp_path / "Set/x4"))
    assert (found.name, found.factor) == ("Set/x4", 4)
    assert [pair.name for pair in found.pairs] == ["a", "나"]
    low, high, _ = read_pair(found.pairs[0], found.factor)
    assert low.shape == (6, 8, 3)
    assert high.shape == (24, 32, 3)


def test_a_benchmark_of_several_scales(tmp_path: Path) -> None:
    for factor in (2, 4):
        benchmark(tmp_path / f"Set/x{factor}", factor)
    assert find_set(tmp_path / "Set", 2).factor == 2
    with pytest.raises(DataError, match=r"choose with --scale: 2, 4"):
        find_set(tmp_path / "Set")
    with pytest.raises(DataError, match=r"no pictures for --scale 3.*2, 4"):
        find_set(tmp_path / "Set", 3)


def test_div2k(tmp_path: Path) -> None:
    picture(tmp_path / "DIV2K_valid_HR/0801.png", 32, 24)
    for factor in (2, 4):
        low = tmp_path / f"DIV2K_valid_LR_bicubic/X{factor}/0801x{factor}.png"
        picture(low, 32 // factor, 24 // factor)
    for path in (tmp_path / "DIV2K_valid_HR", tmp_path):
        found = find_set(path, 4)
        assert (found.name, found.factor) == ("DIV2K_valid_HR/x4", 4)
        assert [pair.low for pair in found.pairs] == [
            tmp_path / "DIV2K_valid_LR_bicubic/X4/0801x4.png"
        ]
    picture(tmp_path / "DIV2K_train_HR/0001.png", 32, 24)
    with pytest.raises(DataError, match=r"several sets.*DIV2K_train_HR, DIV2K_valid_HR"):
        find_set(tmp_path, 4)


def test_a_csv(tmp_path: Path) -> None:
    folder = tmp_path / "city"
    picture(folder / "hr/1.png", 32, 24)
    picture(folder / "lr/1.png", 8, 6)
    (folder / "valid.csv").write_text("LR,HR\n./lr/1.png,./hr/1.png\n")
    found = find_set(folder / "valid.csv")
    assert (found.name, found.factor, len(found.pairs)) == ("city/valid", 4, 1)
    (folder / "hr.csv").write_text("HR\n./hr/1.png\n")
    assert find_set(folder / "hr.csv", 2).pairs[0].low is None
    (folder / "wrong.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match=r"columns LR,HR, got x, y"):
        find_set(folder / "wrong.csv")
    (folder / "wide.csv").write_text("x,y\n1,2,3\n")
    with pytest.raises(DataError, match=r"columns LR,HR, got x, y, None"):
        find_set(folder / "wide.csv")
    (folder / "spaced.csv").write_text("LR, HR\n./lr/1.png, ./hr/1.png\n")
    assert find_set(folder / "spaced.csv").pairs == found.pairs


def test_pictures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for side, size in (("hr", (32, 24)), ("lr", (8, 6))):
        for folder in ("a", "b"):
            picture(tmp_path / folder / side / "1.png", *size)
    rows = [f"./{folder}/lr/1.png,./{folder}/hr/1.png" for folder in "ab"]
    (tmp_path / "pairs.csv").write_text("\n".join(["LR,HR", *rows]))
    assert [pair.name for pair in find_set(tmp_path / "pairs.csv").pairs] == ["a/hr/1", "b/hr/1"]
    (tmp_path / "twice.csv").write_text("\n".join(["LR,HR", rows[0], rows[0]]))
    names = [pair.name for pair in find_set(tmp_path / "twice.csv").pairs]
    assert names == ["1.png-1", "1.png-2"]
    root = benchmark(tmp_path / "x4")
    picture(root / "HR/a.bmp", 32, 24)
    assert [pair.name for pair in find_set(root).pairs] == ["a.bmp", "a.png", "나.png"]


@pytest.mark.parametrize("row", ["./lr/1.png", "./lr/1.png,", "\0,\0"])
def test_a_row_without_an_original(row: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"LR,HR\n{row}\n")
    with pytest.raises(DataError, match=r"x\.csv: row 2 names no HR picture"):
        find_set(tmp_path / "x.csv")


def test_originals_alone(tmp_path: Path) -> None:
    picture(tmp_path / "HR/1.png", 33, 26)
    with pytest.raises(DataError, match="--scale"):
        find_set(tmp_path / "HR")
    found = find_set(tmp_path / "HR", 4)
    low, high, digest = read_pair(found.pairs[0], found.factor)
    assert high.shape == (24, 32, 3)
    np.testing.assert_array_equal(low, imresize(high, 6, 8))
    assert (
        read_pair(found.pairs[0], 2).digest == digest
    )  # the factor is a part of the key elsewhere


def test_originals_that_nothing_can_be_made_of_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "HR/large.png", 33, 26)
    picture(tmp_path / "HR/thin.png", 33, 3)
    with pytest.raises(DataError, match=r"1 originals of .* less than 4 pixels.*first .*thin\.png"):
        find_set(tmp_path / "HR", 4)
    (tmp_path / "x.csv").write_text("HR\nHR/large.png\ngone.png\n")
    with pytest.raises(DataError, match=r"gone\.png"):
        find_set(tmp_path / "x.csv", 4)
    found = find_set(tmp_path / "HR", 3)
    (tmp_path / "HR/thin.png").unlink()
    with pytest.raises(DataError, match=r"thin\.png: cannot be read"):
        read_pair(found.pairs[1], 3)


def test_what_was_saved_beside_originals_is_no_set(tmp_path: Path) -> None:
    picture(tmp_path / "photos/1.png", 32, 24)
    picture(tmp_path / "photos/x4/bicubic/1.png", 32, 24)
    assert [pair.high.name for pair in find_set(tmp_path / "photos", 4).pairs] == ["1.png"]


def test_missing_partners_are_named(tmp_path: Path) -> None:
    root = benchmark(tmp_path / "x4")
    (root / "LR/a.png").unlink()
    with pytest.raises(DataError, match=r"1 pictures .* have no partner in .*, first a\.png"):
        find_set(root)


def test_sizes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    root = benchmark(tmp_path / "x4")
    picture(root / "HR/a.png", 34, 25)
    message = r"1 of 2 pairs do not fit factor 4, first a: LR 8×6, HR 34×25; --modcrop"
    with pytest.raises(DataError, match=message):
        find_set(root)
    found = find_set(root, modcrop=True)
    assert read_pair(found.pairs[0], 4).high.shape == (24, 32, 3)
    picture(root / "HR/a.png", 64, 48)
    for cropped in (False, True):  # what does not help is not offered
        with pytest.raises(DataError, match=r"LR 8×6, HR 64×48$"):
            find_set(root, 4, modcrop=cropped)
    (tmp_path / "x.csv").write_text("LR,HR\nx4/HR/나.png,x4/LR/나.png\n")
    with pytest.raises(DataError, match=r"LR picture is 32×24, .* 8×6; LR and HR seem to be swap"):
        find_set(tmp_path / "x.csv")


def test_what_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder or csv"):
        find_set(tmp_path / "gone")
    (tmp_path / "file.png").write_bytes(b"x")
    with pytest.raises(DataError, match="expected a folder or a csv"):
        find_set(tmp_path / "file.png")
    (tmp_path / "file.png").unlink()
    with pytest.raises(DataError, match="no pictures in"):
        find_set(tmp_path, 4)
    root = benchmark(tmp_path / "x4")
    (root / "HR/a.png").write_bytes(b"text")
    with pytest.raises(DataError, match=r"a\.png"):
        find_set(root)
    whole = picture(root / "HR/a.png", 32, 24)
    found = find_set(root)
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(InputError, match=r"x4/HR/a\.png: this PNG is truncated"):
        read_pair(found.pairs[0], 4)


def test_a_name_is_never_a_path_to_elsewhere(tmp_path: Path) -> None:
    """`--save` puts results below it."""
    assert _label(Path("/data")) == "data"
    assert _label(Path("/sets/Set5/x4")) == "Set5/x4"
    assert not any(Path(_label(path)).is_absolute() for path in (Path("/"), Path("/pairs")))


def test_pictures_of_one_stem_are_matched_by_their_whole_names(tmp_path: Path) -> None:
    for suffix in (".bmp", ".png"):
        picture(tmp_path / f"HR/a{suffix}", 32, 24)
        picture(tmp_path / f"LR/a{suffix}", 8, 6)
    found = find_set(tmp_path)
    assert all(pair.low and pair.low.name == pair.high.name for pair in found.pairs)
    (tmp_path / "HR/a.bmp").rename(tmp_path / "HR/a.tif")
    with pytest.raises(DataError, match=r"a\.tif could belong to a\.bmp or a\.png of .*LR"):
        find_set(tmp_path)


def test_what_macos_puts_beside_pictures_is_none(tmp_path: Path) -> None:
    root = benchmark(tmp_path / "x4")
    (root / "HR/._a.png").write_bytes(b"a resource fork")
    assert [pair.name for pair in find_set(root).pairs] == ["a", "나"]
