"""Muon: momentum whose updates are orthogonalised (Keller Jordan et al., 2024).

`torch.optim.Muon` takes matrices, one at a time; the kernels of a small network are many and
alike, so here kernels of one shape are stacked and orthogonalised together, which costs a few
batched products a step instead of hundreds of tiny ones. A kernel (out, in, k, k) counts as a
matrix out × in·k².
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# Coefficients of the quintic iteration, from the reference implementation.
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonalise(stack: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz: the singular values of each matrix of (N, rows, columns) move to about 1."""
    wide = stack.mT if stack.shape[-2] > stack.shape[-1] else stack
    x = wide / (wide.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    turned: Tensor = x.mT if stack.shape[-2] > stack.shape[-1] else x
    return turned


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, with decoupled weight decay.

    The step is `lr * max(1, rows / columns) ** 0.5`, as in the reference implementation.
    Parameters need at least two dimensions.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float = 0.01,
        momentum: float = 0.95,
        weight_decay: float = 0.05,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One update of every parameter that has a gradient; what `closure`, if any, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
            for parameters in by_shape.values():
                self._step_stack(group, parameters)
        return loss

    def _step_stack(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        moments = [
            self.state[p].setdefault("momentum", torch.zeros_like(gradient))
            for p, gradient in zip(parameters, gradients, strict=True)
        ]
        torch._foreach_lerp_(moments, gradients, 1.0 - group["momentum"])
        nesterov = torch._foreach_lerp(gradients, moments, group["momentum"])
        stack = torch.stack([update.flatten(1) for update in nesterov])  # (N, out, in·k²)
        rows, columns = stack.shape[1:]
        updates = orthogonalise(stack) * max(1.0, rows / columns) ** 0.5
        torch._foreach_mul_(parameters, 1.0 - group["lr"] * group["weight_decay"])
        steps = [u.view_as(p) for u, p in zip(updates, parameters, strict=True)]
        torch._foreach_add_(parameters, steps, alpha=-group["lr"])
