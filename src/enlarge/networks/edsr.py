"""EDSR: Enhanced Deep Residual Networks for Single Image Super-Resolution.

Lim et al., CVPR Workshops 2017, https://arxiv.org/abs/1707.02921.

    image     (B, 3, H, W)      RGB in [0, 1]; the mean colour is subtracted
    head      (B, F, H, W)      3×3, the shallow feature
    body      (B, F, H, W)      `blocks` residual blocks without batch norm
    merge     (B, F, H, W)      3×3, plus the shallow feature
    upsample  (B, F, sH, sW)    per stage 3×3 and pixel shuffle
    tail      (B, 3, sH, sW)    3×3; the mean colour is added; not clamped
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from enlarge.networks.blocks import (
    DIV2K_MEAN,
    MeanShift,
    ResidualBlock,
    Upsampler,
    shuffle_margin,
)


class EDSR(nn.Module):
    """The network above; `scaling` multiplies each block's residual (0.1 for wide networks)."""

    multiple = 1

    def __init__(
        self,
        *,
        scale: int = 4,
        features: int = 64,
        blocks: int = 16,
        scaling: float = 1.0,
        mean: Sequence[float] = DIV2K_MEAN,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.sub_mean = MeanShift(mean, -1)
        self.head = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(
            *(ResidualBlock(features, scaling=scaling) for _ in range(blocks))
        )
        self.merge = nn.Conv2d(features, features, 3, padding=1)
        self.upsample = Upsampler(scale, features)
        self.tail = nn.Conv2d(features, 3, 3, padding=1)
        self.add_mean = MeanShift(mean, +1)

    @property
    def margin(self) -> int:
        """Receptive margin in LR pixels: how far an output pixel sees beyond its own place."""
        return 1 + 2 * len(self.body) + 1 + shuffle_margin(self.scale, 1)

    def forward(self, image: Tensor) -> Tensor:
        shallow = self.head(self.sub_mean(image))
        deep = self.merge(self.body(shallow)) + shallow
        return self.add_mean(self.tail(self.upsample(deep)))
