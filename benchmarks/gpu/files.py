"""Whole pictures: arrays in memory, from file to file, and the command; against the CPU."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import enlarge
from benchmarks.gpu.setting import UINT8, Pixels, Run, photograph, save
from benchmarks.speed.process import command
from enlarge.engines.torch import torch_precisions
from enlarge.upscaler import Upscaler

SIZE, SMALL, ON_CPU = (1024, 1536), (72, 96), (512, 512)
"""Height and width: of the picture, of that in a rehearsal, and of that which the CPU gets."""
TILES = (128, 256, 512)
FORMATS = (("png", "png"), ("jpg", "jpg"), ("jpg", "png"))


def files(run: Run) -> Iterator[dict[str, Any]]:
    """For every model, output megapixels a second: arrays, by precision and side of the tiles; from
    file to file, with seconds by stage; the command with its start; OpenVINO on the CPU.
    """
    pixels = photograph(*(SMALL if run.small else SIZE))
    table: dict[str, dict[str, Any]] = {}
    for name in run.models:
        upscaler = run.upscaler(name)
        scale = upscaler.card.scale
        found: dict[str, Any] = {"precision": upscaler.engine(UINT8).precision}
        table[name] = found
        found["arrays"] = arrays(run, name, pixels)
        found["files"] = between_files(upscaler, pixels)
        yield {"models": table, "size": pixels.shape[:2], "failures": []}
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.jpg", Path(folder) / "out.png"
            save(pixels, source)
            told = ("--model", name, "--engine", "torch", "--device", run.device)
            found["command"] = command(source, target, Path(folder) / "cache", *told)
        few = photograph(*(SMALL if run.small else ON_CPU))
        processor = enlarge.open_model(name, engine="openvino")
        found["CPU"] = {
            "precision": processor.engine(UINT8).precision,
            "rate": rate(run, processor, few, scale),
        }
        yield {"models": table, "size": pixels.shape[:2], "failures": []}


def rate(run: Run, upscaler: Upscaler, pixels: Pixels, scale: int, **options: Any) -> float:
    """Output megapixels a second, in memory."""
    seconds = run.seconds(lambda: upscaler.upscale(pixels, **options), least=0.5)
    return pixels.shape[0] * pixels.shape[1] * scale**2 / seconds / 1e6


def arrays(run: Run, name: str, pixels: Pixels) -> dict[str, float]:
    """By precision and tiles: those that enlarge chooses, and squares."""
    found: dict[str, float] = {}
    for place, precision in enumerate(torch_precisions(run.device)):
        upscaler = run.upscaler(name, precision)
        scale = upscaler.card.scale
        found[f"{precision}, automatic tiles"] = rate(run, upscaler, pixels, scale)
        for side in () if place else TILES:
            if side <= min(pixels.shape[:2]):
                rated = rate(run, upscaler, pixels, scale, tile=side)
                found[f"{precision}, tiles of {side}²"] = rated
    return found


def between_files(upscaler: Upscaler, pixels: Pixels) -> dict[str, Any]:
    """The better of two warm runs from file to file, by formats."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for given, wanted in FORMATS:
            source, target = Path(folder) / f"in.{given}", Path(folder) / f"out.{wanted}"
            save(pixels, source)
            runs = [upscaler.upscale_file(source, target, overwrite=True) for _ in range(3)][1:]
            done = min(runs, key=lambda run: run.seconds)
            found[f"{given} to {wanted}"] = {
                "rate": done.width * done.height / done.seconds / 1e6,
                "seconds": done.seconds,
                "stages": done.stages,
                "tiles": done.tiles,
                "tile": done.tile,
            }
    return found
