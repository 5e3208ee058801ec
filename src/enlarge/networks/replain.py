"""RePlain: a plain convolutional network whose training form folds into bare 3×3 convolutions.

Re-parameterisation after RepVGG (Ding et al., CVPR 2021) and ECBSR (Zhang et al., ACM MM 2021),
done on the kernels instead of on the pictures: each training step adds the 1×1 branch to the
middle of the 3×3 kernel and runs one convolution, so the branches cost nothing but their own size.

    image     (B, 3, H, W)      RGB in [0, 1]
    unshuffle (B, 3u², h, w)    pixels into channels: h = H/u, w = W/u
    head      (B, C, h, w)      3×3
    blocks    (B, C, h, w)      x + conv(silu(conv(silu(conv(x))))), `blocks` times
    fuse      (B, C, h, w)      1×1 over `taps` features, spread evenly from the head to the end
    tail      (B, 3s², H, W)    3×3 to 3s²u² channels, then pixel shuffle by u
    enlarged  (B, 3, sH, sW)    plus the nearest-neighbour enlargement; not clamped

With u = 2, and twice as many channels at the same cost, the network sees twice as far: what
noise and compression need.

The nearest-neighbour skip is added before the last shuffle, each colour repeated s² times: the
same sum, but elementwise on the last convolution's output, where an engine can fuse it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.networks.blocks import RepeatedColours, pad_to_multiple, without_padding
from enlarge.networks.checkpoints import Detected, State, count_modules, direct_scale


class RepConv(nn.Module):
    """A 3×3 convolution with a parallel 1×1 branch, which `fold()` merges into the 3×3 kernel."""

    def __init__(self, inputs: int, outputs: int, *, deployed: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")
        self.point: nn.Parameter | None = None
        if not deployed:
            self.point = nn.Parameter(torch.zeros(outputs, inputs))

    def kernel(self) -> Tensor:
        """The deployed kernel, (outputs, inputs, 3, 3)."""
        if self.point is None:
            return self.weight
        return self.weight + F.pad(self.point[:, :, None, None], (1, 1, 1, 1))

    def fold(self) -> None:
        """Merge the branch into the kernel, in place; the function stays the same."""
        with torch.no_grad():
            self.weight.copy_(self.kernel())
        self.point = None

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel(), self.bias, padding=1)


class RepBlock(nn.Module):
    """Three convolutions with SiLU between them, around a skip."""

    def __init__(self, channels: int, *, deployed: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleList(RepConv(channels, channels, deployed=deployed) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.convs[0](x)
        y = self.convs[1](F.silu(y))
        return x + self.convs[2](F.silu(y))


class RePlain(nn.Module):
    """The network above. `deployed=True` builds the folded form, whose keys are a subset."""

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 32,
        blocks: int = 6,
        taps: int = 4,
        unshuffle: int = 1,
        deployed: bool = False,
    ) -> None:
        super().__init__()
        least = min(blocks + 1, 2)  # a single tap, the head, would bypass the blocks
        if not least <= taps <= blocks + 1:
            raise ValueError(
                f"taps must lie in {least}..{blocks + 1} for {blocks} blocks, got {taps}"
            )
        self.scale = scale
        self.multiple = unshuffle
        self.tapped = tuple(round(i * blocks / max(taps - 1, 1)) for i in range(taps))
        self.head = nn.Conv2d(3 * unshuffle**2, channels, 3, padding=1)
        self.blocks = nn.ModuleList(RepBlock(channels, deployed=deployed) for _ in range(blocks))
        self.fuse = nn.Conv2d(channels * taps, channels, 1)
        self.tail = nn.Conv2d(channels, 3 * (scale * unshuffle) ** 2, 3, padding=1)
        self.repeat = RepeatedColours(scale)
        nn.init.normal_(self.tail.weight, std=1e-3)
        assert self.tail.bias is not None
        nn.init.zeros_(self.tail.bias)

    def fold(self) -> None:
        """Turn the training form into the deployed form, in place (equal to 1e-5)."""
        for module in self.modules():
            if isinstance(module, RepConv):
                module.fold()

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        image = pad_to_multiple(image, self.multiple)
        x = self.head(F.pixel_unshuffle(image, self.multiple) if self.multiple > 1 else image)
        features = [x]
        for block in self.blocks:
            x = block(x)
            features.append(x)
        x = self.tail(self.fuse(torch.cat([features[i] for i in self.tapped], dim=1)))
        if self.multiple > 1:
            x = F.pixel_shuffle(x, self.multiple)
        x = F.pixel_shuffle(x + self.repeat(image), self.scale)
        return without_padding(x, (height, width), self.scale, self.multiple)

    @property
    def margin(self) -> int:
        """Receptive margin in input pixels, for tiles that start on multiples of `multiple`: one
        for each 3×3 convolution in a row, as wide as a pixel is there.
        """
        return self.multiple * (2 + 3 * len(self.blocks))


def detect_replain(state: State) -> Detected | None:
    """Recognise the keys of this module, in training or deployed form."""
    if not {"head.weight", "blocks.0.convs.0.weight", "fuse.weight", "tail.weight"} <= state.keys():
        return None
    channels, inputs = state["head.weight"].shape[:2]
    unshuffle = math.isqrt(inputs // 3)
    options = {
        "scale": direct_scale(state["tail.weight"]) // unshuffle,
        "channels": channels,
        "blocks": count_modules(state, r"blocks\.(\d+)\."),
        "taps": state["fuse.weight"].shape[1] // channels,
        "unshuffle": unshuffle,
        "deployed": "blocks.0.convs.0.point" not in state,
    }
    return Detected(options, state)
