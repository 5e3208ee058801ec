"""What holds on every device that torch computes on here: the CPU, and GPUs where there are any."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import enlarge
from enlarge.engines import TileSpec
from enlarge.engines.torch import TorchEngine, torch_devices, torch_precisions
from enlarge.errors import EngineError, EngineMemoryError
from tests.engines.models import overflowing

OFFERED = [(device, p) for device in torch_devices() for p in torch_precisions(device)]
BELOW = [(device, precision) for device, precision in OFFERED if precision != "f32"]
UINT8 = np.dtype(np.uint8)
NOT_THE_CPU = "cpu:0"
"""To torch the CPU, to the engine another device: it tries a tile before the first one."""


def pixels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(("device", "precision"), OFFERED)
def test_a_bundled_model_gives_what_it_gives_elsewhere(device: str, precision: str) -> None:
    picture = pixels(60, 75)
    wanted = enlarge.open_model("fast", engine="openvino", precision="f32").upscale(picture)
    upscaler = enlarge.open_model("fast", engine="torch", device=device, precision=precision)
    error = np.abs(upscaler.upscale(picture).astype(int) - wanted)
    assert error.max() <= (1 if precision == "f32" else 8)
    assert error.mean() <= (0.01 if precision == "f32" else 0.5)
    assert upscaler.engine(UINT8).device == device


@pytest.mark.parametrize(("device", "precision"), BELOW)
def test_what_overflows_is_computed_in_f32(device: str, precision: str, tmp_path: Path) -> None:
    engine = TorchEngine(overflowing(tmp_path), device, precision, 1)
    tile = pixels(6, 5)
    spec = TileSpec(5, 6, 3, UINT8, UINT8)
    with pytest.warns(RuntimeWarning, match=f"overflowed in {precision} and was repeated in f32"):
        large = engine.session(spec)(tile)
    assert np.array_equal(large, tile.repeat(2, 0).repeat(2, 1))


class Cramped(nn.Module):
    """Repeats pixels, until `full`; then holds a tensor while its memory runs out."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error, self.full, self.calls = error, False, 0
        self.held: weakref.ref[torch.Tensor] | None = None

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        features = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
        if self.full:
            self.held = weakref.ref(features)
            raise self.error
        return features


def cramped(folder: Path, error: Exception) -> tuple[TorchEngine, Cramped]:
    engine = TorchEngine(overflowing(folder), "cpu", "f32", 1)
    network = Cramped(error)
    engine._network, engine.device = network, NOT_THE_CPU
    return engine, network


def test_a_gpu_is_tried_with_larger_tiles_only_and_again_without_memory(tmp_path: Path) -> None:
    engine, network = cramped(tmp_path, torch.OutOfMemoryError("CUDA out of memory."))
    spec = TileSpec(5, 6, 3, UINT8, UINT8)
    network.full = True
    for _ in range(2):
        with pytest.raises(EngineMemoryError, match="CUDA out of memory"):
            engine.session(spec)
    network.full = False
    tile = pixels(6, 5)
    wanted = tile.repeat(2, 0).repeat(2, 1)
    for _ in range(2):
        assert np.array_equal(engine.session(spec)(tile), wanted)
    assert network.calls == 2 + 1 + 2

    def trials(width: int, height: int, target: str = "uint8") -> int:
        before = network.calls
        engine.session(TileSpec(width, height, 3, UINT8, np.dtype(target)))
        return network.calls - before

    assert [trials(5, 6), trials(4, 6), trials(5, 3)] == [0, 0, 0]
    assert [trials(6, 5), trials(5, 6, "float32"), trials(6, 6), trials(5, 6)] == [1, 1, 1, 0]
    session = engine.session(spec)
    network.full = True
    with pytest.raises(EngineMemoryError):  # another process took what there was
        session(tile)
    network.full = False
    assert [trials(5, 6), trials(5, 6)] == [1, 0]


@pytest.mark.parametrize("device", ["cuda:0", "mps"])
def test_what_a_failed_tile_took_is_free_before_it_is_given_back(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from enlarge.engines.torch import _wrapping

    _, network = cramped(tmp_path, torch.OutOfMemoryError("out of memory"))
    network.full = True
    held: list[Any] = []

    def empty_cache() -> None:
        assert network.held is not None
        held.append(network.held())

    backend = torch.cuda if device.startswith("cuda") else torch.mps
    monkeypatch.setattr(backend, "empty_cache", empty_cache)
    with pytest.raises(EngineMemoryError), _wrapping(device):
        network(torch.zeros(1, 3, 2, 2))
    assert held == [None]


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory",
        "MPS backend out of memory (MPS allocated: 1.00 GiB)",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if ...",
        "GET was unable to find an engine to execute this computation",
    ],
)
def test_what_smaller_tiles_help_against(text: str, tmp_path: Path) -> None:
    engine, network = cramped(tmp_path, RuntimeError(text))
    network.full = True
    with pytest.raises(EngineMemoryError):
        engine.session(TileSpec(5, 6, 3, UINT8, UINT8))
    network.error = RuntimeError("CUDA error: an illegal memory access was encountered")
    with pytest.raises(EngineError) as caught:
        engine.session(TileSpec(5, 6, 3, UINT8, UINT8))
    assert type(caught.value) is EngineError


def test_a_gpu_that_runs_out_of_memory_goes_on_with_smaller_tiles() -> None:
    """`fast` on a device whose memory suffices for tiles of 128² pixels."""
    upscaler = enlarge.open_model("fast", engine="torch", device="cpu", precision="f32")
    picture = pixels(256, 256)
    wanted = upscaler.upscale(picture)
    engine = upscaler.engine(UINT8)
    assert isinstance(engine, TorchEngine)
    engine.device = NOT_THE_CPU
    computed: list[int] = []

    def limited(network: nn.Module, given: tuple[torch.Tensor]) -> None:
        area = given[0].shape[2] * given[0].shape[3]
        computed.append(area)
        if area > 128**2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")

    engine._network.register_forward_pre_hook(limited)
    large = upscaler.upscale(picture)
    assert computed[0] > 128**2
    assert computed[-1] <= 128**2
    assert np.abs(large.astype(int) - wanted).max() <= 1
