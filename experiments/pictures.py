"""Pictures as a run's network makes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from enlarge.data.photos import Pair
from enlarge.networks import build
from enlarge.training.config import Config
from enlarge.training.fit import network_of


def enlarged(config: Config, run: Path, pairs: Sequence[Pair]) -> list[NDArray[np.uint8]]:
    """The pairs' low pictures, enlarged by the averaged network of a run: uint8 H×W×3 RGB."""
    network = build(config.model.network, **config.model.options).eval()
    network.load_state_dict(network_of(run / "last.ckpt", "average"))
    made = []
    with torch.inference_mode():
        for pair in pairs:
            low = torch.from_numpy(pair.low.transpose(2, 0, 1)[None] / np.float32(255))
            out = network(low)[0].clamp(0, 1).mul(255).round().byte()
            made.append(out.permute(1, 2, 0).numpy())
    return made
