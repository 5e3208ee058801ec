"""SRVGG, which the field calls "compact": the small network of Real-ESRGAN.

Wang et al., ICCV Workshops 2021, https://arxiv.org/abs/2107.10833, and its repository, whose keys
these are.

    image     (B, 3, H, W)      RGB in [0, 1]
    body      (B, F, H, W)      3×3, PReLU; `convs` × (3×3, PReLU)
              (B, 3s², H, W)    3×3, then pixel shuffle
    enlarged  (B, 3, sH, sW)    plus the nearest-neighbour enlargement; not clamped
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.networks.checkpoints import Detected, State, count_modules, direct_scale


class SRVGG(nn.Module):
    """The network above."""

    multiple = 1

    def __init__(self, *, scale: int = 4, features: int = 64, convs: int = 16) -> None:
        super().__init__()
        self.scale = scale
        self.convs = convs
        layers: list[nn.Module] = []
        for inputs in [3] + convs * [features]:
            layers += [nn.Conv2d(inputs, features, 3, padding=1), nn.PReLU(features)]
        layers.append(nn.Conv2d(features, 3 * scale * scale, 3, padding=1))
        self.body = nn.Sequential(*layers)

    @property
    def margin(self) -> int:
        """Receptive margin in LR pixels."""
        return self.convs + 2

    def forward(self, image: Tensor) -> Tensor:
        details = F.pixel_shuffle(self.body(image), self.scale)
        return details + F.interpolate(image, scale_factor=float(self.scale), mode="nearest")


def detect_srvgg(state: State) -> Detected | None:
    """Recognise the keys of this module and of Real-ESRGAN: body.N, alternately convolutions and
    PReLUs.
    """
    if not {"body.0.weight", "body.1.weight", "body.2.weight"} <= state.keys():
        return None
    last = count_modules(state, r"body\.(\d+)\.") - 1
    options = {
        "scale": direct_scale(state[f"body.{last}.weight"]),
        "features": state["body.0.weight"].shape[0],
        "convs": last // 2 - 1,
    }
    return Detected(options, state)
