"""The memory that a network's tensors take while it runs in torch, counted without computing."""

from __future__ import annotations

import copy
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from enlarge.engines.protocol import FOREIGN_ERRORS


class _Peak(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = self._now = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_iter(out):
            if isinstance(value, Tensor):
                self._add(value.untyped_storage())
        self.most = max(self.most, self._now)
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        if id(storage) not in self._alive:
            self._alive[id(storage)] = storage.nbytes()
            self._now += storage.nbytes()
            weakref.finalize(storage, self._drop, id(storage))

    def _drop(self, key: int) -> None:
        self._now -= self._alive.pop(key)


def activation_bytes(network: nn.Module, side: int) -> int:
    """The peak of what all tensors hold together while the network enlarges a picture of `side`²
    pixels in f32, its parameters excluded.

    It is counted on the meta device; networks that do not run there compute a black picture.
    """
    peak = _Peak()
    try:
        abstract = copy.deepcopy(network).to("meta")
        with torch.inference_mode(), peak:
            abstract(torch.zeros(1, 3, side, side, device="meta"))
    except FOREIGN_ERRORS:
        peak = _Peak()
        with torch.inference_mode(), peak:
            network(torch.zeros(1, 3, side, side))
    return peak.most
