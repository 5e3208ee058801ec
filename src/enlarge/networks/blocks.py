"""Parts that several networks share: residual block, upsamplers, window attention.

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
    """The same for `nearest_and_conv` and then convolutions of radius `last`."""
    margin = last
    for _ in range(doublings):
        margin = math.ceil((margin + 1) / 2)
    return margin


class RepeatedColours(nn.Module):
    """(B, 3, H, W) → (B, 3s², H, W): each colour s² times, which a pixel shuffle turns into the
    nearest-neighbour enlargement.
    """

    colours: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        colours = torch.arange(3).repeat_interleave(scale**2)
        self.register_buffer("colours", colours, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return image.index_select(1, self.colours)


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """(B, C, H, W) padded right and bottom until `multiple` divides H and W.

    By reflection, without repeating the edge; where an axis is too short for that, what is
    reflected last is repeated.
    """
    height, width = image.shape[-2:]
    below, right = -height % multiple, -width % multiple
    if below or right:
        least = (min(below, height - 1), min(right, width - 1))
        image = F.pad(image, (0, least[1], 0, least[0]), "reflect")
        if least != (below, right):
            image = F.pad(image, (0, right - least[1], 0, below - least[0]), "replicate")
    return image


def without_padding(x: Tensor, size: tuple[int, int], scale: int, multiple: int) -> Tensor:
    """The enlarged picture (B, C, H, W) without what `pad_to_multiple` added to one of `size`, its
    height and width. Where it added nothing, nothing is recorded of this in an exported graph.
    """
    height, width = size
    if height % multiple or width % multiple:
        return x[..., : height * scale, : width * scale]
    return x


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

    With `shift` the windows start that many pixels further down and right, and those of the last
    row and column wrap around the picture. They form four groups (inner, last column, last row,
    corner), which are computed separately, each with a mask that does not depend on the size of the
    picture; pixels from different sides of the picture do not attend to each other.

    Numbers that the module knows are not read from tensors' shapes: an exported graph would contain
    their computation, which makes it slower to compile.
    """

    position: Tensor
    wrapped: Tensor

    def __init__(self, dim: int, *, heads: int, window: int, shift: int = 0) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"channels ({dim}) must be a multiple of heads, got {heads} heads")
        if window < 1:
            raise ValueError(f"window must be at least 1, got {window}")
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
        """(N, N) each: −100 between pixels from two sides of the picture, across and down."""
        window = self.window
        right = self.wrapped.expand(window, window).flatten()
        below = self.wrapped[:, None].expand(window, window).flatten()
        across, down = (
            (side[:, None] != side[None, :]).to(self.proj.weight.dtype) * -100.0
            for side in (right, below)
        )
        return across, down

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (n, N, C) → (n, heads, N, d) three times, the keys as (n, heads, d, N).

        Written so that OpenVINO fuses it with what follows (its attention has 4 axes), and that
        little is copied: three products instead of a split one, scaled weights of the queries, and
        keys that are computed in their order. The keys have no bias: it would add the same number
        to all logits of a query, which softmax ignores.
        """
        pixels, dim = self.window**2, self.proj.in_features
        heads, scale = self.heads, (dim // self.heads) ** -0.5
        (q, k, v), (q_bias, _, v_bias) = (
            t.unflatten(0, (3, dim)).unbind(0) for t in (self.qkv.weight, self.qkv.bias)
        )
        queries = F.linear(x, q * scale, q_bias * scale).view(-1, pixels, heads, dim // heads)
        keys = k @ x.transpose(1, 2)
        values = F.linear(x, v, v_bias).view(-1, pixels, heads, dim // heads)
        return (
            queries.transpose(1, 2),
            keys.view(-1, heads, dim // heads, pixels),
            values.transpose(1, 2),
        )

    def attend(self, x: Tensor, bias: Tensor) -> Tensor:
        """Windows (n, N, C) → (n, N, C)."""
        traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if traced or torch.compiler.is_exporting():
            # Written out, since exporting the fused kernel gives a complicated graph.
            q, k, v = self.queries_keys_values(x)
            out = torch.softmax(q @ k + bias[None], dim=-1) @ v
        else:
            q, k, v = (
                t.transpose(1, 2) for t in self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
            )
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return self.proj(out.transpose(1, 2).reshape(-1, self.window**2, self.proj.in_features))

    def inside(self, x: Tensor, bias: Tensor) -> Tensor:
        """(B, H, W, C) → (B, H, W, C): windows that start at the upper left corner."""
        height, width = x.shape[1:3]
        window, dim = self.window, self.proj.in_features
        rows, columns = height // window, width // window
        x = x.view(-1, rows, window, columns, window, dim).transpose(2, 3)
        x = self.attend(x.reshape(-1, window * window, dim), bias)
        x = x.view(-1, rows, columns, window, window, dim).transpose(2, 3)
        return x.reshape(-1, height, width, dim)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias()
        if not self.shift:
            return self.inside(x, bias)
        across, down = self.masks()

        def along(rows: Tensor, bias: Tensor) -> Tensor:
            inner, around = self.parted(rows, 2)
            inner, around = self.inside(inner, bias), self.inside(around, bias + across)
            return self.joined(inner, around, rows.shape[2], axis=2)

        inner, around = self.parted(x, 1)
        return self.joined(along(inner, bias), along(around, bias + down), x.shape[1], axis=1)

    def parted(self, x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """Along an axis, the windows inside the picture, and the one that wraps around its border.

        A picture of one window has none inside. Since OpenVINO fails on empty tensors, there is a
        dummy window in that case, which `joined` drops.
        """
        size, window, shift = x.shape[axis], self.window, self.shift
        within = size - window
        inner = x.narrow(axis, smaller(within, shift), larger(within, window))
        end = x.narrow(axis, size - window + shift, window - shift)
        return inner, torch.cat([end, x.narrow(axis, 0, shift)], dim=axis)

    def joined(self, inner: Tensor, around: Tensor, size: int, *, axis: int) -> Tensor:
        """The inverse of `parted`."""
        end, start = around.split([self.window - self.shift, self.shift], dim=axis)
        within = inner.narrow(axis, 0, size - self.window)
        return torch.cat([start, within, end], dim=axis)


def smaller(a: int, b: int) -> int:
    """The smaller of two lengths; a tensor where `torch.jit.trace` made one of a length."""
    return torch.clamp(a, max=b) if isinstance(a, Tensor) else torch.sym_min(a, b)


def larger(a: int, b: int) -> int:
    """The larger, likewise."""
    return torch.clamp(a, min=b) if isinstance(a, Tensor) else torch.sym_max(a, b)


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

    Norms and sums have 3 axes. With 4, OpenVINO computes a norm in four steps, and keeps features
    in an order that neither convolutions nor attention use.
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
        cells = (-1, *x.shape[1:3], self.attn.proj.in_features)
        x = x.flatten(1, 2)  # (B, H·W, C)
        x = x + self.attn(self.norm1(x).view(cells)).flatten(1, 2)
        return (x + self.mlp(self.norm2(x))).view(cells)
