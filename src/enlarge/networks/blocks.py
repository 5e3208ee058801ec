"""What several networks share: residual block, upsamplers, window attention, and their arithmetic.

Pictures are (B, 3, H, W), RGB in [0, 1]; features (B, C, H, W); tokens of attention (B, H, W, C).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""The mean RGB of DIV2K, which EDSR and SwinIR subtract."""


class MeanShift(nn.Module):
    """Adds `sign` × `mean` to an RGB picture. A constant: it is not in the state dict."""

    mean: Tensor

    def __init__(self, mean: Sequence[float], sign: int) -> None:
        super().__init__()
        if len(mean) != 3:
            raise ValueError(f"mean must have 3 values (RGB), got {len(mean)}")
        shift = sign * torch.tensor(tuple(mean), dtype=torch.float32)
        self.register_buffer("mean", shift.view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mean


class ResidualBlock(nn.Module):
    """EDSR's block: x + scaling · conv(relu(conv(x)))."""

    def __init__(self, features: int, *, scaling: float = 1.0) -> None:
        super().__init__()
        self.scaling = scaling
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x)))
        return x + (y if self.scaling == 1.0 else y * self.scaling)


# Enlarging ------------------------------------------------------------------------------------


def stages(scale: int) -> tuple[int, ...]:
    """The steps in which `scale` is reached: (2, 2) for 4, (3,) for 3, () for 1."""
    doublings = scale.bit_length() - 1
    if scale >= 1 and scale == 1 << doublings:
        return (2,) * doublings
    if scale == 3:
        return (3,)
    raise ValueError(f"scale must be 3 or a power of two, got {scale}")


class Upsampler(nn.Sequential):
    """(B, C, H, W) → (B, C, sH, sW): per stage a 3×3 convolution, a pixel shuffle, maybe PReLU."""

    def __init__(self, scale: int, features: int, *, prelu: bool = False) -> None:
        layers: list[nn.Module] = []
        for factor in stages(scale):
            layers += [
                nn.Conv2d(features, features * factor * factor, 3, padding=1),
                nn.PixelShuffle(factor),
            ]
            layers += [nn.PReLU()] if prelu else []
        super().__init__(*layers)


class DirectUpsampler(nn.Sequential):
    """(B, C, H, W) → (B, 3, sH, sW): one 3×3 convolution, one pixel shuffle; for small networks."""

    def __init__(self, scale: int, features: int) -> None:
        super().__init__(
            nn.Conv2d(features, 3 * scale * scale, 3, padding=1), nn.PixelShuffle(scale)
        )


def nearest_and_conv(x: Tensor, convs: Iterable[nn.Module]) -> Tensor:
    """Per convolution: twice the size by nearest neighbour, the convolution, leaky ReLU 0.2."""
    for conv in convs:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = F.leaky_relu(conv(x), 0.2)
    return x


def shuffle_margin(scale: int, last: int) -> int:
    """Receptive margin, in LR pixels, of an `Upsampler` and then convolutions of radius `last`."""
    margin = last
    for factor in reversed(stages(scale)):
        margin = math.ceil(margin / factor) + 1
    return margin


def nearest_margin(doublings: int, last: int) -> int:
    """The same of `nearest_and_conv` and then convolutions of radius `last`."""
    margin = last
    for _ in range(doublings):
        margin = math.ceil((margin + 1) / 2)
    return margin


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """(B, C, H, W) padded right and bottom until `multiple` divides H and W.

    By reflection, without repeating the edge; an axis that is too short to reflect repeats its
    edge instead.
    """
    height, width = image.shape[-2:]
    below, right = -height % multiple, -width % multiple
    if below:
        image = F.pad(image, (0, 0, 0, below), "reflect" if below < height else "replicate")
    if right:
        image = F.pad(image, (0, right, 0, 0), "reflect" if right < width else "replicate")
    return image


# Window attention (Swin Transformer, Liu et al., ICCV 2021) -----------------------------------


def relative_positions(window: int) -> Tensor:
    """(N·N,) int64, N = window²: the row of the bias table for each pair of pixels of a window."""
    axis = torch.arange(window)
    y, x = (grid.flatten() for grid in torch.meshgrid(axis, axis, indexing="ij"))
    down = y[:, None] - y[None, :] + window - 1
    across = x[:, None] - x[None, :] + window - 1
    return (down * (2 * window - 1) + across).flatten()


class WindowAttention(nn.Module):
    """Self-attention inside windows of `window`² pixels, with a learned relative position bias.

    tokens (B, H, W, C) → (B, H, W, C); H and W are multiples of `window`.

    With `shift` the picture is first rolled up and left by that many pixels. Then only the windows
    of the last row and of the last column hold pixels that do not belong together. They are the
    four groups inner / last column / last row / corner, attended to one after the other, each
    with a mask that is the same at every picture size.
    """

    position: Tensor
    wrapped: Tensor

    def __init__(self, dim: int, *, heads: int, window: int, shift: int = 0) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim must be a multiple of heads, got dim={dim}, heads={heads}")
        if not 0 <= shift < window:
            raise ValueError(f"shift must lie in 0..{window - 1}, got {shift}")
        self.heads = heads
        self.window = window
        self.shift = shift
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        # int16, since every layer's index goes into the exported file.
        position = relative_positions(window).to(torch.int16)
        self.register_buffer("position", position, persistent=False)
        wrapped = torch.arange(window) >= window - shift  # (w,)
        self.register_buffer("wrapped", wrapped, persistent=False)

    def bias(self) -> Tensor:
        """(heads, N, N), added to the logits."""
        pixels = self.window * self.window
        position = self.position.to(torch.int64)
        bias = self.relative_position_bias_table.index_select(0, position)  # (N·N, heads)
        return bias.view(pixels, pixels, self.heads).permute(2, 0, 1)

    def masks(self) -> tuple[Tensor, Tensor]:
        """(N, N) each: −100 between pixels that rolling brought together, across and down."""
        window = self.window
        right = self.wrapped.expand(window, window).flatten()
        below = self.wrapped[:, None].expand(window, window).flatten()
        across, down = (
            (side[:, None] != side[None, :]).to(self.proj.weight.dtype) * -100.0
            for side in (right, below)
        )
        return across, down

    def attend(self, qkv: Tensor, bias: Tensor) -> Tensor:
        """(3, B, rows, columns, heads, N, d) → (B, rows, columns, heads, N, d)."""
        if torch.compiler.is_exporting():  # written out: the kernel's decomposition is a tangle
            q, k, v = qkv.unbind(0)
            logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias
            return torch.softmax(logits, dim=-1) @ v
        q, k, v = qkv.flatten(1, 3).unbind(0)  # (B·rows·columns, heads, N, d) each
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return out.view(qkv.shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, dim = x.shape
        window, heads, shift = self.window, self.heads, self.shift
        rows, columns = height // window, width // window
        if shift:
            x = torch.roll(x, (-shift, -shift), (1, 2))
        x = x.view(batch, rows, window, columns, window, dim).transpose(2, 3)
        x = x.reshape(batch, rows, columns, window * window, dim)
        qkv = self.qkv(x).unflatten(-1, (3, heads, dim // heads))
        qkv = qkv.permute(4, 0, 1, 2, 5, 3, 6)  # (3, B, rows, columns, heads, N, d)
        bias = self.bias()
        if shift:
            across, down = self.masks()
            inner, last = qkv[:, :, :-1], qkv[:, :, -1:]
            upper = torch.cat(
                [
                    self.attend(inner[:, :, :, :-1], bias),
                    self.attend(inner[:, :, :, -1:], bias + across),
                ],
                dim=2,
            )
            lower = torch.cat(
                [
                    self.attend(last[:, :, :, :-1], bias + down),
                    self.attend(last[:, :, :, -1:], bias + across + down),
                ],
                dim=2,
            )
            x = torch.cat([upper, lower], dim=1)
        else:
            x = self.attend(qkv, bias)
        x = x.transpose(3, 4).reshape(batch, rows, columns, window, window, dim)
        x = self.proj(x).transpose(2, 3).reshape(batch, height, width, dim)
        return torch.roll(x, (shift, shift), (1, 2)) if shift else x


class Mlp(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SwinLayer(nn.Module):
    """Swin's transformer layer (STL): x + attention(norm(x)), then x + mlp(norm(x)).

    tokens (B, H, W, C) → (B, H, W, C); H and W are multiples of `window`.
    """

    def __init__(
        self, dim: int, *, heads: int, window: int, shift: int = 0, mlp_ratio: float = 2.0
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads=heads, window=window, shift=shift)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, round(dim * mlp_ratio))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))
