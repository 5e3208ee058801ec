"""EDSR: Enhanced Deep Residual Networks for Single Image Super-Resolution.

Lim et al., CVPR Workshops 2017, https://arxiv.org/abs/1707.02921.

    image     (B, 3, H, W)      RGB in [0, 1]; the mean colour is subtracted
    head      (B, F, H, W)      3×3, the shallow feature
    body      (B, F, H, W)      `blocks` residual blocks without batch norm
    merge     (B, F, H, W)      3×3, plus the shallow feature
    upsample  (B, F, sH, sW)    per stage 3×3 and pixel shuffle
    tail      (B, 3, sH, sW)    3×3; the mean colour is added; not clamped
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from enlarge.networks.blocks import (
    DIV2K_MEAN,
    MeanShift,
    ResidualBlock,
    Upsampler,
    shuffle_margin,
)
from enlarge.networks.checkpoints import (
    Detected,
    State,
    count_modules,
    divided_biases,
    renamed,
    shuffled_scale,
)


class EDSR(nn.Module):
    """The network above; `scaling` multiplies each block's residual (0.1 for wide networks)."""

    multiple = 1

    def __init__(
        self,
        *,
        scale: int = 4,
        features: int = 64,
        blocks: int = 16,
        scaling: float = 1.0,
        mean: Sequence[float] = DIV2K_MEAN,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.sub_mean = MeanShift(mean, -1)
        self.head = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(
            *(ResidualBlock(features, scaling=scaling) for _ in range(blocks))
        )
        self.merge = nn.Conv2d(features, features, 3, padding=1)
        self.upsample = Upsampler(scale, features)
        self.tail = nn.Conv2d(features, 3, 3, padding=1)
        self.add_mean = MeanShift(mean, +1)

    @property
    def margin(self) -> int:
        """Receptive margin in LR pixels: how far an output pixel sees beyond its own place."""
        return 1 + 2 * len(self.body) + 1 + shuffle_margin(self.scale, 1)

    def forward(self, image: Tensor) -> Tensor:
        shallow = self.head(self.sub_mean(image))
        deep = self.merge(self.body(shallow)) + shallow
        return self.add_mean(self.tail(self.upsample(deep)))


def detect_edsr(state: State) -> Detected | None:
    """Recognise the keys of this module."""
    if not {"head.weight", "body.0.conv1.weight", "merge.weight", "tail.weight"} <= state.keys():
        return None
    features = state["head.weight"].shape[0]
    options = {
        "scale": shuffled_scale(state),
        "features": features,
        "blocks": count_modules(state, r"body\.(\d+)\."),
        "scaling": published_scaling(features),
    }
    return Detected(options, state)


def published_scaling(features: int) -> float:
    """The residual scaling of the published networks; a checkpoint does not tell it."""
    return 0.1 if features >= 128 else 1.0


def detect_official_edsr(state: State) -> Detected | None:
    """Recognise the keys of EDSR-PyTorch, the authors' code: head.0, body.N.body.0|2, body.LAST,
    tail.0.0|2|4, tail.1, sub_mean.
    """
    if not {"head.0.weight", "body.0.body.0.weight", "tail.0.0.weight"} <= state.keys():
        return None
    blocks = count_modules(state, r"body\.(\d+)\.body\.")
    plain = {key: v for key, v in state.items() if not key.startswith(("sub_mean.", "add_mean."))}
    plain = renamed(
        plain,
        (r"^head\.0\.", "head."),
        (rf"^body\.{blocks}\.", "merge."),
        (r"^body\.(\d+)\.body\.0\.", r"body.\1.conv1."),
        (r"^body\.(\d+)\.body\.2\.", r"body.\1.conv2."),
        (r"^tail\.0\.", "upsample."),
        (r"^tail\.1\.", "tail."),
    )
    detected = detect_edsr(plain)
    if detected is None:
        return None
    mean, span = mean_and_span(state)
    options = detected.options | ({"mean": mean} if mean else {})
    return Detected(options, divided_biases(plain, span))


def mean_and_span(state: State) -> tuple[tuple[float, ...], float]:
    """The mean colour in [0, 1] of an EDSR-PyTorch file, empty if it is DIV2K's, and its range, 255
    or 1.
    """
    if "sub_mean.bias" not in state:
        return (), 255.0
    shift = state["sub_mean.bias"].double()
    span = 255.0 if float(shift.abs().max()) > 1.0 else 1.0
    mean = tuple(round(float(-value / span), 6) for value in shift)
    if all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(mean, DIV2K_MEAN, strict=True)):
        return (), span
    return mean, span


def detect_basicsr_edsr(state: State) -> Detected | None:
    """Recognise the keys of BasicSR: conv_first, body.N.conv1|2, conv_after_body, upsample.N,
    conv_last.

    The range is 0–255, BasicSR's default; the file does not tell.
    """
    if not {"conv_first.weight", "body.0.conv1.weight", "conv_after_body.weight"} <= state.keys():
        return None
    plain = renamed(
        state,
        (r"^conv_first\.", "head."),
        (r"^conv_after_body\.", "merge."),
        (r"^conv_last\.", "tail."),
    )
    return detect_edsr(divided_biases(plain, 255.0))
