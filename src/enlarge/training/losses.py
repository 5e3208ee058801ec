"""Losses. Pictures are float32 (B, 3, H, W), RGB in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from enlarge.errors import OptionError, WeightsError
from enlarge.networks.blocks import ResidualBlock
from enlarge.networks.replain import RepBlock
from enlarge.networks.srresnet import SRResNetBlock
from enlarge.networks.swinir import RSTB

BLOCKS = (ResidualBlock, RepBlock, SRResNetBlock, RSTB)
"""The blocks whose last output a perceptual loss compares."""

Each = Callable[[Tensor, Tensor], Tensor]
"""(enlarged, high) → the loss of each picture, (B,)."""


def l1(enlarged: Tensor, high: Tensor) -> Tensor:
    """Mean absolute difference, (B,)."""
    return (enlarged - high).abs().mean((1, 2, 3))


def l2(enlarged: Tensor, high: Tensor) -> Tensor:
    """Mean squared difference, (B,)."""
    return (enlarged - high).square().mean((1, 2, 3))


def charbonnier(enlarged: Tensor, high: Tensor) -> Tensor:
    """Mean √(difference² + 10⁻⁶), (B,): L1, smooth at zero (Lai et al., CVPR 2017)."""
    return ((enlarged - high).square() + 1e-6).sqrt().mean((1, 2, 3))


def fft(enlarged: Tensor, high: Tensor) -> Tensor:
    """Mean absolute difference of the spectra's real and imaginary parts, (B,) (orthonormal)."""
    difference = torch.fft.rfft2(enlarged - high, norm="ortho")
    return torch.view_as_real(difference).abs().mean((1, 2, 3, 4))


PIXEL_LOSSES: dict[str, Each] = {"l1": l1, "l2": l2, "charbonnier": charbonnier, "fft": fft}


def one_colour(pictures: Tensor) -> Tensor:
    """Which pictures have a single colour, (B,)."""
    return (pictures.amax((2, 3)) == pictures.amin((2, 3))).all(1)


def beyond_range(enlarged: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Ignore errors that clamping removes: outputs above white where HR is white, or below black
    where it is black. Otherwise the network learns to stay a little below white.
    """
    past = ((high >= 1.0) & (enlarged > 1.0)) | ((high <= 0.0) & (enlarged < 0.0))
    return enlarged, torch.where(past, enlarged.detach(), high)


class OwnFeatures(nn.Module):
    """The deepest feature map of an enlarge network, (B, C, H, W): the input of its tail."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        blocks = [module for module in network.modules() if isinstance(module, BLOCKS)]
        if not blocks:
            raise OptionError(f"train.features: {type(network).__name__} has no blocks")
        self.seen: Tensor | None = None
        blocks[-1].register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.seen = output

    def forward(self, image: Tensor) -> Tensor:
        """The feature map of pictures (B, 3, H, W)."""
        self.network(image)
        assert self.seen is not None
        seen, self.seen = self.seen, None
        return seen


def load_features(path: str) -> nn.Module:
    """Load the frozen network whose features a perceptual loss compares.

    `path`: torchvision's file of VGG19, an enlarge `.safetensors` file, or empty for `fast`.
    Raises `WeightsError` if it is none of them.
    """
    from enlarge.weights.backbones import load_backbone
    from enlarge.weights.catalog import CLEAN, find_weights
    from enlarge.weights.network_file import load_network

    found: nn.Module
    if path and Path(path).suffix != ".safetensors":
        try:
            found = load_backbone(Path(path), "vgg19").network
        except WeightsError as error:
            raise WeightsError(f"train.features: {error}") from error
    else:
        own = Path(path) if path else find_weights(CLEAN).path.with_suffix(".safetensors")
        found = OwnFeatures(load_network(own)[0])
    return found.eval().requires_grad_(False)


class Loss:
    """The weighted sum of losses, with an own weight for flat patches and without a border.

    `weights`: by the name of the loss. Not an `nn.Module`, so that checkpoints do not contain the
    feature extractor. Raises `OptionError` for an unknown name.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        *,
        scale: int,
        flat_weight: float = 1.0,
        ignore_border: int = 0,
        features: str = "",
    ) -> None:
        unknown = [name for name in weights if name not in (*PIXEL_LOSSES, "perceptual")]
        if unknown or not weights:
            known = ", ".join((*PIXEL_LOSSES, "perceptual"))
            raise OptionError(f"train.loss is made of {known}; got {', '.join(unknown) or 'none'}")
        self.weights = dict(weights)
        self.flat_weight = flat_weight
        self.border = ignore_border * scale
        self.extractor = load_features(features) if "perceptual" in weights else None

    def to(self, device: torch.device) -> None:
        """Move the feature extractor to a device."""
        if self.extractor is not None:
            self.extractor.to(device)

    def __call__(self, enlarged: Tensor, high: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, and its unweighted parts, detached."""
        flat = one_colour(high)
        inside = self.inside(enlarged), self.inside(high)
        wanted = beyond_range(*inside)
        total = torch.zeros((), device=high.device)
        parts: dict[str, Tensor] = {}
        for name, weight in self.weights.items():
            if name == "perceptual":
                each = self._perceptual(*inside)
            else:
                each = PIXEL_LOSSES[name](*wanted)
            part = torch.where(flat, each * self.flat_weight, each).mean()
            parts[name] = part.detach()
            total = total + weight * part
        return total, parts

    def inside(self, pictures: Tensor) -> Tensor:
        """The pictures without the ignored border."""
        b = self.border
        return pictures[..., b:-b, b:-b] if b else pictures

    def _perceptual(self, enlarged: Tensor, high: Tensor) -> Tensor:
        assert self.extractor is not None
        with torch.no_grad():
            wanted = self.extractor(high)
        return (self.extractor(enlarged) - wanted).abs().mean((1, 2, 3))
