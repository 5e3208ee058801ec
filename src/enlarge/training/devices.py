"""The device that a run trains on, and the precision in which it trains fastest there."""

from __future__ import annotations

from dataclasses import replace

import torch

from enlarge.engines.torch import torch_precisions
from enlarge.training.config import Config, Train


def device_of(train: Train) -> str:
    """cpu, cuda or mps: what `train.device` names, or what Lightning picks for `auto`."""
    if train.device != "auto":
        return train.device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def with_precision(config: Config) -> Config:
    """The config with a precision in place of `auto`: bf16 where the device computes in it itself,
    else f32. A processor without bf16 emulates it, ten times slower than f32.
    """
    if config.train.precision != "auto":
        return config
    device = device_of(config.train)
    is_there = device != "cuda" or torch.cuda.is_available()  # the trainer refuses what is not
    has_bf16 = is_there and "bf16" in torch_precisions(device)
    train = replace(config.train, precision="bf16" if has_bf16 else "f32")
    return replace(config, train=train)
