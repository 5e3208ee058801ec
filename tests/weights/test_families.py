"""The families that spandrel knows: what enlarge returns is what spandrel returns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.checkpoints.families import FAMILIES, cases, in_spandrel, write_checkpoint
from benchmarks.checkpoints.rows import measure, open_exact
from numpy.typing import NDArray

import enlarge
from enlarge.errors import WeightsError
from enlarge.weights.measuring import natural_picture
from enlarge.weights.opening import open_network
from enlarge.weights.preparing import describe_file, prepared
from tests.networks.conftest import Architecture
from tests.networks.conftest import spandrel as spandrel

pytestmark = pytest.mark.filterwarnings("ignore")

NAMED = ("DAT", "DRCT", "HAT", "OmniSR", "RealPLKSR", "SPAN")
"""Those that are converted here; `python -m benchmarks.checkpoints families` converts all."""
Pixels = NDArray[np.uint8]


def picture(height: int, width: int) -> Pixels:
    image = natural_picture(max(height, width))[0, :, :height, :width]
    return np.ascontiguousarray((image.transpose(1, 2, 0) * 255).round().astype(np.uint8))


def through_spandrel_itself(path: Path, pixels: Pixels) -> Pixels:
    image = pixels.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    large = in_spandrel(path).f32(image)[0].transpose(1, 2, 0)
    return np.asarray((large.clip(0, 1) * 255).round().astype(np.uint8))


def apart(one: Pixels, other: Pixels) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.fixture(autouse=True)
def settled(spandrel: Architecture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip without spandrel; measure little."""
    spandrel("SPAN")
    monkeypatch.setattr("enlarge.weights.measuring.FEW", (64,))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(45, 37), (56, 40), (11, 150)])
def test_a_whole_picture_in_torch(
    family: str, size: tuple[int, int], cache: Path, tmp_path: Path
) -> None:
    path = write_checkpoint(family, tmp_path)
    wanted = through_spandrel_itself(path, picture(*size))
    assert wanted.std() > 4, "the network returns one colour, which proves nothing"
    model = enlarge.open_model(path, engine="torch")
    if model.card.fixed and max(size) > model.card.fixed:
        pytest.skip("the network takes one size only, so such a picture has tiles")
    assert apart(model.upscale(picture(*size)), wanted) <= 1


@pytest.mark.parametrize("family", NAMED)
def test_a_converted_network(family: str) -> None:
    (case,) = (case for case in cases() if case.name == family)
    row = measure(replace(case, side=64), trial=True)
    assert (row.failed, row.engine, row.home) == ("", "openvino", "spandrel")
    assert {*row.levels} == {"45×37"}
    assert max(row.levels.values()) <= 1
    assert row.ms.keys() >= {"f32", "home f32"}
    assert row.ratio["f32"] == pytest.approx(row.ms["home f32"] / row.ms["f32"], rel=0.01)


@pytest.mark.parametrize("family", NAMED)
def test_tiles_of_a_converted_network(family: str, cache: Path, tmp_path: Path) -> None:
    path, large = write_checkpoint(family, tmp_path), picture(131, 97)
    home = enlarge.open_model(path, engine="torch", precision="f32")
    here = open_exact(path)
    tile = here.card.padded(max(64, 3 * here.card.halo, 3 * home.card.halo))
    tiled = here.upscale(large, tile=tile)
    alike = enlarge.Upscaler(replace(home.weights, card=here.card), home.options)
    assert apart(tiled, alike.upscale(large, tile=tile)) <= 1
    if max(large.shape) <= max(here.card.tiles):
        assert apart(here.upscale(large), through_spandrel_itself(path, large)) <= 1


def test_tiles_of_a_network_that_halves_what_it_gets(cache: Path, tmp_path: Path) -> None:
    """MoESR takes pictures of all sizes, but not from any pixel on."""
    path, large = write_checkpoint("MoESR", tmp_path), picture(192, 96)
    wanted = through_spandrel_itself(path, large)
    for model in (open_exact(path), enlarge.open_model(path, engine="torch", precision="f32")):
        assert model.card.margin is not None
        assert model.card.margin <= 56
        assert apart(model.upscale(large, tile=161), wanted) <= 1


def test_what_spandrel_states_is_on_the_card(cache: Path, tmp_path: Path) -> None:
    for family, stated in (
        ("OmniSR", (2, 1, 16, 0)),
        ("SAFMN", (2, 8, 0, 0)),
        ("RealCUGAN ×3", (3, 1, 32, 0)),
        ("Uformer", (1, 1, 0, 128)),
    ):
        path = write_checkpoint(family, tmp_path)
        card, whole = describe_file(path)
        assert not whole
        assert card.network == f"spandrel:{family.split(' ×')[0]}"
        assert (card.scale, card.multiple, card.minimum, card.fixed) == stated
        assert card.options["purpose"] == ("Restoration" if family == "Uformer" else "SR")


def test_a_small_picture_is_not_padded_to_a_multiple_of_the_minimum(
    cache: Path, tmp_path: Path
) -> None:
    """OmniSR relates pixels across the whole picture, so padding changes all of them."""
    path = write_checkpoint("OmniSR", tmp_path)
    padded = np.pad(picture(56, 40), ((0, 8), (0, 8), (0, 0)), mode="reflect")
    other = through_spandrel_itself(path, padded)[:112, :80]
    wanted = through_spandrel_itself(path, picture(56, 40))
    assert apart(other, wanted) > 50
    model = enlarge.open_model(path, engine="torch")
    assert apart(model.upscale(picture(56, 40)), wanted) <= 1


def test_a_network_that_draws_random_numbers_draws_the_same_ones(tmp_path: Path) -> None:
    network, card = open_network(write_checkpoint("AuraSR", tmp_path))
    assert (card.scale, card.multiple, card.minimum) == (4, 8, 16)
    image = torch.full((1, 3, 16, 16), 0.5)
    before = torch.random.get_rng_state()
    with torch.inference_mode():
        assert torch.equal(network(image), network(image))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_network_that_cannot_be_converted_prints_nothing(
    cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """torch's exporter prints its whole graph then."""
    path = write_checkpoint("DITN", tmp_path)
    with pytest.raises(WeightsError, match="DITN"):
        prepared(path, quiet=True)
    assert capfd.readouterr().out == ""


def test_a_prepared_network_runs_in_torch_again(cache: Path, tmp_path: Path) -> None:
    path = write_checkpoint("SPAN", tmp_path)
    prepared = enlarge.open_model(path, engine="openvino", precision="f32")
    again = enlarge.open_model(path, engine="torch", precision="f32")
    assert again.engine(np.dtype(np.uint8)).name == "torch"
    assert again.card.halo == prepared.card.halo
    assert apart(again.upscale(picture(70, 90)), prepared.upscale(picture(70, 90))) <= 1


def test_other_channels_are_refused(spandrel: Architecture, tmp_path: Path) -> None:
    network = spandrel("SPAN").SPAN(num_in_ch=4, num_out_ch=4, feature_channels=8, upscale=2)
    torch.save(network.state_dict(), tmp_path / "four.pth")
    with pytest.raises(WeightsError, match="SPAN network of 4 channels in and 4 out; expected RGB"):
        open_network(tmp_path / "four.pth")
