"""`fast` with its convolutions as 8-bit integers will compute them, in floats that can be trained.

A convolution's input is rounded to steps 0 … 255, of which one, `zero`, stands for 0, and each of
its channels has a size of step of its own. The kernel is multiplied by those sizes and rounded to
steps −63 … 63, whose size each output channel has of its own. So the convolution itself is one of
whole numbers.

With 63 instead of 127, a sum of two products, 2 · 255 · 63, fits 16 bits; the instruction of
processors without VNNI saturates there.

Rounding passes gradients on unchanged, and sizes are learned as in LSQ (Esser et al., ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
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


class _Nearest(torch.autograd.Function):
    """See `Activation`; by hand, since autograd would take thrice as many passes over x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: Tensor, zero: int) -> Tensor:
        zeros = torch.full_like(size, zero, dtype=torch.int32)
        near = torch.fake_quantize_per_channel_affine(x, size, zeros, 1, 0, ACTIVATION)
        ctx.save_for_backward(x, near, size)
        ctx.zero = zero
        return near

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, near, size = ctx.saved_tensors
        step = size[:, None, None]
        passed = gradient * ((x >= -ctx.zero * step) & (x <= (ACTIVATION - ctx.zero) * step))
        by_size = (gradient * near).sum((0, 2, 3)) - (passed * x).sum((0, 2, 3))
        return passed, by_size / size, None


def nearest(x: Tensor, size: Tensor, zero: int) -> Tensor:
    """See `Activation`."""
    near: Tensor = _Nearest.apply(x, size, zero)  # type: ignore[no-untyped-call]
    return near


class Activation(nn.Module):
    """x, (B, C, H, W) → (clamp(round(x / size) + zero, 0, 255) − zero) · size.

    `size`, (C,), is learned unless it is `fixed`.
    """

    def __init__(self, size: Tensor, zero: int, *, fixed: bool = False) -> None:
        super().__init__()
        self.log_size = nn.Parameter(size.log(), requires_grad=not fixed)
        self.zero = zero

    @property
    def size(self) -> Tensor:
        """Of a step, (C,)."""
        return self.log_size.exp()

    def forward(self, x: Tensor) -> Tensor:
        """As the class says."""
        return nearest(x, self.size, self.zero)


class Joined(nn.Module):
    """The activations of tensors that are joined along their channels, and have one `zero`."""

    def __init__(self, parts: Sequence[Activation]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self._parts = tuple(parts)
        (self.zero,) = {part.zero for part in parts}

    @property
    def size(self) -> Tensor:
        """Of a step, (C,)."""
        return torch.cat([part.log_size for part in self._parts]).exp()

    def forward(self, x: Tensor) -> Tensor:
        """As `Activation` does."""
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

    def __init__(self, kernel: Tensor, activation: Activation | Joined) -> None:
        super().__init__()
        self.activation = activation
        self.log_size = nn.Parameter(torch.zeros(len(kernel)))
        self.fit(kernel)

    def fit(self, kernel: Tensor) -> None:
        """Let the largest weight of each output channel be the largest step."""
        most = (kernel.detach() * self._inputs()).abs().amax((1, 2, 3)).clamp(min=1e-8)
        self.log_size.data.copy_((most / WEIGHT).log())

    def _inputs(self) -> Tensor:
        return self.activation.size.detach()[:, None, None]

    @property
    def size(self) -> Tensor:
        """Of a step, (O,)."""
        return self.log_size.exp()

    def grid(self) -> Tensor:
        """What a kernel's values are multiples of, (O, I, 1, 1)."""
        return self.size[:, None, None, None] / self._inputs()

    def steps(self, kernel: Tensor) -> Tensor:
        """Whole numbers, as floats, of the kernel's shape; the gradient is that of clamping."""
        exact = (kernel / self.grid()).clamp(-WEIGHT, WEIGHT)
        return exact + (whole(exact) - exact).detach()

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


def quantize(network: RePlain, pictures: Iterable[Tensor], floating: Collection[str] = ()) -> None:
    """Quantise the inputs and kernels of a network's convolutions, in place.

    `pictures` are batches (B, 3, H, W) that show the ranges of activations. Pixels stay as they
    are: their steps are the 256 values of 8 bits. A feature that is joined with others, and goes
    through a block too, is quantised once.
    """
    ranges = _ranges(network, pictures)
    inputs: dict[str, Activation | Joined] = {
        "head": Activation(torch.full((3,), 1.0 / ACTIVATION), 0, fixed=True)
    }
    for name in ranges:
        if name.startswith("blocks") or name == "tail":
            first = name.endswith("convs.0")
            inputs[name] = covering(*ranges[name], MIDDLE if first else None)
    ends = [low_or_high[-network.fuse.out_channels :] for low_or_high in ranges["fuse"]]
    last = covering(ends[0], ends[1], MIDDLE)
    taps = [inputs.get(f"blocks.{number}.convs.0", last) for number in network.tapped]
    inputs["fuse"] = Joined([tap for tap in taps if isinstance(tap, Activation)])
    for name, module in convolutions(network).items():
        if name in floating:
            continue
        assert isinstance(module.weight, Tensor)
        activation = inputs[name]
        parametrize.register_parametrization(module, "weight", Weight(module.weight, activation))
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
