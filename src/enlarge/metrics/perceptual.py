"""LPIPS and DISTS: how alike two pictures look, by the feature maps of AlexNet and VGG16.

R. Zhang, P. Isola, A. Efros, E. Shechtman, O. Wang, "The unreasonable effectiveness of deep
features as a perceptual metric", 2018, version 0.1. K. Ding, K. Ma, S. Wang, E. Simoncelli, "Image
quality assessment: unifying structure and texture similarity", 2020. 0 for equal pictures; lower is
better.

What the two learned is bundled (`data/README.md`); the networks' own weights (233 and 528 MB) are
torchvision's, read from where they lie. Needs torch: `enlarge[metrics]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.errors import DataError, WeightsError
from enlarge.metrics.fidelity import size
from enlarge.metrics.protocol import levels, to_rgb
from enlarge.networks.backbones import VGG16, Backbone
from enlarge.weights.backbones import PUBLISHED, load_backbone

_DATA = Path(__file__).parent / "data" / "perceptual.npz"
_FETCH = "https://download.pytorch.org/models/"
_TITLES = {"alexnet": "AlexNet", "vgg16": "VGG16"}


class L2Pool(nn.Module):
    """The pooling of DISTS: √(Hann-weighted mean of squares over 3×3), stride 2, zero padding."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        hann = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("kernel", hann.outer(hann)[None, None], persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C, h/2, w/2)."""
        channels = values.shape[1]
        kernel = self.kernel.expand(channels, 1, 3, 3)
        mean = F.conv2d(values.square(), kernel, stride=2, padding=1, groups=channels)
        return (mean + 1e-12).sqrt()


def lpips(first: Tensor, second: Tensor, network: Backbone, heads: Sequence[Tensor]) -> Tensor:
    """The LPIPS of pictures (B, 3, H, W) in [0, 1], (B,). `heads`: a weight for each channel of
    each of the network's maps.

    The published input is in [-1, 1] and goes through a scaling layer; both together are what the
    network does anyway, subtracting ImageNet's mean and dividing by its deviation.
    """
    total = first.new_zeros(first.shape[0])
    for x, y, head in zip(network.maps(first), network.maps(second), heads, strict=True):
        apart = (_unit(x) - _unit(y)).square()  # (B, C, h, w)
        total = total + apart.mean((2, 3)) @ head
    return total


def _unit(values: Tensor) -> Tensor:
    """Feature vectors normalised to length 1 at every position; zero vectors stay zero."""
    return values / (values.square().sum(1, keepdim=True).sqrt() + 1e-10)


def dists(first: Tensor, second: Tensor, network: Backbone, alpha: Tensor, beta: Tensor) -> Tensor:
    """The DISTS of pictures (B, 3, H, W) in [0, 1], (B,): by the means (weighted by `alpha`) and
    the covariances (`beta`) of the pictures' own channels and of those of the network's maps. The
    network pools with `L2Pool`; pictures are not resized first.
    """
    total = first.new_zeros(first.shape[0])
    begun = 0
    pairs = zip(
        chain([first], network.maps(first)), chain([second], network.maps(second)), strict=True
    )
    for x, y in pairs:
        part = slice(begun, begun + x.shape[1])
        begun = part.stop
        mean_x, mean_y = x.mean((2, 3), keepdim=True), y.mean((2, 3), keepdim=True)
        spread = (x - mean_x).square().mean((2, 3)) + (y - mean_y).square().mean((2, 3))
        both = ((x - mean_x) * (y - mean_y)).mean((2, 3))  # (B, C)
        means = (mean_x.square() + mean_y.square()).flatten(1)
        texture = _alike((mean_x * mean_y).flatten(1), means)
        total = total + (1.0 - texture) @ alpha[part] + (1.0 - _alike(both, spread)) @ beta[part]
    return total / (alpha.sum() + beta.sum())


def _alike(product: Tensor, squares: Tensor) -> Tensor:
    return (2.0 * product + 1e-6) / (squares + 1e-6)


class Measure(NamedTuple):
    """A metric: its key in tables and JSON, its description, the smallest side of a picture, and
    the function of two (1, 3, H, W).
    """

    name: str
    text: str
    least: int
    run: Callable[[Tensor, Tensor], Tensor]


class Perceptual:
    """LPIPS and DISTS, as far as there are weights for them; `str()` names them for the protocol.

    `path`: torchvision's file of AlexNet (for `lpips`) or VGG16 (`lpips_vgg`, `dists`), or a folder
    with one or both, such as ~/.cache/torch/hub/checkpoints. Raises `WeightsError` where there is
    none, or one that is damaged or holds another network.
    """

    def __init__(self, path: Path) -> None:
        self._measures: list[Measure] = []
        for name, file in _find(path).items():
            self._measures += _MEASURES[name](file)

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of the metrics."""
        return tuple(measure.name for measure in self._measures)

    def measure(self, first: NDArray[Any], second: NDArray[Any]) -> dict[str, float]:
        """Every metric for two pictures of the same size, in RGB and without cropping.

        (H, W) or (H, W, 3), uint8, uint16 or float in [0, 1]; a gray one counts as R = G = B.
        Raises `DataError` where the sizes differ or are too small.
        """
        if first.shape[:2] != second.shape[:2]:
            raise DataError(
                f"expected two pictures of the same size, got {size(first)} and {size(second)}"
            )
        for measure in self._measures:
            if min(first.shape[:2]) < measure.least:
                raise DataError(
                    f"a picture of {size(first)} is too small for {measure.text}; "
                    f"each side needs {measure.least} pixels"
                )
        x, y = _tensor(first), _tensor(second)
        with torch.inference_mode():
            return {measure.name: float(measure.run(x, y)) for measure in self._measures}

    def __str__(self) -> str:
        texts = ", ".join(measure.text for measure in self._measures)
        return f"{texts}: on whole RGB pictures, lower is better"


def _alexnet(file: Path) -> list[Measure]:
    network, digest = load_backbone(file, "alexnet")
    heads = _heads("alexnet")
    text = f"LPIPS 0.1 by {_spoken('alexnet', digest)}"
    return [Measure("lpips", text, network.least, lambda x, y: lpips(x, y, network, heads))]


def _vgg16(file: Path) -> list[Measure]:
    network, digest = load_backbone(file, "vgg16")
    pooled = VGG16(L2Pool).eval().requires_grad_(False)
    pooled.load_state_dict(network.state_dict(), assign=True)
    heads, alpha, beta = _heads("vgg16"), _learned()["alpha"], _learned()["beta"]
    by, least = f"by {_spoken('vgg16', digest)}", network.least
    return [
        Measure("lpips_vgg", f"LPIPS 0.1 {by}", least, lambda x, y: lpips(x, y, network, heads)),
        Measure("dists", f"DISTS {by}", least, lambda x, y: dists(x, y, pooled, alpha, beta)),
    ]


_MEASURES = {"alexnet": _alexnet, "vgg16": _vgg16}


def _spoken(name: str, digest: str) -> str:
    """The name of a network with the digest of its weights, and the expected one if it differs."""
    other = "" if digest in PUBLISHED[name] else f", not {PUBLISHED[name]}"
    return f"{_TITLES[name]} ({digest}{other})"


def _find(path: Path) -> dict[str, Path]:
    """The files of the networks at `path`, by name."""
    if not path.exists():
        raise WeightsError(f"{path}: no such file or folder; {_expected()}")
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found: dict[str, Path] = {}
    for name in _MEASURES:
        there = [f for f in files if f.name.startswith(f"{name}-") and f.suffix == ".pth"]
        there = [f for f in there if f.name == PUBLISHED[name]] or there
        if len(there) > 1:
            names = ", ".join(file.name for file in there)
            raise WeightsError(f"{path} holds several files of {_TITLES[name]}: {names}; name one")
        if there:
            found[name] = there[0]
    if not found:
        what = f"{path} holds neither" if path.is_dir() else f"{path} is neither"
        raise WeightsError(f"{what} AlexNet's nor VGG16's weights; {_expected()}")
    return found


def _expected() -> str:
    files = " or ".join(PUBLISHED[name] for name in _MEASURES)
    return f"expected torchvision's {files}, both from {_FETCH}"


@cache
def _learned() -> dict[str, Tensor]:
    """The bundled parameters: (C,) float32 each."""
    with np.load(_DATA) as found:
        return {key: torch.from_numpy(found[key]) for key in found.files}


def _heads(name: str) -> list[Tensor]:
    return [_learned()[f"{name}_{number}"] for number in range(5)]


def _tensor(picture: NDArray[Any]) -> Tensor:
    """(H, W), (H, W, 1 to 4) → (1, 3, H, W), float32 in [0, 1]."""
    values = to_rgb(picture).astype(np.float32) / np.float32(levels(picture))
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]
