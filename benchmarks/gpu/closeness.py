"""How close the precisions of the device are to f32, and f32 to that of OpenVINO on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import enlarge
from benchmarks.closeness import difference, is_close
from benchmarks.gpu.setting import Run
from enlarge.data.photos import bicubic_pair
from enlarge.engines.torch import torch_precisions
from enlarge.metrics.protocol import Protocol
from enlarge.upscaler import Upscaler

ON_CPU = 2
"""Photographs that the CPU computes as well."""


def closeness(run: Run) -> Iterator[dict[str, Any]]:
    """For every bundled model and precision: PSNR to f32, the share within 3 levels, the largest
    difference, and PSNR and SSIM to the originals.
    """
    rows: dict[str, dict[str, Any]] = {}
    failures: list[str] = []
    names = [card.name for card in enlarge.models()]
    for name in ("fast", "quality") if run.small else names:
        fine = run.upscaler(name, "f32")
        processor = enlarge.open_model(name, engine="openvino", precision="f32")
        apart = difference(processor, fine, run.photos[:ON_CPU])
        rows[name] = {"f32": {"against OpenVINO": apart["worst"], **scores(fine, run)}}
        if apart["worst"] > 1.0:
            failures.append(f"{name}: f32 is {apart['worst']:.1f} levels from OpenVINO's")
        for precision in torch_precisions(run.device):
            if precision != "f32":
                coarse = run.upscaler(name, precision)
                found = difference(fine, coarse, run.photos)
                rows[name][precision] = found | scores(coarse, run)
                if not is_close(found):
                    failures.append(f"{name}: {precision} is not close enough to f32")
        yield {"rows": rows, "photographs": len(run.photos), "failures": failures}


def scores(upscaler: Upscaler, run: Run) -> dict[str, float]:
    """Mean PSNR and SSIM to the originals, by the usual protocol, 8 bits in and out."""
    protocol, scale = Protocol(), upscaler.card.scale
    pairs = [bicubic_pair(photo, scale) for photo in run.photos]
    found = [
        protocol.measure(upscaler.upscale(pair.low), pair.high, factor=scale) for pair in pairs
    ]
    return {
        "to the originals": float(np.mean([each.psnr for each in found])),
        "SSIM": float(np.mean([each.ssim for each in found])),
    }
