"""Which engine, device and precision are picked, and what is refused with which words."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
from safetensors.numpy import save_file

from enlarge import settings
from enlarge.engines import Engine, EngineOptions, Placement, find_placement, pick, pick_engine
from enlarge.engines import onnxruntime as ort_engine
from enlarge.engines import torch as torch_engine
from enlarge.engines.openvino import has_bf16
from enlarge.engines.protocol import EngineName, Precision
from enlarge.errors import EngineError, OptionError
from enlarge.model_file import Weights
from enlarge.weights.catalog import find_weights

FAST = find_weights("fast")
Patch = pytest.MonkeyPatch


def picked(weights: Weights = FAST, **wish: Any) -> Engine:
    """The engine for pictures of 8 bits, as wished for."""
    return pick_engine(weights, EngineOptions(**wish))


def in_16_bits(weights: Weights = FAST) -> Engine:
    """The engine for pictures of 16 bits."""
    return pick_engine(weights, dtype=np.dtype(np.uint16))


def alone(folder: Path, **card: Any) -> Weights:
    """`fast` in a folder, with nothing beside it, and other entries on its card."""
    path = folder / "fast.onnx"
    path.write_bytes(FAST.path.read_bytes())
    return Weights(path, replace(FAST.card, **card))


def refused(kind: type[Exception], *parts: str, **wish: Any) -> None:
    """Picking raises that, in one line that has all parts."""
    weights = wish.pop("weights", FAST)
    with pytest.raises(kind) as caught:
        picked(weights, **wish)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text


def with_gpus(patch: Patch, torch: bool = True, onnxruntime: bool = True) -> None:
    """A machine with a GPU, and the engines built for it: what was imported already is made so."""
    patch.setattr(pick, "_has_gpu", lambda: True)
    builds = {"torch": torch, "onnxruntime": onnxruntime}
    patch.setattr(pick, "_has_gpu_build", builds.__getitem__)
    cuda = ["cuda:0", "cuda:1"] if torch else []
    patch.setattr(torch_engine, "torch_devices", lambda: [*cuda, "cpu"])
    patch.setattr(torch_engine, "check_device", lambda device: None)
    patch.setattr(torch_engine, "torch_precisions", lambda device: ("bf16", "f16", "f32"))
    patch.setattr(
        ort_engine, "onnxruntime_devices", lambda: ["cuda", "cpu"] if onnxruntime else ["cpu"]
    )
    for module, name in ((torch_engine, "TorchEngine"), (ort_engine, "OnnxRuntimeEngine")):

        def made(model: Path, device: str, precision: str, *rest: object, name: str = name) -> Any:
            return SimpleNamespace(name=name, device=device, precision=precision)

        patch.setattr(module, name, made)


def test_the_command_lines_words_are_the_engines() -> None:
    assert get_args(settings.EngineName) == get_args(EngineName)
    assert get_args(settings.Precision) == get_args(Precision)


def test_openvino_on_a_cpu(monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.setattr(pick, "_has_gpu", lambda: False)
    model = alone(tmp_path)
    wishes: list[dict[str, Any]] = [{}, {"device": "cpu"}, {"engine": "openvino"}]
    for wish in wishes:
        engine = picked(model, **wish)
        assert (engine.name, engine.device) == ("openvino", "cpu")
        assert engine.precision == ("bf16" if has_bf16() else "f32")
    assert in_16_bits().precision == "f32"
    assert picked(alone(tmp_path, precisions=("f32",))).precision == "f32"


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_the_others_on_a_cpu_when_asked(engine: str) -> None:
    made = picked(engine=engine, precision="f32")
    assert (made.name, made.device, made.precision) == (engine, "cpu", "f32")


def test_a_gpu_is_taken_where_there_is_one(monkeypatch: Patch, tmp_path: Path) -> None:
    with_gpus(monkeypatch)
    found = picked()
    assert (found.name, found.device, found.precision) == ("TorchEngine", "cuda:0", "bf16")
    assert in_16_bits().precision == "f32"
    assert picked(device="cuda:1").device == "cuda:1"
    assert picked(device="cuda").device == "cuda:0"
    assert picked(device="cpu").name == "openvino"
    assert picked(engine="openvino").name == "openvino"
    assert find_placement(FAST) == Placement("torch", "cuda:0", ("bf16", "f16", "f32"))
    refused(EngineError, "cuda:7", "cuda:0, cuda:1, cpu", engine="torch", device="cuda:7")
    bare = alone(tmp_path)  # without its parameters beside it, torch cannot build it
    found = picked(bare)
    assert (found.name, found.device, found.precision) == ("OnnxRuntimeEngine", "cuda", "f16")
    assert picked(bare, device="cuda:1").device == "cuda:1"


@pytest.mark.parametrize("beside", ["foreign", "another", "int8"])
def test_what_lies_beside_a_model_is_not_always_its_network(
    monkeypatch: Patch, tmp_path: Path, beside: str
) -> None:
    with_gpus(monkeypatch)
    model = alone(tmp_path)
    parameters = FAST.path.with_suffix(".safetensors")
    if beside == "foreign":
        save_file({"x": np.zeros(3, np.float32)}, model.path.with_suffix(".safetensors"))
    else:
        model.path.with_suffix(".safetensors").write_bytes(parameters.read_bytes())
        wide = {**FAST.card.options, "channels": 64}
        other: dict[str, Any] = {"options": wide} if beside == "another" else {}
        model = alone(tmp_path, **(other or {"precisions": ("int8",)}))
    assert picked(model).name == "OnnxRuntimeEngine"
    kind: type[Exception] = OptionError if beside == "int8" else EngineError
    said = "int8 and torch" if beside == "int8" else "does not hold the network of fast.onnx"
    refused(kind, said, weights=model, engine="torch")


def test_a_device_is_tried() -> None:
    torch_engine.check_device("cpu")
    with pytest.raises(EngineError, match="torch does not compute on cuda:9: "):
        torch_engine.check_device("cuda:9")


def test_a_torch_that_does_not_load_is_as_good_as_none(monkeypatch: Patch) -> None:
    with_gpus(monkeypatch, onnxruntime=False)

    def broken() -> list[str]:
        raise OSError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr(torch_engine, "torch_devices", broken)
    assert picked().name == "openvino"
    refused(EngineError, "libcudart.so.12", 'pip install "enlarge[torch]"', engine="torch")


def test_an_interrupt_while_an_engine_is_imported_is_one(monkeypatch: Patch) -> None:
    def interrupted() -> list[str]:
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setattr(torch_engine, "torch_devices", interrupted)
    with pytest.raises(KeyboardInterrupt):
        find_placement(FAST, EngineOptions("torch"))


def test_a_gpu_that_torch_was_not_built_for_is_none(monkeypatch: Patch) -> None:
    """torch counts it; the first sum fails."""
    with_gpus(monkeypatch)

    def fail(device: str) -> None:
        raise EngineError(f"torch does not compute on {device}: no kernel image is available")

    monkeypatch.setattr(torch_engine, "check_device", fail)
    assert picked().name == "OnnxRuntimeEngine"
    refused(EngineError, "no kernel image", engine="torch", device="cuda:1")


def test_onnx_runtime_where_torch_has_no_gpu(monkeypatch: Patch) -> None:
    with_gpus(monkeypatch, torch=False)
    assert picked().name == "OnnxRuntimeEngine"
    assert picked(replace(FAST, card=replace(FAST.card, precisions=("f32",)))).precision == "f32"


def test_builds_for_gpus_that_find_none_do_not_disturb(monkeypatch: Patch) -> None:
    with_gpus(monkeypatch, torch=False, onnxruntime=False)
    monkeypatch.setattr(pick, "_has_gpu_build", lambda engine: True)
    assert picked().name == "openvino"


def test_a_gpu_that_is_not_there(monkeypatch: Patch) -> None:
    with_gpus(monkeypatch, torch=False, onnxruntime=False)
    parts = ("cuda:0", "torch has no device", "ONNX Runtime has no device", "it has: cpu")
    refused(EngineError, *parts, device="cuda:0")
    refused(EngineError, "torch has no device cuda:0", engine="torch", device="cuda:0")


def test_contradictions_and_unknown_words() -> None:
    refused(OptionError, "'abacus'", "openvino, onnxruntime, torch", engine="abacus")
    refused(OptionError, "--engine openvino", "--device cuda:0", engine="openvino", device="cuda:0")
    for device in ("GPU", "cuda:", "cuda:x", "cpu:0", "auto:1", "mps:0", ""):
        refused(OptionError, "cuda:NUMBER", repr(device), device=device)
    refused(OptionError, "'f12'", "f32, bf16, f16, int8", precision="f12")
    refused(OptionError, "threads", "-2", threads=-2)


def test_precisions_that_cannot_be(monkeypatch: Patch, tmp_path: Path) -> None:
    for engine in ("openvino", "onnxruntime", "torch"):
        refused(OptionError, "f16 on this CPU", "f32", engine=engine, device="cpu", precision="f16")
    model = alone(tmp_path)
    for engine in ("openvino", "onnxruntime"):
        wish = {"engine": engine, "precision": "int8"}
        refused(OptionError, "fast has no 8-bit form", "fast.int8.onnx", weights=model, **wish)
    refused(OptionError, "bf16 on this CPU", engine="onnxruntime", precision="bf16")
    monkeypatch.setattr("enlarge.engines.openvino.has_bf16", lambda: False)
    monkeypatch.setattr(torch_engine, "cpu_has_bf16", lambda: False)
    refused(OptionError, "OpenVINO does not compute in bf16", "it does in: ", precision="bf16")
    refused(OptionError, "torch does not compute in bf16", engine="torch", precision="bf16")
    assert picked(model).precision == "f32"


def test_a_file_in_int8_is_computed_in_int8(tmp_path: Path) -> None:
    model = alone(tmp_path, precisions=("int8",))
    assert picked(model).precision == "int8"
    assert picked(model, engine="onnxruntime").precision == "int8"
    assert in_16_bits(model).precision == "int8"
    refused(OptionError, "int8 and torch", weights=model, engine="torch", precision="int8")
    refused(
        OptionError, "fast is stored in int8", "got --precision f32", weights=model, precision="f32"
    )


@pytest.mark.parametrize(
    ("engine", "install"),
    [("torch", 'pip install "enlarge[torch]"'), ("onnxruntime", 'pip install "enlarge[onnx]"')],
)
def test_a_missing_package_is_named_with_its_install_command(
    engine: str, install: str, monkeypatch: Patch
) -> None:
    monkeypatch.setitem(sys.modules, f"enlarge.engines.{engine}", None)
    refused(EngineError, "cannot be imported", install, engine=engine)
    refused(EngineError, "cuda:0", install, device="cuda:0")


def test_builds_for_gpus_are_told_from_their_files(tmp_path: Path, monkeypatch: Patch) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(pick, "find_spec", lambda name: spec)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not pick._has_gpu_build("torch")
    for engine, name in (
        ("torch", "lib/libtorch_cuda.so"),
        ("onnxruntime", "capi/libonnxruntime_providers_cuda.so"),
    ):
        (tmp_path / name).parent.mkdir()
        assert not pick._has_gpu_build(engine)
        (tmp_path / name).touch()
        assert pick._has_gpu_build(engine)
    monkeypatch.setattr(pick, "find_spec", lambda name: None)
    assert not pick._has_gpu_build("torch")


def test_a_gpu_is_told_from_its_driver(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(pick, "_DRIVERS", (f"{tmp_path}/nvidia[0-9]*", f"{tmp_path}/kfd"))
    (tmp_path / "nvidiactl").touch()
    assert not pick._has_gpu()
    (tmp_path / "nvidia3").touch()
    assert pick._has_gpu()


def test_this_build_of_torch_is_recognised() -> None:
    torch = pytest.importorskip("torch")
    assert pick._has_gpu_build("torch") == (torch.version.cuda is not None)
    assert importlib.util.find_spec("torch") is not None


def test_onnx_runtimes_devices() -> None:
    assert "cpu" in ort_engine.onnxruntime_devices()
    assert all(re.fullmatch("[a-z]+", device) for device in ort_engine.onnxruntime_devices())
    assert not ort_engine._starts("NoSuchExecutionProvider")
