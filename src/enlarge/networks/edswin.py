"""EDSwin: EDSR's residual blocks and Swin's layers on one trunk; this project's own network.

Convolution models what is near, attention what repeats further away, both on the same features.

    image     (B, 3, H, W)      RGB in [0, 1], padded to a multiple of `window` by reflection
    head      (B, C, H, W)      mean colour subtracted, 3×3: the one shallow feature
    trunk     (B, C, H, W)      residual blocks and Swin layers, in one of these arrangements:
        alternating   conv, attention, conv, attention …       `blocks` of each
        every_k       attention after each `every`-th conv     `blocks` convs
        parallel      x + conv(x) + attention(x)               `blocks` of each
        convolution   convs alone, attention alone: the two    `blocks`
        attention     trunks that the hybrid is compared with  `blocks`
    merge     (B, C, H, W)      3×3, plus the shallow feature: the one long skip
    upsample  (B, 3, sH, sW)    one 3×3 and pixel shuffle (`tail_features` 0), or 3×3 to
                                `tail_features`, per stage 3×3 and shuffle, 3×3
    enlarged  (B, 3, sH, sW)    plus the nearest-neighbour enlargement, cropped; not clamped

Since the enlargement is added at the end, the network computes differences only: flat pictures stay
flat, and rounding errors of bf16 are small. The direct tail adds it before the shuffle, each colour
repeated s² times: the same sum, but elementwise on the last convolution's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.networks.blocks import (
    DIV2K_MEAN,
    DirectUpsampler,
    MeanShift,
    RepeatedColours,
    ResidualBlock,
    SwinLayer,
    Upsampler,
    pad_to_multiple,
    shuffle_margin,
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

Arrangement = Literal["alternating", "every_k", "parallel", "convolution", "attention"]


class Attention(SwinLayer):
    """A Swin layer on features (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Parallel(nn.Module):
    """x + what the residual block adds + what the Swin layer adds."""

    def __init__(self, conv: ResidualBlock, attention: Attention) -> None:
        super().__init__()
        self.conv = conv
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.attention(x) - x


def arrange(
    arrangement: Arrangement,
    *,
    features: int,
    blocks: int,
    every: int,
    heads: int,
    window: int,
    mlp_ratio: float,
) -> list[nn.Module]:
    """The trunk's modules in order; every second Swin layer is shifted by half a window."""
    if arrangement == "every_k" and every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    layers = 0

    def conv() -> ResidualBlock:
        return ResidualBlock(features)

    def attention() -> Attention:
        nonlocal layers
        shift = window // 2 if layers % 2 else 0
        layers += 1
        return Attention(features, heads=heads, window=window, shift=shift, mlp_ratio=mlp_ratio)

    match arrangement:
        case "alternating":
            return [make() for _ in range(blocks) for make in (conv, attention)]
        case "every_k":
            makers = [
                (conv, attention) if number % every == 0 else (conv,)
                for number in range(1, blocks + 1)
            ]
            return [make() for group in makers for make in group]
        case "parallel":
            return [Parallel(conv(), attention()) for _ in range(blocks)]
        case "convolution":
            return [conv() for _ in range(blocks)]
        case "attention":
            return [attention() for _ in range(blocks)]
    raise ValueError(
        "arrangement must be alternating, every_k, parallel, convolution or attention, "
        f"got {arrangement!r}"
    )


class EDSwin(nn.Module):
    """The network above; the defaults are the smallest preset, `edswin-s`."""

    def __init__(
        self,
        *,
        scale: int = 4,
        features: int = 64,
        blocks: int = 10,
        arrangement: Arrangement = "every_k",
        every: int = 2,
        heads: int = 4,
        window: int = 8,
        mlp_ratio: float = 2.0,
        tail_features: int = 0,
        mean: Sequence[float] = DIV2K_MEAN,
    ) -> None:
        super().__init__()
        self.scale = scale
        trunk = arrange(
            arrangement,
            features=features,
            blocks=blocks,
            every=every,
            heads=heads,
            window=window,
            mlp_ratio=mlp_ratio,
        )
        self.attends = any(not isinstance(module, ResidualBlock) for module in trunk)
        self.multiple = window if self.attends else 1
        self.sub_mean = MeanShift(mean, -1)
        self.head = nn.Conv2d(3, features, 3, padding=1)
        self.trunk = nn.Sequential(*trunk)
        self.merge = nn.Conv2d(features, features, 3, padding=1)
        self.direct = tail_features == 0
        if self.direct:
            self.tail: nn.Sequential = DirectUpsampler(scale, features)
        else:
            self.tail = nn.Sequential(
                nn.Conv2d(features, tail_features, 3, padding=1),
                Upsampler(scale, tail_features),
                nn.Conv2d(tail_features, 3, 3, padding=1),
            )
        last = self.tail[0 if self.direct else -1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.zeros_(last.bias)
        self.repeat = RepeatedColours(scale)

    @property
    def margin(self) -> int | None:
        """Receptive margin in LR pixels; None, for unbounded, if there is attention."""
        if self.attends:
            return None
        tail = 1 if self.direct else 1 + shuffle_margin(self.scale, 1)
        return 1 + 2 * len(self.trunk) + 1 + tail

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        image = pad_to_multiple(image, self.multiple)
        shallow = self.head(self.sub_mean(image))
        deep = self.merge(self.trunk(shallow)) + shallow
        if self.direct:
            x = F.pixel_shuffle(self.tail[0](deep) + self.repeat(image), self.scale)
        else:
            x = self.tail(deep) + F.interpolate(image, scale_factor=float(self.scale))
        return without_padding(x, (height, width), self.scale, self.multiple)


def detect_edswin(state: State) -> Detected | None:
    """Recognise the keys of this module; the order of the trunk's modules tells the arrangement."""
    length = count_modules(state, r"trunk\.(\d+)\.")
    if not length or not {"head.weight", "tail.0.weight"} <= state.keys():
        return None
    features = state["head.weight"].shape[0]
    direct = "tail.0.weight" in state and "tail.2.weight" not in state
    options: dict[str, Any] = {
        "features": features,
        "scale": direct_scale(state["tail.0.weight"])
        if direct
        else shuffled_scale(state, r"tail\.1\.\d+\.weight"),
        "tail_features": 0 if direct else state["tail.0.weight"].shape[0],
        **detect_arrangement([f"trunk.{i}." for i in range(length)], state),
    }
    table = next((v for k, v in state.items() if k.endswith("position_bias_table")), None)
    if table is not None:
        options["window"], options["heads"] = window_and_heads(table)
        hidden = next(v for k, v in state.items() if k.endswith("mlp.fc1.weight")).shape[0]
        options["mlp_ratio"] = hidden / features
    return Detected(options, state)


def detect_arrangement(prefixes: list[str], state: State) -> dict[str, Any]:
    """The options `arrangement`, `blocks` and `every` of a trunk, from its modules' prefixes."""
    if f"{prefixes[0]}conv.conv1.weight" in state:
        return {"arrangement": "parallel", "blocks": len(prefixes)}
    convs = [f"{prefix}conv1.weight" in state for prefix in prefixes]
    if all(convs):
        return {"arrangement": "convolution", "blocks": len(convs)}
    if not any(convs):
        return {"arrangement": "attention", "blocks": len(convs)}
    every = convs.index(False)
    if every == 1 and len(convs) == 2 * sum(convs):
        return {"arrangement": "alternating", "blocks": sum(convs)}
    return {"arrangement": "every_k", "blocks": sum(convs), "every": every}
