"""SwinIR: Image Restoration Using Swin Transformer.

Liang et al., ICCV Workshops 2021, https://arxiv.org/abs/2108.10257. Keys as published.

    image     (B, 3, H, W)      RGB in [0, 1], padded to a multiple of `window` by reflection
    first     (B, C, H, W)      mean colour subtracted, 3×3: the shallow feature
    layers    (B, H, W, C)      RSTBs: each x + conv(its Swin layers, every second one shifted)
    norm      (B, C, H, W)      layer norm
    after     (B, C, H, W)      3×3 ("1conv") or a bottleneck ("3conv"), plus the shallow feature
    enlarged  (B, 3, sH, sW)    by `upsampler`; mean colour added, cropped; not clamped
        pixelshuffle        3×3 to F, leaky ReLU, per stage 3×3 and shuffle, 3×3  (classical)
        pixelshuffledirect  3×3 to 3s², shuffle                                   (lightweight)
        nearest+conv        3×3 to F, per stage nearest ×2 and 3×3, 3×3, 3×3      (real-world)
        none                3×3 to 3, plus the picture: ×1, for denoising
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.networks.blocks import (
    DIV2K_MEAN,
    DirectUpsampler,
    MeanShift,
    SwinLayer,
    Upsampler,
    nearest_and_conv,
    pad_to_multiple,
    stages,
    without_padding,
)
from enlarge.networks.checkpoints import (
    Detected,
    State,
    count_modules,
    direct_scale,
    shuffled_scale,
    window_and_heads,
)

UpsamplerName = Literal["pixelshuffle", "pixelshuffledirect", "nearest+conv", "none"]
Connection = Literal["1conv", "3conv"]
_CONSTANTS = ("attn_mask", "relative_position_index")
"""Ends of keys in published files that hold no parameters."""


def connection_conv(dim: int, connection: Connection) -> nn.Module:
    """The end of an RSTB: one 3×3 convolution, or three with a quarter of the channels inside."""
    if connection == "1conv":
        return nn.Conv2d(dim, dim, 3, padding=1)
    if connection == "3conv":
        return nn.Sequential(
            nn.Conv2d(dim, dim // 4, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(dim // 4, dim // 4, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(dim // 4, dim, 3, padding=1),
        )
    raise ValueError(f"connection must be 1conv or 3conv, got {connection!r}")


class SwinLayers(nn.Module):
    """Swin layers in a row, every second one shifted by half a window. (B, H, W, C) in and out."""

    def __init__(self, dim: int, *, depth: int, heads: int, window: int, mlp_ratio: float) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                SwinLayer(
                    dim,
                    heads=heads,
                    window=window,
                    shift=window // 2 if i % 2 else 0,
                    mlp_ratio=mlp_ratio,
                )
                for i in range(depth)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


class RSTB(nn.Module):
    """Residual Swin transformer block: x + conv(layers(x)). (B, H, W, C) in and out."""

    def __init__(
        self,
        dim: int,
        *,
        depth: int,
        heads: int,
        window: int,
        mlp_ratio: float,
        connection: Connection,
    ) -> None:
        super().__init__()
        self.residual_group = SwinLayers(
            dim, depth=depth, heads=heads, window=window, mlp_ratio=mlp_ratio
        )
        self.conv = connection_conv(dim, connection)

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual_group(x).permute(0, 3, 1, 2)  # (B, C, H, W)
        y = self.conv(y).permute(0, 2, 3, 1)
        return (x.flatten(1, 2) + y.flatten(1, 2)).view(x.shape)  # see SwinLayer


class TokenNorm(nn.LayerNorm):
    """Layer norm of (B, H, W, C), with 3 axes (see `SwinLayer`)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1, 2)).view(x.shape)


class PatchNorm(nn.Module):
    """The layer norm before the first RSTB; a module of its own for the published key."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = TokenNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class SwinIR(nn.Module):
    """The network above; `depths` and `heads` have one number per RSTB."""

    margin = None
    """Unbounded: shifted windows pass information from window to window."""

    def __init__(
        self,
        *,
        scale: int = 4,
        dim: int = 60,
        depths: Sequence[int] = (6, 6, 6, 6),
        heads: Sequence[int] = (6, 6, 6, 6),
        window: int = 8,
        mlp_ratio: float = 2.0,
        upsampler: UpsamplerName = "pixelshuffledirect",
        connection: Connection = "1conv",
        features: int = 64,
        mean: Sequence[float] = DIV2K_MEAN,
    ) -> None:
        super().__init__()
        if len(depths) != len(heads):
            raise ValueError(
                f"depths and heads must be equally long, got {len(depths)} and {len(heads)}"
            )
        self.scale = scale
        self.multiple = window
        self.upsampler = upsampler
        self.sub_mean = MeanShift(mean, -1)
        self.conv_first = nn.Conv2d(3, dim, 3, padding=1)
        self.patch_embed = PatchNorm(dim)
        self.layers = nn.Sequential(
            *(
                RSTB(
                    dim,
                    depth=depth,
                    heads=count,
                    window=window,
                    mlp_ratio=mlp_ratio,
                    connection=connection,
                )
                for depth, count in zip(depths, heads, strict=True)
            )
        )
        self.norm = TokenNorm(dim)
        self.conv_after_body = connection_conv(dim, connection)
        self.add_mean = MeanShift(mean, +1)
        self._build_reconstruction(dim, features)
        hook = self.register_load_state_dict_pre_hook
        hook(_drop_constants)  # type: ignore[no-untyped-call]

    def _build_reconstruction(self, dim: int, features: int) -> None:
        scale = self.scale
        if self.upsampler == "pixelshuffledirect":
            self.upsample: nn.Module = DirectUpsampler(scale, dim)
        elif self.upsampler == "pixelshuffle":
            self._build_before_upsample(dim, features)
            self.upsample = Upsampler(scale, features)
            self.conv_last = nn.Conv2d(features, 3, 3, padding=1)
        elif self.upsampler == "nearest+conv":
            if scale not in (2, 4, 8):
                raise ValueError(f"nearest+conv needs scale 2, 4 or 8, got {scale}")
            self._build_before_upsample(dim, features)
            for number in range(1, len(stages(scale)) + 1):
                self.add_module(f"conv_up{number}", nn.Conv2d(features, features, 3, padding=1))
            self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
            self.conv_last = nn.Conv2d(features, 3, 3, padding=1)
        elif self.upsampler == "none":
            if scale != 1:
                raise ValueError(f"upsampler none needs scale 1, got {scale}")
            self.conv_last = nn.Conv2d(dim, 3, 3, padding=1)
        else:
            raise ValueError(
                "upsampler must be pixelshuffle, pixelshuffledirect, nearest+conv or none, "
                f"got {self.upsampler!r}"
            )

    def _build_before_upsample(self, dim: int, features: int) -> None:
        self.conv_before_upsample = nn.Sequential(
            nn.Conv2d(dim, features, 3, padding=1), nn.LeakyReLU(0.01)
        )

    def reconstruct(self, x: Tensor, image: Tensor) -> Tensor:
        """Features (B, C, H, W) and the mean-free picture → (B, 3, sH, sW)."""
        if self.upsampler == "pixelshuffledirect":
            return self.upsample(x)
        if self.upsampler == "none":
            return image + self.conv_last(x)
        x = self.conv_before_upsample(x)
        if self.upsampler == "pixelshuffle":
            return self.conv_last(self.upsample(x))
        numbers = range(1, len(stages(self.scale)) + 1)
        x = nearest_and_conv(x, (self.get_submodule(f"conv_up{n}") for n in numbers))
        return self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2))

    def constants(self) -> State:
        """The constants that published files hold beside the parameters, and from which other
        programs deduce the window: indices of the tables of positions, int64 (N, N), and masks of
        shifted layers, (4, N, N), for a picture of two by two windows.
        """
        found: State = {}
        for name, layer in self.named_modules():
            if isinstance(layer, SwinLayer):
                attention = layer.attn
                pixels = attention.window**2
                index = attention.position.to(torch.int64).view(pixels, pixels)
                found[f"{name}.attn.relative_position_index"] = index
                if attention.shift:
                    across, down = attention.masks()
                    masks = [torch.zeros_like(across), across, down, torch.minimum(across, down)]
                    found[f"{name}.attn_mask"] = torch.stack(masks)
        return found

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        image = self.sub_mean(pad_to_multiple(image, self.multiple))
        shallow = self.conv_first(image)
        x = self.patch_embed(shallow.permute(0, 2, 3, 1))  # (B, H, W, C)
        x = self.norm(self.layers(x)).permute(0, 3, 1, 2)  # (B, C, H, W)
        x = self.conv_after_body(x) + shallow
        x = self.add_mean(self.reconstruct(x, image))
        return without_padding(x, (height, width), self.scale, self.multiple)


def _without_constants(state: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if not key.endswith(_CONSTANTS)}


def _drop_constants(module: nn.Module, state: dict[str, Any], *unused: Any) -> None:
    for key in state.keys() - _without_constants(state).keys():
        del state[key]


def detect_swinir(state: State) -> Detected | None:
    """Recognise the published keys; constants among them (masks, indices) are dropped.

    A network for JPEG artefacts, which has a window of 7, takes pictures in 0–255; no file tells.
    """
    first = "layers.0.residual_group.blocks.0."
    table = f"{first}attn.relative_position_bias_table"
    if not {"conv_first.weight", table, f"{first}mlp.fc1.weight"} <= state.keys():
        return None
    state = _without_constants(state)
    layers = range(count_modules(state, r"layers\.(\d+)\."))
    prefixes = [f"layers.{i}.residual_group.blocks." for i in layers]
    hidden, dim = state[f"{first}mlp.fc1.weight"].shape
    window, _ = window_and_heads(state[table])
    options: dict[str, Any] = {
        "dim": dim,
        "depths": tuple(count_modules(state, re.escape(p) + r"(\d+)\.") for p in prefixes),
        "heads": tuple(state[f"{p}0.attn.relative_position_bias_table"].shape[1] for p in prefixes),
        "window": window,
        "mlp_ratio": hidden / dim,
        "connection": "1conv" if "conv_after_body.weight" in state else "3conv",
    }
    if "conv_before_upsample.0.weight" in state:
        options["features"] = state["conv_before_upsample.0.weight"].shape[0]
    if "conv_up1.weight" in state:
        options["upsampler"] = "nearest+conv"
        options["scale"] = 2 ** (count_modules(state, r"conv_up(\d)\.") - 1)
    elif "conv_before_upsample.0.weight" in state:
        options["upsampler"] = "pixelshuffle"
        options["scale"] = shuffled_scale(state)
    elif "upsample.0.weight" in state:
        options["upsampler"] = "pixelshuffledirect"
        options["scale"] = direct_scale(state["upsample.0.weight"])
    else:
        options["upsampler"] = "none"
        options["scale"] = 1
        if window == 7:
            state = rescaled_from_255(state)
    return Detected(options, state)


def rescaled_from_255(state: State) -> State:
    """A SwinIR without upsampler for pictures in 0–255 as one for [0, 1], exactly."""
    rescaled = dict(state)
    if {"conv_first.weight", "conv_last.weight", "conv_last.bias"} <= state.keys():
        rescaled["conv_first.weight"] = state["conv_first.weight"] * 255.0
        rescaled["conv_last.weight"] = state["conv_last.weight"] / 255.0
        rescaled["conv_last.bias"] = state["conv_last.bias"] / 255.0
    return rescaled
