"""SRResNet: the generator of SRGAN.

Ledig et al., CVPR 2017, figure 4, https://arxiv.org/abs/1609.04802.

    image     (B, 3, H, W)      RGB in [0, 1]
    head      (B, F, H, W)      9×9, PReLU: the shallow feature
    body      (B, F, H, W)      `blocks` × (x + norm(conv(prelu(norm(conv(x))))))
    merge     (B, F, H, W)      3×3, norm, plus the shallow feature
    upsample  (B, F, sH, sW)    per stage 3×3, pixel shuffle, PReLU
    tail      (B, 3, sH, sW)    9×9; not clamped

`norm` is batch normalisation as drawn; `batch_norm=False` leaves it out, as later work prefers.
"""

from __future__ import annotations

from torch import Tensor, nn

from enlarge.networks.blocks import Upsampler, shuffle_margin
from enlarge.networks.checkpoints import Detected, State, count_modules, shuffled_scale


def conv_norm(features: int, *, batch_norm: bool) -> list[nn.Module]:
    """A 3×3 convolution, followed by batch normalisation where wanted."""
    conv = nn.Conv2d(features, features, 3, padding=1)
    return [conv, nn.BatchNorm2d(features)] if batch_norm else [conv]


class SRResNetBlock(nn.Module):
    """x + norm(conv(prelu(norm(conv(x)))))."""

    def __init__(self, features: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *conv_norm(features, batch_norm=batch_norm),
            nn.PReLU(),
            *conv_norm(features, batch_norm=batch_norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x)


class SRResNet(nn.Module):
    """The network above."""

    multiple = 1

    def __init__(
        self, *, scale: int = 4, features: int = 64, blocks: int = 16, batch_norm: bool = True
    ) -> None:
        super().__init__()
        self.scale = scale
        self.head = nn.Sequential(nn.Conv2d(3, features, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(
            *(SRResNetBlock(features, batch_norm=batch_norm) for _ in range(blocks))
        )
        self.merge = nn.Sequential(*conv_norm(features, batch_norm=batch_norm))
        self.upsample = Upsampler(scale, features, prelu=True)
        self.tail = nn.Conv2d(features, 3, 9, padding=4)

    @property
    def margin(self) -> int:
        """Receptive margin in LR pixels."""
        return 4 + 2 * len(self.body) + 1 + shuffle_margin(self.scale, 4)

    def forward(self, image: Tensor) -> Tensor:
        shallow = self.head(image)
        return self.tail(self.upsample(self.merge(self.body(shallow)) + shallow))


def detect_srresnet(state: State) -> Detected | None:
    """Recognise the keys of this module."""
    if not {"head.0.weight", "body.0.residual.0.weight", "merge.0.weight"} <= state.keys():
        return None
    options = {
        "scale": shuffled_scale({k: v for k, v in state.items() if v.ndim == 4}),
        "features": state["head.0.weight"].shape[0],
        "blocks": count_modules(state, r"body\.(\d+)\."),
        "batch_norm": "merge.1.running_mean" in state,
    }
    return Detected(options, state)
