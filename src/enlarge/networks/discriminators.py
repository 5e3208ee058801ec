"""Discriminators for adversarial training: SRGAN's, Real-ESRGAN's, and projected ones.

`SRGANDiscriminator` (Ledig et al., CVPR 2017, figure 4, https://arxiv.org/abs/1609.04802):

    image     (B, 3, S, S)       an HR patch; S a multiple of 16, 96 in the paper
    features  (B, 512, S/16, ·)  3×3 convolutions k3n64s1, k3n64s2, n128s1, n128s2, n256s1, n256s2,
                                 n512s1, n512s2; batch norm on all but the first; leaky ReLU 0.2
    dense     (B, 1024)          leaky ReLU
    verdict   (B, 1)             the probability of being a photograph

`UNetDiscriminator` (Wang et al., ICCV Workshops 2021, https://arxiv.org/abs/2107.10833), with
spectral normalisation, layers named as in BasicSR (whose spectral normalisation is the old hook:
its keys of those layers are others):

    image     (B, 3, H, W)       H and W multiples of 8
    down      (B, 8F, H/8, W/8)  3×3; three times 4×4 with stride 2
    up        (B, F, H, W)       three times bilinear ×2, 3×3, plus the feature of that size
    verdict   (B, 1, H, W)       3×3, 3×3, 3×3: a logit for every pixel

`ProjectedDiscriminator` (Sauer et al., NeurIPS 2021, https://arxiv.org/abs/2111.01007), without the
paper's mixing across scales:

    maps      (B, Cᵢ, hᵢ, wᵢ)    feature maps of a frozen classifier
    project   (B, F, hᵢ, wᵢ)     1×1 with fixed random weights
    verdicts  (B, 1, hᵢ, wᵢ)     three 3×3 with spectral normalisation; leaky ReLU 0.2
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

FIGURE_4 = ((64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2))
"""Feature maps n and stride s of the eight convolutions, in the figure's order."""


class SRGANDiscriminator(nn.Module):
    """The network above for patches of side `patch`; `width` 64 as drawn scales every n."""

    def __init__(self, *, patch: int = 96, width: int = 64) -> None:
        super().__init__()
        if patch % 16:
            raise ValueError(f"patch must be a multiple of 16, got {patch}")
        layers: list[nn.Module] = []
        inputs = 3
        for number, (n, stride) in enumerate(FIGURE_4):
            outputs = n * width // 64
            layers.append(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1))
            if number:
                layers.append(nn.BatchNorm2d(outputs))
            layers.append(nn.LeakyReLU(0.2))
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs * (patch // 16) ** 2, 1024),
            nn.LeakyReLU(0.2),
            nn.Linear(1024, 1),
        )

    def logits(self, image: Tensor) -> Tensor:
        """(B, 1), before the sigmoid: what a loss in log space wants."""
        return self.dense(self.features(image))

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(image))


class UNetDiscriminator(nn.Module):
    """The network above; its verdicts are logits."""

    def __init__(self, *, features: int = 64) -> None:
        super().__init__()
        f = features
        self.conv0 = nn.Conv2d(3, f, 3, padding=1)
        self.conv1 = spectral_norm(nn.Conv2d(f, 2 * f, 4, 2, 1, bias=False))
        self.conv2 = spectral_norm(nn.Conv2d(2 * f, 4 * f, 4, 2, 1, bias=False))
        self.conv3 = spectral_norm(nn.Conv2d(4 * f, 8 * f, 4, 2, 1, bias=False))
        self.conv4 = spectral_norm(nn.Conv2d(8 * f, 4 * f, 3, padding=1, bias=False))
        self.conv5 = spectral_norm(nn.Conv2d(4 * f, 2 * f, 3, padding=1, bias=False))
        self.conv6 = spectral_norm(nn.Conv2d(2 * f, f, 3, padding=1, bias=False))
        self.conv7 = spectral_norm(nn.Conv2d(f, f, 3, padding=1, bias=False))
        self.conv8 = spectral_norm(nn.Conv2d(f, f, 3, padding=1, bias=False))
        self.conv9 = nn.Conv2d(f, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        x0 = F.leaky_relu(self.conv0(image), 0.2)  # (B, F, H, W)
        x1 = F.leaky_relu(self.conv1(x0), 0.2)  # (B, 2F, H/2, W/2)
        x2 = F.leaky_relu(self.conv2(x1), 0.2)  # (B, 4F, H/4, W/4)
        x = F.leaky_relu(self.conv3(x2), 0.2)  # (B, 8F, H/8, W/8)
        for conv, skip in ((self.conv4, x2), (self.conv5, x1), (self.conv6, x0)):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = F.leaky_relu(conv(x), 0.2) + skip
        x = F.leaky_relu(self.conv7(x), 0.2)
        x = F.leaky_relu(self.conv8(x), 0.2)
        return self.conv9(x)


class ProjectedDiscriminator(nn.Module):
    """The network above for feature maps of these `channels`; its verdicts are for a hinge loss.

    Only the heads are trained; the projections stay as they were drawn.
    """

    def __init__(self, channels: Sequence[int], *, features: int = 64) -> None:
        super().__init__()
        self.projections = nn.ModuleList()
        self.heads = nn.ModuleList()
        for inputs in channels:
            projection = nn.Conv2d(inputs, features, 1, bias=False)
            nn.init.kaiming_normal_(projection.weight, nonlinearity="linear")
            self.projections.append(projection.requires_grad_(False))
            self.heads.append(
                nn.Sequential(
                    spectral_norm(nn.Conv2d(features, features, 3, padding=1)),
                    nn.LeakyReLU(0.2),
                    spectral_norm(nn.Conv2d(features, features, 3, padding=1)),
                    nn.LeakyReLU(0.2),
                    spectral_norm(nn.Conv2d(features, 1, 3, padding=1)),
                )
            )

    def train_heads(self) -> None:
        """Let gradients reach the heads, and the heads alone."""
        self.heads.requires_grad_(True)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [
            head(projection(found))
            for head, projection, found in zip(self.heads, self.projections, maps, strict=True)
        ]
