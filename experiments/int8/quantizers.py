"""`fast` with its convolutions as 8-bit integers will compute them, in floats.

A convolution's input is rounded to steps 0 … 255, of which one, `zero`, stands for 0, and each of
its channels has a size of step of its own. The kernel is multiplied by those sizes and rounded to
steps −63 … 63, whose size each output channel has of its own. So the convolution itself is one of
whole numbers.

With 63 instead of 127, a sum of two products, 2 · 255 · 63, fits 16 bits; the instruction of
processors without VNNI saturates there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from enlarge.networks.replain import RePlain

ACTIVATION, WEIGHT = 255, 63
"""The largest step of an activation, from 0, and of a weight, from its negative."""
OUTSIDE = 2e-4
"""The share of values that lie outside of a range at first."""
MIDDLE = 128
"""The step that stands for 0 where values are about as often negative as positive."""


def nearest(x: Tensor, size: Tensor, zero: int) -> Tensor:
    """See `Activation`."""
    zeros = torch.full_like(size, zero, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(x, size, zeros, 1, 0, ACTIVATION)


class Activation(nn.Module):
    """x, (B, C, H, W) → (clamp(round(x / size) + zero, 0, 255) − zero) · size, with size (C,)."""

    def __init__(self, size: Tensor, zero: int) -> None:
        super().__init__()
        self.size, self.zero = size, zero

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        return nearest(x, self.size, self.zero)


def covering(low: Tensor, high: Tensor, zero: int | None = None) -> Activation:
    """The activation for values between `low` ≤ 0 and `high` ≥ 0, each (C,). Without a `zero`, that
    which makes steps smallest, by the mean of their logarithms.
    """
    zeros = torch.arange(1, ACTIVATION) if zero is None else torch.tensor([zero])
    sizes = torch.maximum(-low / zeros[:, None], high / (ACTIVATION - zeros[:, None])).clamp(1e-6)
    best = int(sizes.log().mean(1).argmin())
    return Activation(sizes[best], int(zeros[best]))


def whole(steps: Tensor) -> Tensor:
    """The nearest whole numbers from −63 to 63."""
    return steps.round().clamp(-WEIGHT, WEIGHT)


class Weight(nn.Module):
    """A kernel (O, I, h, w) → the nearest that the convolution of whole numbers can have."""

    def __init__(self, kernel: Tensor, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        most = (kernel * activation.size[:, None, None]).abs().amax((1, 2, 3)).clamp(min=1e-8)
        self.size = most / WEIGHT
        """Of a step, (O,)."""

    def grid(self) -> Tensor:
        """What a kernel's values are multiples of, (O, I, 1, 1)."""
        return self.size[:, None, None, None] / self.activation.size[:, None, None]

    def steps(self, kernel: Tensor) -> Tensor:
        """Whole numbers, as floats, of the kernel's shape."""
        return whole(kernel / self.grid())

    def forward(self, kernel: Tensor) -> Tensor:
        """As the class says."""
        return self.steps(kernel) * self.grid()


def weight_of(convolution: Any) -> Weight | None:
    """How a convolution's kernel is quantised, if it is."""
    if not parametrize.is_parametrized(convolution, "weight"):
        return None
    weight = convolution.parametrizations.weight[0]
    assert isinstance(weight, Weight)
    return weight


def convolutions(network: nn.Module) -> dict[str, Any]:
    """The modules with a kernel, by name, in the order in which they are used."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(getattr(module, "weight", None), Tensor) and module.weight.ndim == 4
    }


def quantize(network: RePlain, pictures: Iterable[Tensor], floating: Collection[str]) -> None:
    """Quantise the inputs and kernels of a network's convolutions, in place, except for those that
    stay `floating`: `fuse`, which takes several features, among them.

    `pictures` are batches (B, 3, H, W) that show the ranges of activations. Pixels stay as they
    are: their steps are the 256 values of 8 bits. A block's input is about as often negative as
    positive.
    """
    ranges = _ranges(network, pictures)
    for name, module in convolutions(network).items():
        if name in floating:
            continue
        if name == "head":
            activation = Activation(torch.full((3,), 1.0 / ACTIVATION), 0)
        else:
            activation = covering(*ranges[name], MIDDLE if name.endswith("convs.0") else None)
        assert isinstance(module.weight, Tensor)
        weight = Weight(module.weight, activation)
        parametrize.register_parametrization(module, "weight", weight)
        module.register_forward_pre_hook(lambda _, given, near=activation: (near(given[0]),))


def _ranges(network: nn.Module, pictures: Iterable[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """The range of each channel of each convolution's input: the widest of all batches, without the
    share `OUTSIDE` of values at either end, and with 0.
    """
    found: dict[str, list[Tensor]] = {}
    hooks = []
    for name, module in convolutions(network).items():

        def note(_: nn.Module, given: tuple[Tensor], name: str = name) -> None:
            values = given[0].transpose(0, 1).flatten(1)
            count = max(1, round(OUTSIDE * values.shape[1]))
            low = values.topk(count, largest=False).values[:, -1].clamp(max=0)
            high = values.topk(count).values[:, -1].clamp(min=0)
            found.setdefault(name, []).append(torch.stack([low, high]))

        hooks.append(module.register_forward_pre_hook(note))
    with torch.no_grad():
        for picture in pictures:
            network(picture)
    for hook in hooks:
        hook.remove()
    return {
        name: (torch.stack(each)[:, 0].amin(0), torch.stack(each)[:, 1].amax(0))
        for name, each in found.items()
    }
