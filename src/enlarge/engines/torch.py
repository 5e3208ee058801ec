"""torch: the engine on NVIDIA's and Apple's GPUs, for models with a `.safetensors` beside them, and
for checkpoints that are not converted yet.

The network is built from the card and parameters in that file, unless it is given. Tiles are copied
to the device and back as pixels: scaling, clamp, rounding and layout are computed there, in f32.
(h, w, 3) viewed as (1, 3, h, w) is already channels-last.

bf16 and f16 use autocast: convolutions and matrix products run in them, and their sum with the f32
picture is f32. f32 is IEEE, without TF32.
"""

from __future__ import annotations

import platform
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from enlarge import networks
from enlarge.card import Card, read_card
from enlarge.engines.protocol import FOREIGN_ERRORS, LEVELS, TileSpec, first_line, warn_of_overflow
from enlarge.errors import EngineError, EngineMemoryError, OptionError, WeightsError

_TYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
_SIGNED, _HIGHEST = 32767, 65535
_ON_CPU, _ON_GPU = 1.6, 0.3
"""Memory factors: 0.7 (SwinIR) to 1.3 (fast) were measured on a CPU; a GPU needs host memory for
pixels only.
"""
_LOCK = threading.Lock()
"""One tile at a time: it uses the whole device, and torch's settings are global."""


def torch_devices() -> list[str]:
    """The devices that torch can compute on here, the fastest first."""
    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*(cuda if torch.cuda.is_available() else []), *mps, "cpu"]


def check_device(device: str) -> None:
    """Raise `EngineError` if torch lists a device but cannot compute on it: it was not built for
    that device, or another process uses it exclusively.
    """
    try:
        (torch.zeros(1, device=device) + 1).item()
    except (RuntimeError, AssertionError) as error:  # the latter from a build without CUDA
        raise EngineError(f"torch does not compute on {device}: {first_line(error)}") from error


def cpu_has_bf16() -> bool:
    """Whether this processor computes in bf16 and torch uses it: otherwise torch emulates bf16,
    many times slower than f32.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    computes = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if platform.machine().lower() in ("x86_64", "amd64"):  # there AVX-512 alone is enough for it
        computes &= torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return computes


def torch_precisions(device: str) -> tuple[str, ...]:
    """The precisions that a device has hardware for, the best choice first."""
    if device == "cpu":
        return ("bf16", "f32") if cpu_has_bf16() else ("f32",)
    if device == "mps":
        return ("f32", "f16")  # f16 on request only: it has not been measured here
    with torch.cuda.device(device):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    return ("bf16", "f16", "f32") if native else ("f16", "f32")


def parameters_of(model: Path) -> Path:
    """The file with a model's parameters: the model itself, or the one beside it."""
    return model.with_suffix(".safetensors")


def has_network(model: Path, card: Card) -> bool:
    """Whether the file beside a model contains its network, according to the cards."""
    beside = parameters_of(model)
    try:
        found = read_card(beside) if beside.is_file() else None
    except WeightsError:
        return False
    if found is None or "int8" in card.precisions:
        return False
    wanted = (card.network, card.options, card.scale)
    return (found.network, found.options, found.scale) == wanted


class TorchEngine:
    """A network in torch, on one device: `network`, or the one that the model's parameters give.

    Raises `EngineError` if it cannot be built. A network that is given may be one of another
    project; its card holds what its tiles take in torch.
    """

    name = "torch"

    def __init__(
        self,
        model: Path,
        device: str,
        precision: str,
        threads: int,
        network: nn.Module | None = None,
    ) -> None:
        self.device, self.precision = device, precision
        self.memory_factor = _ON_CPU if device == "cpu" else _ON_GPU
        self._threads = threads
        self._format = torch.channels_last
        if network is None:
            self._network = _load(parameters_of(model), device)
        else:
            if device == "cpu":
                self.memory_factor = 1.0
            if not type(network).__module__.startswith(networks.__name__):
                self._format = torch.contiguous_format  # others may view what is in their order
            self._network = _placed(network, model, device, self._format)
        self._tried: set[tuple[int, int, np.dtype[Any]]] = set()
        self._overflowed = False

    def session(self, spec: TileSpec) -> TorchSession:
        """See `Engine.session`. On a GPU a black tile is computed first, as a trial, unless one as
        large was: torch keeps the memory that it took.
        """
        session = TorchSession(self, spec)
        if self.device != "cpu" and not any(
            width >= spec.width and height >= spec.height and target == spec.target
            for width, height, target in tuple(self._tried)  # threads share it
        ):
            session(np.zeros(spec.shape, spec.source))
            self._tried.add((spec.width, spec.height, spec.target))
        return session

    def forget(self) -> bool:
        """See `Engine.forget`: there is no cache beside the network itself."""
        return False

    def run(self, tile: NDArray[Any], spec: TileSpec) -> NDArray[Any]:
        """Enlarge one tile; see `Session.__call__`."""
        try:
            with _LOCK, torch.inference_mode(), _threads(self._threads), _wrapping(self.device):
                large = self._enlarged(tile, self.precision)
                if self.precision != "f32" and not large.sum().isfinite().item():
                    if not self._overflowed:
                        self._overflowed = True
                        warn_of_overflow(self.precision)
                    del large  # its memory is needed
                    large = self._enlarged(tile, "f32")
                return _to_pixels(large, spec)
        except EngineMemoryError:
            self._tried.clear()  # the memory that these tiles took was given back
            raise

    def _enlarged(self, tile: NDArray[Any], precision: str) -> Tensor:
        """The network's output, (1, 3, h·scale, w·scale), float32, not clamped."""
        image = _to_tensor(tile, self.device).contiguous(memory_format=self._format)
        half = torch.autocast(
            torch.device(self.device).type, _TYPES[precision], enabled=precision != "f32"
        )
        with half, in_full_f32(self.device):
            large: Tensor = self._network(image)
        return large.float()


class TorchSession:
    """See `Session`. Each call returns a new array."""

    def __init__(self, engine: TorchEngine, spec: TileSpec) -> None:
        self._engine, self._spec = engine, spec

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """See `Session.__call__`."""
        return self._engine.run(tile, self._spec)


def _load(path: Path, device: str) -> nn.Module:
    """The network of a `.safetensors` file with a card, on the device, in eval mode."""
    if not path.is_file():
        raise EngineError(
            f"{path}: missing; torch reads the network from the .safetensors file beside the "
            "model. Put it there, or use --engine openvino or onnxruntime"
        )
    try:
        card = read_card(path)
        if card is None:
            raise EngineError(f"{path}: has no enlarge card; expected one in its metadata")
        network = networks.build(card.network, **card.options)
        network.load_state_dict(load_file(path))
    except (OptionError, WeightsError, SafetensorError, OSError, RuntimeError) as error:
        raise EngineError(f"{path}: torch cannot build the network: {first_line(error)}") from error
    return _placed(network, path, device, torch.channels_last)


def _placed(network: nn.Module, path: Path, device: str, layout: torch.memory_format) -> nn.Module:
    """The network on the device, in eval mode. Raises `EngineError` where it does not fit."""
    try:
        return network.eval().to(device, memory_format=layout)  # type: ignore[call-overload]
    except torch.OutOfMemoryError as error:
        raise EngineError(
            f"{path}: the network does not fit into the memory of {device}"
        ) from error


def _to_tensor(tile: NDArray[Any], device: str) -> Tensor:
    """(h, w, 1 or 3) of uint8, uint16 or float32 → (1, 3, h, w), float32 in [0, 1], on the device.

    torch has few operations on uint16, so the bits are passed as int16.
    """
    kind = tile.dtype.name
    # torch warns about read-only arrays.
    tile = np.require(tile.view(np.int16) if kind == "uint16" else tile, requirements=("C", "W"))
    image = torch.from_numpy(tile).to(device).permute(2, 0, 1).unsqueeze(0)
    if kind == "uint16":
        image = image.to(torch.int32).bitwise_and(_HIGHEST)
    if kind != "float32":
        image = image.to(torch.float32).mul(1.0 / LEVELS[kind])
    if image.shape[1] == 1:
        image = image.expand(1, 3, -1, -1)
    return image


def _to_pixels(large: Tensor, spec: TileSpec) -> NDArray[Any]:
    """(1, 3, h, w), float32 → (h, w, channels) of the target dtype, rounded half to even."""
    target = spec.target.name
    if spec.channels == 1:
        large = large.mean(1, keepdim=True)
    large = large[0].permute(1, 2, 0)
    if spec.clamped:
        large = large.clamp(0.0, 1.0)
    if target != "float32":
        large = large.mul_(LEVELS[target]).round_()
    if target == "uint8":
        large = large.to(torch.uint8)
    elif target == "uint16":
        large = large.to(torch.int32)
        large = torch.where(large > _SIGNED, large - (_HIGHEST + 1), large).to(torch.int16)
    pixels: NDArray[Any] = large.contiguous().cpu().numpy()
    return pixels.view(np.uint16) if target == "uint16" else pixels


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Use that many CPU threads inside the block (0: torch's default)."""
    before = torch.get_num_threads()
    if count in (0, before):
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def in_full_f32(device: str) -> Iterator[None]:
    """Compute products in full f32: cuDNN uses TF32 by default, and a program may allow more."""
    if not device.startswith("cuda"):
        yield
        return
    settings = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    before = [setting.fp32_precision for setting in settings]
    for setting in settings:
        setting.fp32_precision = "ieee"
    try:
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value


@contextmanager
def _wrapping(device: str) -> Iterator[None]:
    """Turn errors of torch into `EngineError`s."""
    try:
        yield
    except FOREIGN_ERRORS as error:
        if isinstance(error, torch.OutOfMemoryError) or _is_about_memory(str(error)):
            _give_back(error, device)
            raise EngineMemoryError(
                f"torch ran out of memory on {device}: {first_line(error)}"
            ) from error
        raise EngineError(
            f"torch could not run the network on {device}: {first_line(error)}"
        ) from error


def _give_back(error: Exception, device: str) -> None:
    """Give a GPU's memory back after a tile that it did not suffice for: to smaller tiles, whose
    pieces are others, and to other processes. The frames of the failed call hold its tensors.
    """
    traceback.clear_frames(error.__traceback__)
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()


_ABOUT_MEMORY = (
    *("out of memory", "not enough memory", "t allocate memory"),
    *("STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED"),
    *("CUDNN_STATUS_NOT_SUPPORTED", "unable to find an engine to execute this computation"),
)
"""In messages: of torch's allocators; of libraries that need memory themselves when little is left;
and of cuDNN at tiles that are too large for it. Smaller tiles help against all of them.
"""


def _is_about_memory(text: str) -> bool:
    return any(words in text for words in _ABOUT_MEMORY)
