from __future__ import annotations

import math
import shutil
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from enlarge.cli import run
from enlarge.cli.degrade import ChainName
from enlarge.data import degradations, effects, kernels
from enlarge.errors import OptionError, OutputError
from tests.data.conftest import noise


def photo(data: Path) -> effects.Pixels:
    """A real photograph, 256×256."""
    with Image.open(data / "benchmarks/Set5/x4/HR/img_002.png") as image:
        return np.asarray(image.convert("RGB"))[:256, :256]


def smooth(side: int = 128) -> effects.Pixels:
    y, x = np.mgrid[:side, :side] / side
    waves = np.stack([np.sin(9 * x + 3 * y), np.cos(7 * y), np.sin(5 * x * y + 1)], 2)
    return effects.to_pixels(0.5 + 0.4 * waves)


@pytest.mark.parametrize("name", degradations.CHAINS)
@pytest.mark.parametrize("seed", range(3))
def test_a_chain_is_repeatable_and_keeps_sizes(name: str, seed: int) -> None:
    high = smooth()
    first, second = (
        degradations.CHAINS[name](high, 4, np.random.default_rng(seed)) for _ in range(2)
    )
    low, kept = first
    assert low.shape == (32, 32, 3)
    assert kept.shape == high.shape
    assert low.dtype == kept.dtype == np.uint8
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    if name != "bicubic":
        assert not np.array_equal(
            low, degradations.CHAINS[name](high, 4, np.random.default_rng(99))[0]
        )
    if name != "old":
        assert kept is high
    # Whatever happened, it is still that picture (`old` also loses contrast).
    plain = degradations.bicubic(kept, 4, np.random.default_rng())[0]
    assert np.corrcoef(low.ravel(), plain.ravel())[0, 1] > 0.6


def test_kernels_sum_to_one_and_have_the_sigma_that_was_asked() -> None:
    axis = np.arange(31) - 15
    for kernel, sx, sy in (
        (kernels.gaussian_kernel(31, 2.0), 2.0, 2.0),
        (kernels.gaussian_kernel(31, 3.0, 1.0), 3.0, 1.0),
        (kernels.gaussian_kernel(31, 3.0, 1.0, math.pi / 2), 1.0, 3.0),
    ):
        assert kernel.sum() == pytest.approx(1.0)
        assert math.sqrt((kernel.sum(0) * axis**2).sum()) == pytest.approx(sx, rel=0.01)
        assert math.sqrt((kernel.sum(1) * axis**2).sum()) == pytest.approx(sy, rel=0.01)
    flat = kernels.plateau_kernel(31, 3.0, beta=2.0)
    assert flat[15, 17] / flat[15, 15] > kernels.gaussian_kernel(31, 3.0)[15, 17] / kernels.gaussian_kernel(31, 3.0)[15, 15]  # fmt: skip  # noqa: E501
    for seed in range(30):
        kernel = kernels.random_kernel(np.random.default_rng(seed), (0.2, 3.0), sinc=0.3)
        assert kernel.sum() == pytest.approx(1.0)
        assert kernel.shape[0] == kernel.shape[1] in range(7, 22, 2)


def test_the_sinc_kernel_is_scipys_low_pass() -> None:
    from scipy import special

    axis = np.arange(21) - 10
    y, x = np.meshgrid(axis, axis, indexing="ij")
    radius = np.hypot(x, y)
    radius[10, 10] = 1e-9
    wanted = 1.7 * special.j1(1.7 * radius) / (2 * math.pi * radius)
    assert np.abs(kernels.sinc_kernel(21, 1.7) - wanted / wanted.sum()).max() < 1e-9


def test_blur_is_scipys_convolution() -> None:
    from scipy import ndimage

    image = effects.to_float(noise(20, 24))
    kernel = kernels.motion_kernel(6.0, 0.7)
    wanted = np.stack(
        [ndimage.convolve(image[..., c].astype(float), kernel, mode="nearest") for c in range(3)], 2
    )
    assert np.abs(effects.blur(image, kernel) - wanted).max() < 1e-5


def test_motion_is_as_long_as_was_asked() -> None:
    for length in (1.0, 4.0, 7.0):
        across = kernels.motion_kernel(length, 0.0).sum(0)
        assert abs((across > 1e-3).sum() - length) <= 2
        assert across.sum() == pytest.approx(1.0)


def test_noise_has_the_sigma_that_was_asked() -> None:
    gray = np.full((200, 200, 3), 0.5, np.float32)
    random = np.random.default_rng(0)
    assert np.std(effects.gaussian_noise(gray, 10.0, random) * 255) == pytest.approx(10.0, rel=0.02)
    same = effects.gaussian_noise(gray, 10.0, random, gray=True)
    assert np.array_equal(same[..., 0], same[..., 2])
    # Counting 127.5 photons: σ = √127.5.
    shot = effects.poisson_noise(gray, 1.0, random) * 255
    assert np.std(shot) == pytest.approx(math.sqrt(127.5), rel=0.02)
    grained = effects.grain(gray, 12.0, random)
    assert np.std(grained * 255) == pytest.approx(12.0, rel=0.1)


@pytest.mark.parametrize("code", [effects.jpeg, effects.webp])
def test_codecs_lose_more_at_lower_quality(code: object, data: Path) -> None:
    assert callable(code)
    image = effects.to_float(photo(data))
    errors = [float(np.abs(code(image, quality) - image).mean()) for quality in (95, 75, 30)]
    assert 0 < errors[0] < errors[1] < errors[2] < 0.05


def test_jpeg_is_pillows(data: Path) -> None:
    import io

    pixels = photo(data)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=50, subsampling="4:2:0")
    wanted = np.asarray(Image.open(file)).astype(float)
    ours = effects.jpeg(effects.to_float(pixels), 50) * 255
    assert np.abs(ours - wanted).mean() < 1.0


def test_block_coding_loses_within_blocks_and_more_with_larger_steps(data: Path) -> None:
    image = effects.to_float(photo(data))
    errors = [
        float(np.abs(effects.block_coding(image, step) - image).mean()) for step in (0.5, 4, 16)
    ]
    assert errors[0] < errors[1] < errors[2] < 0.1
    coded = effects.block_coding(image, 16.0)[..., 1]
    jumps = np.abs(np.diff(coded, axis=1)).mean(0)
    assert jumps[7::8].mean() > 1.1 * np.delete(jumps, np.s_[7::8]).mean()


def test_interlace_moves_odd_rows_only() -> None:
    image = effects.to_float(smooth())
    moved = effects.interlace(image, 2.0)
    assert np.array_equal(moved[::2], image[::2])
    assert np.array_equal(moved[1::2, 8:-8], image[1::2, 6:-10])


def test_old_fades_both_alike(data: Path) -> None:
    high = photo(data)
    low, faded = degradations.old(high, 4, np.random.default_rng(1))
    assert faded.std() < high.std()
    assert np.abs(low.mean((0, 1)) - faded.mean((0, 1))).max() < 6


def test_a_mixture_draws_from_its_chains_by_their_shares(data: Path) -> None:
    high = photo(data)[:64, :64]
    both = degradations.mixed_chain({"bicubic": 3.0, "compressed": 1.0})
    clean = degradations.bicubic(high, 4, np.random.default_rng(0))[0]
    lows = [both(high, 4, np.random.default_rng(seed))[0] for seed in range(200)]
    share = np.mean([np.array_equal(low, clean) for low in lows])
    assert 0.65 < share < 0.85
    with pytest.raises(OptionError, match="shares above 0"):
        degradations.mixed_chain({"bicubic": 0.0, "old": 0.0})


def test_every_chain_is_on_the_command_line() -> None:
    assert get_args(ChainName) == tuple(degradations.CHAINS)


def test_an_unknown_chain_is_named() -> None:
    names = "bicubic, compressed, mild, phone, old, cctv, real"
    with pytest.raises(OptionError, match=f"{names}, got 'blurry'"):
        degradations.chain_of("blurry")


def test_degrade_writes_pairs_that_evaluate_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from enlarge.metrics.pairs import find_set

    source = tmp_path / "photos"
    source.mkdir()
    for name, side in (("가.png", 130), ("b.png", 96)):
        Image.fromarray(smooth(side)).save(source / name)
    (source / "bad.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    command = ["degrade", str(source), "-o", str(out), "--chain", "cctv", "--seed", "3"]
    assert run(command) == 3
    assert "bad.png" in capsys.readouterr().err
    found = find_set(out)
    assert (found.factor, [pair.name for pair in found.pairs]) == (4, ["b", "가"])
    with Image.open(out / "HR/가.png") as image:
        assert image.size == (128, 128)
    before = (out / "LR/b.png").read_bytes()
    assert run(command) == 1
    assert "--overwrite" in capsys.readouterr().err
    (source / "bad.png").unlink()
    alone = tmp_path / "alone"
    args = [str(source / "b.png"), "-o", str(alone), "--chain", "cctv", "--seed", "3", "--quiet"]
    assert run(["degrade", *args]) == 0
    assert (alone / "LR/b.png").read_bytes() == before
    assert run(["degrade", str(source), "-o", str(out), "--chain", "fog"]) == 2


def test_what_was_not_begun_is_left_when_degrade_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk, or Ctrl-C: the other pictures are not made first."""
    source = tmp_path / "in"
    source.mkdir()
    for number in range(200):
        (source / f"{number:03}.png").touch()
    made = []

    def make(path: Path, *_: object) -> None:
        made.append(path)
        time.sleep(0.01)
        raise OutputError("the disk is full")

    monkeypatch.setattr("enlarge.cli.degrade._degrade_one", make)
    assert run(["degrade", str(source), "-o", str(tmp_path / "out")]) == 1
    assert "the disk is full" in capsys.readouterr().err
    assert len(made) < 50


def test_degrade_takes_what_is_free_and_turns_it_upright(tmp_path: Path) -> None:
    source, out = tmp_path / "photos", tmp_path / "photos/out"
    (source / "deep").mkdir(parents=True)
    for name in ("free.png", "valid.png"):
        Image.fromarray(smooth(96)).save(source / name)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth(96)[:64]).save(source / "deep/lying.jpg", exif=exif)
    told = ["degrade", str(source), "-o", str(out), "--quiet", "--overwrite"]
    for _ in range(2):  # what it made itself is no source
        assert run(told) == 0
        assert sorted(p.stem for p in (out / "HR").iterdir()) == ["free", "lying", "valid"]
    with Image.open(out / "HR/lying.png") as image:
        assert image.size == (64, 96)
    shutil.rmtree(out)
    (source / "MANIFEST.tsv").write_text("file\tpart\nfree.png\tfree\nvalid.png\tvalid\n")
    assert run(told) == 0
    assert [p.stem for p in (out / "HR").iterdir()] == ["free"]


def test_sharpening_adds_what_a_gaussian_takes_away() -> None:
    from scipy import ndimage

    image = effects.to_float(noise(40, 48))
    blurred = ndimage.gaussian_filter(image, (1.2, 1.2, 0), radius=(4, 4, 0), mode="nearest")
    wanted = image + 0.7 * (image - blurred)
    assert np.abs(effects.sharpened(image, 1.2, 0.7) - wanted).max() < 1e-4
