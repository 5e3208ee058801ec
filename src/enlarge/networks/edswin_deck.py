"""EDSR and SwinIR side by side, each a complete network, whose results are fused at the end.

It reimplements "EDSR + SwinIR" from the slide deck of a student team (Dacon competition 235977).
The slide shows two branches that meet; the team's code concatenates the two enlarged pictures and
fuses them by a 1×1 convolution.

    image     (B, 3, H, W)      RGB in [0, 1], padded to a multiple of `window` by reflection
    edsr      (B, 3, sH, sW)    local features: `blocks` × `features`
    swinir    (B, 3, sH, sW)    global features: 4 RSTB × 6 STL, 6 heads, 60 channels, light
    both      (B, 6, sH, sW)    concatenated
    enlarged  (B, 3, sH, sW)    1×1, cropped; not clamped
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from enlarge.networks.blocks import pad_to_multiple, without_padding
from enlarge.networks.checkpoints import Detected, State
from enlarge.networks.edsr import EDSR, detect_edsr
from enlarge.networks.swinir import SwinIR, detect_swinir


class EDSwinDeck(nn.Module):
    """The network above. The slide has 64 blocks of 256 features, the team's code 32.

    The fusion is initialised as the mean of the two branches.
    """

    margin = None
    """Unbounded, because of the SwinIR branch."""

    def __init__(
        self,
        *,
        scale: int = 4,
        features: int = 256,
        blocks: int = 64,
        scaling: float = 0.1,
        dim: int = 60,
        depths: Sequence[int] = (6, 6, 6, 6),
        heads: Sequence[int] = (6, 6, 6, 6),
        window: int = 8,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.multiple = window
        self.edsr = EDSR(scale=scale, features=features, blocks=blocks, scaling=scaling)
        self.swinir = SwinIR(scale=scale, dim=dim, depths=depths, heads=heads, window=window)
        self.fuse = nn.Conv2d(6, 3, 1)
        with torch.no_grad():
            self.fuse.weight.copy_(0.5 * torch.eye(3).repeat(1, 2)[:, :, None, None])
            assert self.fuse.bias is not None
            self.fuse.bias.zero_()

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        image = pad_to_multiple(image, self.multiple)
        x = self.fuse(torch.cat([self.edsr(image), self.swinir(image)], dim=1))
        return without_padding(x, (height, width), self.scale, self.multiple)


def detect_edswin_deck(state: State) -> Detected | None:
    """Recognise the keys of this module: edsr.*, swinir.*, fuse."""
    if "fuse.weight" not in state or "edsr.head.weight" not in state:
        return None
    branches = {
        name: {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}
        for name in ("edsr", "swinir")
    }
    local, wide = detect_edsr(branches["edsr"]), detect_swinir(branches["swinir"])
    if local is None or wide is None:
        return None
    shared = {key: wide.options[key] for key in ("dim", "depths", "heads", "window")}
    return Detected(local.options | shared, state)
