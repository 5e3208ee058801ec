"""What every engine promises, over the table of networks: the same picture as the plain network."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from enlarge.engines import Engine, EngineOptions, TileSpec
from enlarge.engines.lru import LRUCache
from enlarge.engines.onnxruntime import OnnxRuntimeEngine, _wrapped
from enlarge.engines.openvino import OpenVinoEngine
from enlarge.engines.torch import TorchEngine, in_full_f32, torch_devices
from enlarge.errors import EngineError, EngineMemoryError
from enlarge.model_file import Weights
from enlarge.upscaler import Upscaler
from enlarge.weights.catalog import find_weights
from tests.engines.models import overflowing, vanishing, write
from tests.networks.tiny import TINY, tiny
from tests.precisions import require

Maker = Callable[[Path, str], Engine]


def _on_gpu(device: str, path: Path, precision: str) -> Engine:
    return TorchEngine(path, device, precision, 1)


ENGINES: dict[str, Maker] = {
    "openvino": lambda path, precision: OpenVinoEngine(path, precision, 1),
    "onnxruntime": lambda path, precision: OnnxRuntimeEngine(path, "cpu", precision, 1),
    "torch": lambda path, precision: TorchEngine(path, "cpu", precision, 1),
}
GPUS = [device for device in torch_devices() if device != "cpu"]
ENGINES |= {gpu: partial(_on_gpu, gpu) for gpu in GPUS}
LEVELS = {"uint8": 255, "uint16": 65535, "float32": 1}


class Kind(NamedTuple):
    channels: int
    source: str
    target: str


KINDS = [
    Kind(3, "uint8", "uint8"),
    Kind(1, "uint8", "float32"),
    Kind(1, "uint16", "uint16"),
    Kind(3, "uint16", "float32"),
    Kind(3, "float32", "float32"),
]


def tile_of(height: int, width: int, kind: Kind) -> NDArray[Any]:
    noise = np.random.default_rng(3).random((height, width, kind.channels), np.float32)
    return noise if kind.source == "float32" else (noise * LEVELS[kind.source]).astype(kind.source)


def run(engine: Engine, tile: NDArray[Any], target: str) -> NDArray[Any]:
    height, width, channels = tile.shape
    large = engine.session(TileSpec(width, height, channels, tile.dtype, np.dtype(target)))(tile)
    assert large.dtype == np.dtype(target)
    return np.array(large)


def expected(network: nn.Module, tile: NDArray[Any], kind: Kind) -> NDArray[np.float64]:
    """The plain network in torch, then numpy: float in [0, 1], not rounded."""
    image = torch.from_numpy(np.float32(tile / np.float32(LEVELS[kind.source])))
    with torch.no_grad():
        large = network(image.permute(2, 0, 1)[None].expand(1, 3, -1, -1))[0].double().numpy()
    if kind.channels == 1:
        large = large.mean(0, keepdims=True)
    clipped: NDArray[np.float64] = large.transpose(1, 2, 0).clip(0, 1)
    return clipped


@pytest.fixture(scope="module", params=TINY)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[nn.Module, Path]:
    """A tiny network, and its files."""
    network = tiny(request.param)
    with torch.no_grad():  # random networks may give less than black everywhere
        [bias for key, bias in network.named_parameters() if key.endswith("bias")][-1].add_(0.5)
    folder = tmp_path_factory.mktemp("model")
    return network, write(network, request.param, TINY[request.param], folder)


def sides(network: nn.Module) -> tuple[int, int]:
    """Odd ones, where the network takes them."""
    multiple = int(network.multiple)  # type: ignore[arg-type]
    return (13, 10) if multiple == 1 else (3 * multiple, multiple)


@pytest.mark.parametrize("name", ENGINES)
def test_engines_agree_with_the_plain_network(name: str, model: tuple[nn.Module, Path]) -> None:
    network, path = model
    engine = ENGINES[name](path, "f32")
    for kind in KINDS:
        tile = tile_of(*sides(network), kind)
        got = run(engine, tile, kind.target) / LEVELS[kind.target]
        wanted = expected(network, tile, kind)
        assert wanted.min() < wanted.max()
        most = 1e-4 + (kind.target != "float32") * 0.501 / LEVELS[kind.target]
        assert np.abs(got - wanted).max() <= most, kind


@pytest.mark.parametrize("name", ENGINES)
def test_unclamped_is_what_the_network_gives(name: str, tmp_path: Path) -> None:
    network = tiny("srvgg", scale=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.body[-1].bias.fill_(0.5)  # type: ignore[index, union-attr]
    options = TINY["srvgg"] | {"scale": 2}
    engine = ENGINES[name](write(network, "srvgg", options, tmp_path), "f32")
    for channels in (1, 3):
        tile = tile_of(6, 5, Kind(channels, "uint8", "float32"))
        wanted = tile.repeat(2, 0).repeat(2, 1) / np.float32(255) + np.float32(0.5)
        kinds = (tile.dtype, np.dtype(np.float32))
        for clamped, most in ((True, 1.0), (False, 1.5)):
            spec = TileSpec(5, 6, channels, *kinds, clamped=clamped)
            large = engine.session(spec)(tile)
            np.testing.assert_allclose(large, wanted.clip(0, most), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "precision", "most"),
    [("openvino", "bf16", 0.03), ("torch", "bf16", 0.03), ("onnxruntime", "f16", 0.004)],
)
def test_low_precision_stays_close(
    name: str, precision: str, most: float, model: tuple[nn.Module, Path]
) -> None:
    if precision == "bf16":
        require("bf16", name)
    network, path = model
    kind = Kind(3, "uint8", "float32")
    tile = tile_of(*sides(network), kind)
    got = run(ENGINES[name](path, precision), tile, kind.target)
    assert np.abs(got - expected(network, tile, kind)).max() <= most
    if name == "torch":  # which computes nothing else in f32 than what was asked for
        assert np.abs(got - expected(network, tile, kind)).max() > 1e-5


@pytest.mark.parametrize(("name", "precision"), [("torch", "bf16"), ("onnxruntime", "f16")])
def test_a_tile_that_overflows_is_repeated_in_f32_and_that_is_said_once(
    name: str, precision: str, tmp_path: Path
) -> None:
    engine = ENGINES[name]((overflowing if name == "torch" else vanishing)(tmp_path), precision)
    tile = tile_of(6, 5, Kind(3, "uint8", "uint8"))
    wanted = tile.repeat(2, 0).repeat(2, 1) if name == "torch" else tile
    with pytest.warns(RuntimeWarning, match=f"overflowed in {precision} and was repeated in f32"):
        assert np.array_equal(run(engine, tile, "uint8"), wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(run(engine, tile, "uint8"), wanted)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_level_survives(name: str, dtype: str, tmp_path: Path) -> None:
    engine = ENGINES[name](overflowing(tmp_path), "f32")
    side = 16 if dtype == "uint8" else 256
    tile = np.arange(side * side, dtype=dtype).reshape(side, side, 1)
    for tile_ in (tile, tile.repeat(3, axis=2)):
        tile_.setflags(write=False)  # pixels of others are read, never written
        assert np.array_equal(run(engine, tile_, dtype), tile_.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_what_was_compiled_is_kept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ENGINES[name](overflowing(tmp_path), "f32")
    compiled: list[int] = []
    method = "_compiled" if name == "openvino" else "_compile"
    whole = getattr(engine, method)

    def counting(*arguments: Any) -> Any:
        compiled.append(1)
        return whole(*arguments)

    monkeypatch.setattr(engine, method, counting)
    tile = np.zeros((6, 5, 3), np.uint8)
    for _ in range(3):
        run(engine, tile, "uint8")
    assert len(compiled) == 1
    run(engine, tile, "float32")
    run(engine, tile[:5], "uint8")
    assert len(compiled) == 3
    assert engine.forget()
    assert not engine.forget()
    run(engine, tile, "uint8")
    assert len(compiled) == 4


def test_the_last_few_are_kept_and_a_failure_is_not() -> None:
    kept: LRUCache[str] = LRUCache(2)
    made: list[str] = []

    def get(key: str) -> str:
        def make() -> str:
            made.append(key)
            return key

        return kept.get(key, make)

    for key in "abacab":
        assert get(key) == key
    assert made == ["a", "b", "c", "b"]  # b was out, since a was asked for after it
    with pytest.raises(ZeroDivisionError):
        kept.get("x", lambda: str(1 // 0))
    assert get("x") == "x"


@pytest.mark.parametrize("name", ENGINES)
def test_two_threads_share_an_upscaler(name: str) -> None:
    weights = find_weights("fast")
    engine, device = ("torch", name) if name in GPUS else (name, "cpu")
    upscaler = Upscaler(weights, EngineOptions(engine, device, "f32", 1))
    noise = np.random.default_rng(5)
    pictures = [noise.integers(0, 256, (24, 20, 3), np.uint8) for _ in range(6)]
    wanted = [upscaler.upscale(picture) for picture in pictures]
    found: dict[int, NDArray[Any]] = {}

    def work(first: int) -> None:
        for number in range(first, len(pictures), 2):
            found[number] = upscaler.upscale(pictures[number])

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, picture in enumerate(wanted):
        assert np.array_equal(found[number], picture)


def test_pictures_of_one_size_are_compiled_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []
    whole = OpenVinoEngine._compiled

    def counting(engine: OpenVinoEngine, *arguments: Any) -> Any:
        compiled.append(1)
        return whole(engine, *arguments)

    monkeypatch.setattr(OpenVinoEngine, "_compiled", counting)
    upscaler = Upscaler(find_weights("fast"), EngineOptions(device="cpu"))
    pixels = np.random.default_rng(6).integers(0, 256, (24, 20, 4), np.uint8)
    wanted = upscaler.upscale(pixels)
    for _ in range(3):
        assert np.array_equal(upscaler.upscale(pixels), wanted)
    assert len(compiled) == 2  # colour and alpha


def test_a_tight_budget_gives_up_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    upscaler = Upscaler(find_weights("fast"), EngineOptions(device="cpu"))
    engine = upscaler.engine(np.dtype(np.uint8))
    pixels = np.zeros((70, 80, 3), np.uint8)
    upscaler.upscale(pixels)
    asked: list[int] = []

    def forget(engine: Engine) -> bool:
        asked.append(1)
        return False

    monkeypatch.setattr(type(engine), "forget", forget)
    upscaler.upscale(pixels)
    assert not asked
    with pytest.raises(Exception, match="too small"):
        upscaler.upscale(pixels, memory="1MB")
    assert asked


def test_torch_says_that_its_file_is_missing_or_no_network(tmp_path: Path) -> None:
    path = overflowing(tmp_path)
    beside = path.with_suffix(".safetensors")
    beside.write_bytes(beside.read_bytes()[:-50])
    with pytest.raises(EngineError, match=r"srvgg\.safetensors"):
        TorchEngine(path, "cpu", "f32", 0)
    beside.unlink()
    with pytest.raises(EngineError, match=r"srvgg\.safetensors: missing.*--engine openvino"):
        TorchEngine(path, "cpu", "f32", 0)


def test_onnx_runtime_says_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(EngineError, match=r"m\.onnx"):
        OnnxRuntimeEngine(tmp_path / "m.onnx", "cpu", "f32", 0)


def test_out_of_memory_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TorchEngine(overflowing(tmp_path), "cpu", "f32", 0)
    tile = np.zeros((6, 5, 3), np.uint8)
    for error, kind in (
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), EngineMemoryError),
        (RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory"), EngineMemoryError),
        (RuntimeError("a kernel is missing"), EngineError),
    ):

        def fail(image: Any, error: Exception = error) -> Any:
            raise error

        monkeypatch.setattr(engine, "_network", fail)
        with pytest.raises(EngineError) as caught:
            run(engine, tile, "uint8")
        assert type(caught.value) is kind
    text = "[ONNXRuntimeError] : 6 : BFCArena::AllocateRawInternal Failed to allocate memory"
    assert isinstance(_wrapped(RuntimeError(text), "run"), EngineMemoryError)
    assert not isinstance(_wrapped(RuntimeError("no kernel"), "run"), EngineMemoryError)


def test_f32_on_cuda_is_ieee_and_a_users_settings_come_back() -> None:
    def settings() -> tuple[str, str]:
        backends = torch.backends
        matmul = backends.cuda.matmul.fp32_precision
        return backends.cudnn.conv.fp32_precision, matmul  # type: ignore[attr-defined]

    before = settings()
    with in_full_f32("cuda:0"):
        assert settings() == ("ieee", "ieee")
    assert settings() == before
    assert torch.backends.cudnn.allow_tf32 in (True, False)  # which raises where they are mixed


def test_threads_are_torchs_only_while_it_computes(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    engine = TorchEngine(overflowing(tmp_path), "cpu", "f32", before + 1)
    seen = []
    engine._network.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    run(engine, np.zeros((6, 5, 3), np.uint8), "uint8")
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_a_model_of_weights_in_the_wheel_has_its_network_beside_it() -> None:
    weights: Weights = find_weights("fast")
    tile = tile_of(17, 21, Kind(3, "uint8", "uint8"))
    made = [run(make(weights.path, "f32"), tile, "uint8").astype(int) for make in ENGINES.values()]
    assert max(np.abs(made[0] - other).max() for other in made[1:]) <= 1
