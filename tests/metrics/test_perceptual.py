"""LPIPS and DISTS against torchmetrics', on random backbones; closed forms; files and refusals.

torchvision is not installed, so its two layouts are written down here, and torchmetrics is given
them. Against the authors' own packages (lpips 0.1.4, dists-pytorch 0.1) the values were compared
once by hand, on three pairs of noise and two photographs: 7e-8 apart at most.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics
from numpy.typing import NDArray
from torch import nn
from torchmetrics.functional.image import dists as their_dists
from torchmetrics.functional.image import lpips as their_lpips

from enlarge.errors import DataError, EngineError, WeightsError
from enlarge.metrics import open_perceptual
from enlarge.metrics.perceptual import Perceptual
from enlarge.networks.backbones import VGG16, AlexNet

THEIRS = Path(torchmetrics.__file__).parent / "functional" / "image"
OURS = Path(__file__).parents[2] / "src/enlarge/metrics/data/perceptual.npz"
Pair = tuple[NDArray[Any], NDArray[Any]]


def torchvisions_alexnet() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2), nn.ReLU()),
        *(nn.MaxPool2d(kernel_size=3, stride=2), nn.Conv2d(64, 192, kernel_size=5, padding=2)),
        *(nn.ReLU(), nn.MaxPool2d(kernel_size=3, stride=2)),
        *(nn.Conv2d(192, 384, kernel_size=3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, kernel_size=3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, kernel_size=3, padding=1), nn.ReLU()),
        nn.MaxPool2d(kernel_size=3, stride=2),
    )


def torchvisions_vgg16() -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 3
    for count, channels in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            layers += [nn.Conv2d(before, channels, kernel_size=3, padding=1), nn.ReLU()]
            before = channels
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


class Random:
    """Both networks with random weights that keep features alive, and a folder with their files."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        self.folder = folder
        self.networks = {"alexnet": torchvisions_alexnet(), "vgg16": torchvisions_vgg16()}
        for name, network in self.networks.items():
            for layer in network:
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                    nn.init.normal_(layer.bias, 0.0, 0.1)  # type: ignore[arg-type]
            state = {f"features.{key}": value for key, value in network.state_dict().items()}
            torch.save(state, folder / f"{name}-random.pth")


@pytest.fixture(scope="module")
def random(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Random]:
    found = Random(tmp_path_factory.mktemp("backbones"))
    yield found
    for path in found.folder.iterdir():
        path.unlink()  # 69 MB


@pytest.fixture(scope="module")
def judge(random: Random) -> Perceptual:
    return open_perceptual(random.folder)


def pair(height: int, width: int, noise: float = 40.0) -> Pair:
    """A smooth picture, and the same with noise."""
    generator = np.random.default_rng(height)
    y, x = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(x / (3 + c) + y / (7 - c)) for c in range(3)]
    first = np.stack(waves, axis=2)
    second = first + generator.normal(0, noise, first.shape)
    return first.astype(np.uint8), np.clip(second, 0, 255).astype(np.uint8)


def tensor(picture: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]


@pytest.mark.parametrize(("height", "width"), [(31, 47), (64, 64), (97, 130)])
@pytest.mark.parametrize(("ours", "net"), [("lpips", "alex"), ("lpips_vgg", "vgg")])
def test_lpips_is_torchmetrics(
    ours: str,
    net: Any,
    height: int,
    width: int,
    random: Random,
    judge: Perceptual,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Theirs adds 1e-8 inside the root of the norm, the authors' 1e-10 behind it: no difference
    where there are features at all."""
    monkeypatch.setattr(
        their_lpips,
        "_get_tv_model_features",
        lambda name, pretrained: copy.deepcopy(random.networks[name]),
    )
    theirs = their_lpips._LPIPS(net=net)
    first, second = pair(height, width)
    wanted = theirs(tensor(first), tensor(second), normalize=True).item()
    assert wanted > 1e-3
    assert judge.measure(first, second)[ours] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("height", "width"), [(31, 47), (64, 64), (97, 130)])
def test_dists_is_torchmetrics(
    height: int,
    width: int,
    random: Random,
    judge: Perceptual,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def vgg16(weights: Any) -> Any:
        return SimpleNamespace(features=copy.deepcopy(random.networks["vgg16"]))

    monkeypatch.setattr(their_dists, "_TORCHVISION_AVAILABLE", True)
    monkeypatch.setattr(their_dists, "vgg16", vgg16, raising=False)
    monkeypatch.setattr(their_dists, "VGG16_Weights", SimpleNamespace(DEFAULT=None), raising=False)
    first, second = pair(height, width)
    wanted = their_dists.DISTSNetwork()(tensor(first), tensor(second)).item()
    assert wanted > 1e-3
    assert judge.measure(first, second)["dists"] == pytest.approx(wanted, abs=1e-6)


def test_what_is_bundled_is_what_torchmetrics_bundles() -> None:
    wanted: dict[str, NDArray[Any]] = {}
    for name, file in (("alexnet", "alex"), ("vgg16", "vgg")):
        state = torch.load(THEIRS / f"lpips_models/{file}.pth", map_location="cpu")
        for number in range(5):
            wanted[f"{name}_{number}"] = state[f"lin{number}.model.1.weight"].numpy()
    state = torch.load(THEIRS / "dists_models/weights.pt", map_location="cpu")
    wanted |= {key: state[key].numpy() for key in ("alpha", "beta")}
    with np.load(OURS) as found:
        assert set(found.files) == set(wanted)
        for key, value in wanted.items():
            np.testing.assert_array_equal(found[key], value.ravel())


def test_equal_pictures_and_order(judge: Perceptual) -> None:
    first, second = pair(48, 40)
    assert judge.names == ("lpips", "lpips_vgg", "dists")
    assert judge.measure(first, first) == {"lpips": 0.0, "lpips_vgg": 0.0, "dists": 0.0}
    assert judge.measure(first, second) == pytest.approx(judge.measure(second, first), abs=1e-7)
    little = judge.measure(first, pair(48, 40, noise=10)[1])
    much = judge.measure(first, second)
    assert all(0 < little[name] < much[name] for name in judge.names)


def test_depths_and_gray(judge: Perceptual) -> None:
    first, second = pair(48, 40)
    wanted = pytest.approx(judge.measure(first, second), abs=1e-6)
    deep = first.astype(np.uint16) * 257
    assert judge.measure(deep, second) == wanted
    assert judge.measure(first, second.astype(np.float32) / 255) == wanted
    gray = first[..., 0]
    colour = np.repeat(first[..., :1], 3, axis=2)
    assert judge.measure(gray, second) == judge.measure(colour, second)


def test_lpips_in_closed_form(tmp_path: Path) -> None:
    """Two filters of the first layer see the middle pixel's red and blue, all others nothing. On a
    red and a blue picture their features are perpendicular: the distance is both weights' sum."""
    state = {key: torch.zeros_like(value) for key, value in AlexNet().state_dict().items()}
    state["features.0.weight"][0, 0, 5, 5] = 1.0
    state["features.0.weight"][1, 2, 5, 5] = 1.0
    torch.save(state, tmp_path / "alexnet-two.pth")
    pictures = [np.zeros((40, 50, 3), np.uint8) for _ in range(2)]
    pictures[0][..., 0] = 255
    pictures[1][..., 2] = 255
    with np.load(OURS) as found:
        wanted = float(found["alexnet_0"][:2].sum())
    assert wanted > 0
    found_value = open_perceptual(tmp_path).measure(*pictures)
    assert found_value == {"lpips": pytest.approx(wanted, rel=1e-5)}


def test_dists_in_closed_form(tmp_path: Path) -> None:
    """A network that sees nothing leaves the pictures' own channels. Those of two flat pictures
    differ in their means alone."""
    state = {key: torch.zeros_like(value) for key, value in VGG16().state_dict().items()}
    torch.save(state, tmp_path / "vgg16-blind.pth")
    levels = np.array([[51, 102, 204], [153, 102, 51]], np.uint8)
    flat = [np.tile(level, (20, 30, 1)) for level in levels]
    a, b = levels / 255.0
    apart = 1 - (2 * a * b + 1e-6) / (a**2 + b**2 + 1e-6)
    with np.load(OURS) as found:
        alpha, beta = found["alpha"].astype(float), found["beta"].astype(float)
    wanted = float((alpha[:3] * apart).sum() / (alpha.sum() + beta.sum()))
    found_value = open_perceptual(tmp_path).measure(*flat)
    assert wanted > 1e-3
    assert found_value == {"lpips_vgg": 0.0, "dists": pytest.approx(wanted, rel=1e-4)}
    # Of a picture and its mirrored self the means are equal, and the covariance is not.
    ramp = np.repeat(np.arange(20, 220, 5, dtype=np.uint8)[None, :, None], 30, 0).repeat(3, 2)
    variance = float((ramp / 255.0)[..., 0].var())
    apart = 1 - (-2 * variance + 1e-6) / (2 * variance + 1e-6)
    wanted = float(beta[:3].sum() * apart / (alpha.sum() + beta.sum()))
    found_value = open_perceptual(tmp_path).measure(ramp, ramp[:, ::-1])
    assert found_value["dists"] == pytest.approx(wanted, rel=1e-4)


def test_the_sentence_names_the_weights(judge: Perceptual) -> None:
    text = str(judge)
    assert "LPIPS 0.1 by AlexNet (" in text
    assert ", not alexnet-owt-7be5be79.pth)" in text
    assert "DISTS by VGG16 (" in text


def test_sizes(judge: Perceptual) -> None:
    with pytest.raises(DataError, match="47×31×3 and 47×30×3"):
        judge.measure(np.zeros((31, 47, 3), np.uint8), np.zeros((30, 47, 3), np.uint8))
    small = np.zeros((30, 47, 3), np.uint8)
    with pytest.raises(DataError, match=r"47×30×3 is too small for LPIPS .*AlexNet.* 31 pixels"):
        judge.measure(small, small)


@pytest.mark.parametrize(
    ("names", "given", "part"),
    [
        ([], "gone", "gone: no such file or folder; expected torchvision's alexnet-owt-7be5be79"),
        (["vgg19-dcbb9e9d.pth"], "", "holds neither AlexNet's nor VGG16's weights; expected"),
        (["vgg16_bn-6c64b313.pth"], "", "holds neither"),
        (["resnet.pth"], "resnet.pth", "is neither AlexNet's nor VGG16's weights"),
        (["vgg16-a.pth", "vgg16-b.pth"], "", r"several files of VGG16: vgg16-a.pth, vgg16-b.pth"),
        (["vgg16-397923af.pth", "vgg16-b.pth"], "", r"397923af.pth is damaged or incomplete"),
    ],
)
def test_refusals(names: Sequence[str], given: str, part: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(WeightsError, match=part):
        open_perceptual(tmp_path / given)


def test_without_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "enlarge.metrics.perceptual")
    with pytest.raises(EngineError, match=r'need torch; install it: pip install "enlarge\[metrics'):
        open_perceptual(tmp_path)
