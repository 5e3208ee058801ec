"""Kernels of whole numbers that compensate each other's rounding, one convolution after another.

A kernel is rounded one input at a time, and the inputs that are still to come, and the bias, take
over what rounding has changed: GPTQ (Frantar et al., ICLR 2023). Inputs are those that the part
before computes, quantised; its mean error against f32 goes into the bias. In a convolution that
ends a block, this is the error of the sum with what goes around the block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.networks.replain import RePlain
from experiments.int8.quantizers import Weight, convolutions, weight_of, whole

DAMPING = 1e-2
"""What is added to an input's mean square, as a share of it, so that few inputs compensate others
wildly.
"""


class _Seen:
    """A convolution's inputs and outputs while its network runs."""

    def __init__(self, module: nn.Module) -> None:
        self.given = self.made = torch.empty(0)
        self._hooks = [module.register_forward_hook(self._note)]

    def _note(self, _: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
        self.given, self.made = given[0], made

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()


@torch.no_grad()
def fit(network: RePlain, exact: RePlain, batches: Sequence[Tensor], weights: Tensor) -> None:
    """Round all kernels of a quantised network, in place.

    `batches`: pictures (B, 3, H, W); `weights`, (B,), what their squares count.
    """
    by_picture = weights.sqrt()[:, None, None]
    named, before = convolutions(network), convolutions(exact)
    for name, module in named.items():
        watched = [_Seen(module), _Seen(before[name])]
        block = name.removesuffix(".convs.2")
        ends = block != name
        if ends:
            watched += [_Seen(each.get_submodule(block)) for each in (network, exact)]
        squares = products = torch.zeros(())
        for pictures in batches:
            network(pictures)
            exact(pictures)
            wanted = watched[1].made
            if ends:  # x + convs.2(…): what is added makes up for x
                wanted = wanted + watched[3].given - watched[2].given
            inputs = _columns(watched[0].given, module.weight.shape[-1])
            x, y = inputs * by_picture, wanted.flatten(2) * by_picture
            squares = squares + torch.einsum("bik,bjk->ij", x, x).double()
            products = products + torch.einsum("bok,bik->oi", y, x).double()
        for each in watched:
            each.remove()
        _solve(module, squares, products)


def _columns(x: Tensor, side: int) -> Tensor:
    """(B, I, H, W) → (B, I · side² + 1, H · W): what each output sees, and 1 for the bias."""
    seen = F.unfold(x, side, padding=side // 2)
    return torch.cat([seen, torch.ones_like(seen[:, :1])], 1)


def _solve(module: Any, squares: Tensor, products: Tensor) -> None:
    """Correct the bias by the mean error, and round the kernel if it is quantised."""
    weight = weight_of(module)
    kernel = module.parametrizations.weight.original if weight else module.weight
    rows = torch.cat([kernel.flatten(1), module.bias[:, None]], 1).double()
    rows[:, -1] += (products[:, -1] - rows @ squares[:, -1]) / squares[-1, -1]
    if weight:
        rows = _rounded(rows, squares, weight, kernel.shape)
        kernel.copy_(rows[:, :-1].view_as(kernel))
    module.bias.copy_(rows[:, -1])


def _rounded(rows: Tensor, squares: Tensor, weight: Weight, shape: torch.Size) -> Tensor:
    """The rows (O, I · side² + 1) with all but their last column on the grid of `weight`."""
    grid = weight.grid().expand(shape).flatten(1).double()
    kernel = squares.diagonal()[:-1].argsort(descending=True)
    order = torch.cat([kernel, torch.tensor([len(kernel)])])
    squares = squares + torch.diag(DAMPING * squares.diagonal())
    rows, grid = rows[:, order].clone(), grid[:, order[:-1]]
    inverse = torch.linalg.inv(squares[order][:, order])
    factor = torch.linalg.cholesky(inverse, upper=True)
    for column in range(grid.shape[1]):
        near = whole(rows[:, column] / grid[:, column]) * grid[:, column]
        change = (rows[:, column] - near) / factor[column, column]
        rows[:, column:] -= change[:, None] * factor[column, column:]
        rows[:, column] = near
    result = torch.empty_like(rows)
    result[:, order] = rows
    return result
