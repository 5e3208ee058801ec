"""RRDB: the generator of ESRGAN and of Real-ESRGAN.

Wang et al., ECCV Workshops 2018, https://arxiv.org/abs/1809.00219;
Wang et al., ICCV Workshops 2021, https://arxiv.org/abs/2107.10833 (×1 and ×2). Keys as in BasicSR.

    image     (B, 3, H, W)      RGB in [0, 1], padded to a multiple of u by reflection
    unshuffle (B, 3u², h, w)    pixels into channels: u = 1 at ×4, 2 at ×2, 4 at ×1
    first     (B, F, h, w)      3×3, the shallow feature
    body      (B, F, h, w)      `blocks` residual-in-residual dense blocks
    conv_body (B, F, h, w)      3×3, plus the shallow feature
    up        (B, F, sH, sW)    per stage nearest ×2, 3×3, leaky ReLU
    hr, last  (B, 3, sH, sW)    3×3, leaky ReLU, 3×3; not clamped
"""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.networks.blocks import (
    nearest_and_conv,
    nearest_margin,
    pad_to_multiple,
    without_padding,
)
from enlarge.networks.checkpoints import Detected, State, count_modules, renamed


class DenseBlock(nn.Module):
    """Five convolutions, each on the concatenated results of all before it; x + 0.2 · the last."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for number in range(1, 6):
            inputs = features + (number - 1) * growth
            outputs = growth if number < 5 else features
            conv = nn.Conv2d(inputs, outputs, 3, padding=1)
            nn.init.kaiming_normal_(conv.weight)
            with torch.no_grad():
                conv.weight.mul_(0.1)  # section 3.1: smaller initialisation
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
            self.add_module(f"conv{number}", conv)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for number in range(1, 5):
            y = self.get_submodule(f"conv{number}")(torch.cat(seen, dim=1))
            seen.append(F.leaky_relu(y, 0.2))
        return x + 0.2 * self.get_submodule("conv5")(torch.cat(seen, dim=1))


class ResidualDenseBlocks(nn.Module):
    """RRDB: x + 0.2 · three dense blocks in a row."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(features, growth)
        self.rdb2 = DenseBlock(features, growth)
        self.rdb3 = DenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDB(nn.Module):
    """The network above. `unshuffle` None is Real-ESRGAN's: max(4 / scale, 1)."""

    def __init__(
        self,
        *,
        scale: int = 4,
        features: int = 64,
        blocks: int = 23,
        growth: int = 32,
        unshuffle: int | None = None,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.unshuffle = max(4 // scale, 1) if unshuffle is None else unshuffle
        inner = scale * self.unshuffle
        self.doublings = inner.bit_length() - 1
        if inner < 1 or inner != 1 << self.doublings:
            raise ValueError(
                f"scale · unshuffle must be a power of two, got {scale} · {self.unshuffle}"
            )
        self.conv_first = nn.Conv2d(3 * self.unshuffle**2, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualDenseBlocks(features, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        for number in range(1, self.doublings + 1):
            self.add_module(f"conv_up{number}", nn.Conv2d(features, features, 3, padding=1))
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    @property
    def multiple(self) -> int:
        """Pictures are padded to a multiple of this."""
        return self.unshuffle

    @property
    def margin(self) -> int:
        """Receptive margin in LR pixels, for tiles that start on multiples of `multiple`."""
        inner = 1 + 15 * len(self.body) + 1 + nearest_margin(self.doublings, 2)
        return self.unshuffle * inner

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        x = image
        if self.unshuffle > 1:
            x = F.pixel_unshuffle(pad_to_multiple(x, self.unshuffle), self.unshuffle)
        shallow = self.conv_first(x)
        x = shallow + self.conv_body(self.body(shallow))
        ups = (self.get_submodule(f"conv_up{n}") for n in range(1, self.doublings + 1))
        x = nearest_and_conv(x, ups)
        x = self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2))
        return without_padding(x, (height, width), self.scale, self.multiple)


def detect_rrdb(state: State) -> Detected | None:
    """Recognise the keys of this module and of BasicSR."""
    if not {"conv_first.weight", "body.0.rdb1.conv1.weight", "conv_body.weight"} <= state.keys():
        return None
    features, inputs = state["conv_first.weight"].shape[:2]
    unshuffle = math.isqrt(inputs // 3)
    doublings = max(count_modules(state, r"conv_up(\d)\.") - 1, 0)
    options = {
        "scale": 2**doublings // unshuffle,
        "features": features,
        "blocks": count_modules(state, r"body\.(\d+)\."),
        "growth": state["body.0.rdb1.conv1.weight"].shape[0],
        "unshuffle": unshuffle,
    }
    return Detected(options, state)


def detect_bsrgan_rrdb(state: State) -> Detected | None:
    """Recognise the keys of BSRGAN and of ESRGAN's repository: RRDB_trunk, trunk_conv, upconvN,
    HRconv.
    """
    if "RRDB_trunk.0.RDB1.conv1.weight" not in state:
        return None
    return detect_rrdb(
        renamed(
            state,
            (r"^RRDB_trunk\.(\d+)\.RDB", r"body.\1.rdb"),
            (r"^trunk_conv\.", "conv_body."),
            (r"^upconv", "conv_up"),
            (r"^HRconv\.", "conv_hr."),
        )
    )


def detect_old_rrdb(state: State) -> Detected | None:
    """Recognise ESRGAN's first keys: model.0, model.1.sub.N.RDBM.convK.0, model.1.sub.LAST, then
    model.3 and so on.
    """
    if "model.1.sub.0.RDB1.conv1.0.weight" not in state:
        return None
    last = count_modules(state, r"model\.1\.sub\.(\d+)\.") - 1
    numbers = sorted(
        int(m[1]) for key in state if (m := re.fullmatch(r"model\.(\d+)\.weight", key))
    )
    if len(numbers) < 3:
        return None
    _, *ups, hr, end = numbers  # 0 is the first convolution
    rules = [(rf"^model\.{number}\.", f"conv_up{i}.") for i, number in enumerate(ups, 1)]
    return detect_rrdb(
        renamed(
            state,
            (r"^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
            (rf"^model\.1\.sub\.{last}\.", "conv_body."),
            (r"^model\.0\.", "conv_first."),
            (rf"^model\.{hr}\.", "conv_hr."),
            (rf"^model\.{end}\.", "conv_last."),
            *rules,
        )
    )
