from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from enlarge.errors import OptionError, WeightsError
from enlarge.networks.backbones import VGG19
from enlarge.training.losses import PIXEL_LOSSES, Loss, beyond_range, load_features


def pictures(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a = torch.rand(2, 3, 32, 32, generator=generator)
    return a, torch.rand(2, 3, 32, 32, generator=generator)


def test_pixel_losses_are_what_they_are_called() -> None:
    a, b = pictures()
    x, y = a.double().numpy(), b.double().numpy()
    spectrum = np.fft.rfft2(x - y, norm="ortho")
    wanted = {
        "l1": np.abs(x - y).mean((1, 2, 3)),
        "l2": np.square(x - y).mean((1, 2, 3)),
        "charbonnier": np.sqrt(np.square(x - y) + 1e-6).mean((1, 2, 3)),
        "fft": np.stack([np.abs(spectrum.real), np.abs(spectrum.imag)], -1).mean((1, 2, 3, 4)),
    }
    assert set(wanted) == set(PIXEL_LOSSES)
    for name, values in wanted.items():
        assert PIXEL_LOSSES[name](a, b).numpy() == pytest.approx(values, rel=1e-4)


def test_a_loss_is_a_weighted_sum() -> None:
    a, b = pictures()
    both, parts = Loss({"l1": 1.0, "fft": 0.1}, scale=4)(a, b)
    assert float(both) == pytest.approx(float(parts["l1"] + 0.1 * parts["fft"]))
    with pytest.raises(OptionError, match="got l3"):
        Loss({"l3": 1.0}, scale=4)


def test_an_output_beyond_black_or_white_costs_nothing() -> None:
    high = torch.tensor([0.0, 1.0, 0.5]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    out = torch.tensor([-0.2, 1.3, 1.2]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    given, wanted = beyond_range(out, high)
    assert (given - wanted)[0, :, 0, 0].tolist() == pytest.approx([0.0, 0.0, 0.7])


def test_flat_patches_are_weighted() -> None:
    a, b = pictures()
    b[1] = 0.3
    one, _ = Loss({"l1": 1.0}, scale=4, flat_weight=5.0)(a, b)
    each = (a - b).abs().mean((1, 2, 3))
    assert float(one) == pytest.approx(float((each[0] + 5 * each[1]) / 2))


@pytest.mark.parametrize("border", [0, 1, 2])
def test_a_border_is_left_out(border: int) -> None:
    a, b = pictures()
    a.requires_grad_()
    loss, _ = Loss({"l1": 1.0}, scale=4, ignore_border=border)(a, b)
    loss.backward()
    assert a.grad is not None
    touched = (a.grad != 0).any(1).any(0)
    side = 32 - 8 * border
    assert int(touched.sum()) == side * side


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torchvision's, with random weights and the classifier's keys."""
    torch.manual_seed(0)
    state = VGG19().state_dict() | {"classifier.0.bias": torch.zeros(3)}
    path = tmp_path_factory.mktemp("vgg") / "vgg19-random.pth"
    torch.save(state, path)
    return path


def test_vgg19_reads_torchvisions_layout(vgg_file: Path) -> None:
    """Layer numbers, shapes and the parameter count up to conv5_4 are the published ones."""
    network = VGG19()
    keys = [key for key in network.state_dict() if key.endswith("weight")]
    numbers = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    assert keys == [f"features.{number}.weight" for number in numbers]
    assert sum(p.numel() for p in network.parameters()) == 20_024_384
    loaded = load_features(str(vgg_file))
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        found = loaded(image)
    assert found.shape == (1, 512, 2, 2)
    assert (found < 0).any()  # before the activation
    assert not any(p.requires_grad for p in loaded.parameters())
    kept = loaded.state_dict()["features.34.weight"]
    assert torch.equal(kept, torch.load(vgg_file, weights_only=True)["features.34.weight"])


def test_a_file_that_is_no_vgg19_is_refused(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"has no features\.0\.weight"):
        load_features(str(tmp_path / "x.pth"))
    (tmp_path / "y.pth").write_text("some text")
    with pytest.raises(WeightsError, match="is a text file, not a model"):
        load_features(str(tmp_path / "y.pth"))


def test_the_features_of_our_own_network_serve() -> None:
    a, b = pictures()
    loss = Loss({"perceptual": 1.0}, scale=4)
    a.requires_grad_()
    far, _ = loss(a, b)
    far.backward()
    same, _ = loss(b, b)
    assert float(same) == 0.0
    assert float(far.detach()) > 0.0
    assert a.grad is not None
    assert bool(torch.isfinite(a.grad).all())
    assert float(a.grad.abs().sum()) > 0.0
