from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import enlarge
from enlarge.data.photos import Patches, bicubic_pair, dihedral, list_photos, load_pairs
from enlarge.errors import DataError, OptionError
from enlarge.networks import build
from enlarge.training.config import load_config
from enlarge.training.fit import fit, rate, split_parameters
from enlarge.training.muon import Muon, orthogonalise
from enlarge.training.result import write_model
from enlarge.weights.export import load_network

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(3):
        pixels = random.integers(0, 256, (70 + i, 90, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_recipe_trains_and_its_model_opens(
    recipe: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = [f"data.photos={photos}", "train.steps=2", "train.batch=1", "train.patch=16"]
    overrides += ["name=tried", "data.valid=[]", "model.start="]
    config = load_config(recipe, overrides)
    run = fit(config)
    model = write_model(config, run)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [0, 2]
    upscaler = enlarge.open_model(model, precision="f32")
    assert upscaler.card.scale == 4
    network, card = load_network(run / "model.safetensors")
    assert card == upscaler.card
    image = np.random.default_rng(1).random((33, 47, 3)).astype(np.float32)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(image.transpose(2, 0, 1)[None]))[0].clamp(0, 1)
    got = upscaler.upscale(image)
    assert np.abs(got.transpose(2, 0, 1) - wanted.numpy()).max() < 1e-4


def test_training_learns() -> None:
    """The loss falls on one repeated batch, with both optimisers of the loop."""
    torch.manual_seed(0)
    network = build("replain", scale=2, channels=8, blocks=1, taps=2)
    hidden, rest = split_parameters(network)
    optimizers = [Muon(hidden, lr=0.02), torch.optim.AdamW(rest, lr=1e-2)]
    low, high = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.l1_loss(network(low), high)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.85 * losses[0]


def test_muon_takes_the_hidden_kernels_and_nothing_else() -> None:
    network = build("replain", channels=8, blocks=2, taps=3)
    hidden, rest = split_parameters(network)
    assert len(hidden) == 6
    assert all(p.shape == (8, 8, 3, 3) for p in hidden)
    assert sum(p.numel() for p in hidden + rest) == sum(p.numel() for p in network.parameters())


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((3, 32, 288), (2, 40, 9)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert values.min() > 0.6
        assert values.max() < 1.25


def test_muon_agrees_with_torchs_own() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(4, 6)) for _ in range(2))
    a = Muon([ours], lr=0.02, weight_decay=0.1)
    b = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95)
    for _ in range(3):
        gradient = torch.randn(4, 6)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        a.step()
        b.step()
    assert (ours - theirs).abs().max() < 2e-3  # theirs orthogonalises in bfloat16


def test_the_rate_warms_up_and_ends_at_zero() -> None:
    assert rate(0.0, 0, 10) == pytest.approx(0.1)
    assert rate(0.0, 9, 10) == 1.0
    assert rate(0.5, 99, 10) == pytest.approx(0.5)
    assert rate(1.0, 99, 10) == pytest.approx(0.0)


def test_batches_depend_on_seed_and_step_alone(photos: Path) -> None:
    pairs = load_pairs(list_photos(photos, None), 4)
    a, b = (Patches(pairs, scale=4, patch=8, seed=5, flat=0.3) for _ in range(2))
    for step in (7, 3, 7):
        for one, other in zip(a.batch(step, 4), b.batch(step, 4), strict=True):
            assert np.array_equal(one, other)
    assert not np.array_equal(a.batch(0, 4)[0], a.batch(1, 4)[0])


def test_crops_are_aligned(photos: Path) -> None:
    """An LR made by decimation shows every misalignment, in all eight orientations."""
    pair = bicubic_pair(photos / "0.png", 2)
    exact = type(pair)("x", pair.high[::2, ::2], pair.high)
    low, high = Patches([exact], scale=2, patch=6, seed=1).batch(0, 32)
    corners = {
        tuple(int(np.array_equal(lo, hi[i::2, j::2])) for i in (0, 1) for j in (0, 1))
        for lo, hi in zip(low, high, strict=True)
    }
    assert all(sum(corner) == 1 for corner in corners)
    assert len(corners) == 4


def test_the_eight_orientations_differ() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert len({dihedral(image, turn).tobytes() for turn in range(8)}) == 8


def test_a_manifest_chooses_its_parts(photos: Path) -> None:
    rows = ["file\tpart", "0.png\tfree", "1.png\tvalid", "2.png\tfree"]
    (photos / "MANIFEST.tsv").write_text("\n".join(rows))
    assert [p.name for p in list_photos(photos, None)] == ["0.png", "2.png"]
    assert [p.name for p in list_photos(photos, ["valid"])] == ["1.png"]
    with pytest.raises(DataError, match="nothing"):
        list_photos(photos, ["nothing"])


def test_training_and_validation_may_not_share_a_file(photos: Path) -> None:
    (photos / "MANIFEST.tsv").write_text("file\tpart\n0.png\tfree")
    recipe = RECIPES / "fast.yaml"
    config = load_config(recipe, [f"data.photos={photos}", "data.valid=[free]", "train.steps=1"])
    with pytest.raises(DataError, match=r"0\.png"):
        fit(config)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", "unknown key train.stepz"),
        ("trian.steps=3", "unknown key trian"),
        ("train.steps=many", "train.steps must be int"),
        ("train.lr=high", "train.lr must be a number"),
        ("train", "key=value"),
        ("train.minutes=0", "needs an end"),
        ("train.lr.x=1", "not a table"),
    ],
)
def test_a_wrong_key_is_named(override: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        load_config(RECIPES / "fast.yaml", [override])


def test_unknown_losses_optimisers_and_networks(photos: Path) -> None:
    for override in ("train.loss=l3", "train.optimizer=sgdm", "model.network=mlp"):
        config = load_config(
            RECIPES / "fast.yaml", [override, f"data.photos={photos}", "train.patch=8"]
        )
        with pytest.raises(OptionError):
            fit(config)
