"""MSRResNet: the "modified SRResNet" of BasicSR and ESRGAN, without batch norm.

Wang et al., ECCV Workshops 2018, https://arxiv.org/abs/1809.00219; keys as in BasicSR.

    image     (B, 3, H, W)      RGB in [0, 1]
    first     (B, F, H, W)      3×3, leaky ReLU 0.1
    body      (B, F, H, W)      `blocks` residual blocks as EDSR's; no long skip
    up        (B, F, sH, sW)    per stage 3×3, pixel shuffle, leaky ReLU
    hr, last  (B, 3, sH, sW)    3×3, leaky ReLU, 3×3
    enlarged  (B, 3, sH, sW)    plus the bilinear enlargement; not clamped
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.networks.blocks import ResidualBlock, shuffle_margin, stages
from enlarge.networks.checkpoints import Detected, State, count_modules, renamed, shuffled_scale


class MSRResNet(nn.Module):
    """The network above, ×2, ×3 or ×4."""

    multiple = 1

    def __init__(self, *, scale: int = 4, features: int = 64, blocks: int = 16) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise ValueError(f"scale must be 2, 3 or 4, got {scale}")
        self.scale = scale
        self.conv_first = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))
        for number, factor in enumerate(stages(scale), 1):
            conv = nn.Conv2d(features, features * factor * factor, 3, padding=1)
            self.add_module(f"upconv{number}", conv)
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    @property
    def margin(self) -> int:
        """Receptive margin in LR pixels (the bilinear skip, 1, never reaches further)."""
        return 1 + 2 * len(self.body) + shuffle_margin(self.scale, 2)

    def forward(self, image: Tensor) -> Tensor:
        x = self.body(F.leaky_relu(self.conv_first(image), 0.1))
        for number, factor in enumerate(stages(self.scale), 1):
            x = self.get_submodule(f"upconv{number}")(x)
            x = F.leaky_relu(F.pixel_shuffle(x, factor), 0.1)
        x = self.conv_last(F.leaky_relu(self.conv_hr(x), 0.1))
        return x + F.interpolate(
            image, scale_factor=float(self.scale), mode="bilinear", align_corners=False
        )


def detect_msrresnet(state: State) -> Detected | None:
    """Recognise the keys of this module and of BasicSR, or the older recon_trunk and HRconv."""
    state = renamed(state, (r"^recon_trunk\.", "body."), (r"^HRconv\.", "conv_hr."))
    if not {"conv_first.weight", "body.0.conv1.weight", "upconv1.weight"} <= state.keys():
        return None
    options = {
        "scale": shuffled_scale(state, r"upconv\d\.weight"),
        "features": state["conv_first.weight"].shape[0],
        "blocks": count_modules(state, r"body\.(\d+)\."),
    }
    return Detected(options, state)
