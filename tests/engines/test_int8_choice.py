"""When a model's 8-bit form is taken: by its card, the picture, the engine and the processor."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import enlarge
from enlarge.engines import EngineOptions, find_placement, onnxruntime, pick, pick_engine
from enlarge.errors import OptionError
from enlarge.model_file import Weights
from enlarge.weights.catalog import find_weights
from tests.engines.int8_forms import EXACT, FORM, TILES, write_pair

Patch = pytest.MonkeyPatch
U8, U16, F32 = (np.dtype(name) for name in ("uint8", "uint16", "float32"))
"""What is chosen where int8 is not."""
on_x86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="int8 is chosen on x86 only"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: Patch) -> Path:
    monkeypatch.setenv("ENLARGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pick, "_has_gpu", lambda: False)
    monkeypatch.setattr("enlarge.engines.openvino.has_bf16", lambda: False)
    return tmp_path / "cache"


def gain(path: Path, dtype: Any = U8, **options: Any) -> float:
    """By how much the file that is run multiplies a picture."""
    level = 1.0 if dtype == F32 else np.iinfo(dtype).max
    picture = np.full((20, 24, 3), 0.8 * level).astype(dtype)
    large = enlarge.open_model(path, **options).upscale(picture)
    return round(float(large.mean() / picture.mean()), 2)


@on_x86
def test_int8_for_8_bits_alone(tmp_path: Path) -> None:
    path = write_pair(tmp_path)
    assert gain(path) == FORM
    assert gain(path, U16) == EXACT
    assert gain(path, F32) == EXACT
    model = enlarge.open_model(path)
    assert [model.engine(kind).precision for kind in (U8, U16, F32)] == ["int8", "f32", "f32"]


@on_x86
def test_a_flipped_and_a_tiled_picture_too(tmp_path: Path) -> None:
    model = enlarge.open_model(write_pair(tmp_path))
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    for options in ({"ensemble": True}, {"tile": 16}, {"exact": True}):
        large = model.upscale(picture, **options)
        assert np.abs(large - picture * FORM).max() <= 1


def test_a_precision_that_is_asked_for_is_taken(tmp_path: Path) -> None:
    path = write_pair(tmp_path)
    assert gain(path, precision="f32") == EXACT
    assert gain(path, U16, precision="int8") == FORM
    assert gain(path, precision="int8") == FORM


@pytest.mark.parametrize(
    "about",
    [{"valid": 0.021}, {"detail": 0.021}, {"flat": 1.5}, {"gradient": 2}, {"gradient": None},
     {"drawing": 1.1}, {"drawing": None}, {"valid": float("nan")}, {"valid": "little"}],
    ids=str,
)  # fmt: skip
def test_a_form_that_loses_too_much_is_only_taken_on_request(
    tmp_path: Path, about: dict[str, Any]
) -> None:
    path = write_pair(tmp_path, **about)
    assert gain(path) == EXACT
    assert enlarge.open_model(path).engine(U8).precision == "f32"
    assert gain(path, precision="int8") == FORM


def test_the_form_of_another_file_is_ignored_with_a_warning(tmp_path: Path) -> None:
    path = write_pair(tmp_path, of="0" * 64)
    with pytest.warns(RuntimeWarning, match=r"m\.int8\.onnx: is ignored, .* another m\.onnx"):
        assert gain(path) == EXACT
    with (
        pytest.warns(RuntimeWarning, match="is ignored"),
        pytest.raises(OptionError, match=r"m has no 8-bit form, a file m\.int8\.onnx"),
    ):
        gain(path, precision="int8")


def test_an_unreadable_form_is_ignored_with_a_warning(tmp_path: Path) -> None:
    path = write_pair(tmp_path)
    (tmp_path / "m.int8.onnx").write_bytes(b"no model")
    with pytest.warns(RuntimeWarning, match=r"m\.int8\.onnx"):
        assert gain(path) == EXACT


def test_a_file_in_int8_by_that_name_may_be_a_model_of_its_own(tmp_path: Path) -> None:
    path = write_pair(tmp_path, of=None)
    assert gain(path) == EXACT
    assert gain(tmp_path / "m.int8.onnx") == FORM


def test_a_form_is_a_model_by_its_path(tmp_path: Path) -> None:
    write_pair(tmp_path)
    assert gain(tmp_path / "m.int8.onnx") == FORM
    with pytest.raises(OptionError, match="m is stored in int8"):
        gain(tmp_path / "m.int8.onnx", precision="f32")


def test_other_engines(tmp_path: Path) -> None:
    """ONNX Runtime is slower in int8, and torch has none."""
    path = write_pair(tmp_path)
    assert gain(path, engine="onnxruntime") == EXACT
    assert gain(path, engine="onnxruntime", precision="int8") == FORM
    with pytest.raises(OptionError, match=r"m\.int8\.onnx is stored in int8: int8 and torch"):
        gain(path, engine="torch", precision="int8")


@pytest.mark.parametrize("has_bf16", [False, True])
def test_the_best_choice_comes_first(tmp_path: Path, monkeypatch: Patch, has_bf16: bool) -> None:
    """int8 is about as fast as bf16, where a processor has it, and less exact."""
    monkeypatch.setattr("enlarge.engines.openvino.has_bf16", lambda: has_bf16)
    weights = find_weights(write_pair(tmp_path))
    floats = ("bf16",) * has_bf16
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert find_placement(weights).precisions == (*floats, "int8", "f32")
    assert pick_engine(weights).precision == (*floats, "int8")[0]
    on_request = find_placement(weights, EngineOptions("onnxruntime"))
    assert on_request.precisions == ("f32", "int8")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert find_placement(weights).precisions == (*floats, "f32", "int8")
    assert pick_engine(weights).precision == (*floats, "f32")[0]


def test_bf16_is_taken_only_where_the_model_is_known_to_hold_in_it(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr("enlarge.engines.openvino.has_bf16", lambda: True)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    weights = find_weights(write_pair(tmp_path))
    in_f32 = replace(weights, card=replace(weights.card, precisions=("f32",)))
    assert pick_engine(in_f32).precision == "int8"


def test_a_gpu_computes_in_floats(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(pick, "_has_gpu", lambda: True)
    monkeypatch.setattr(pick, "_has_gpu_build", lambda engine: engine == "onnxruntime")
    monkeypatch.setattr(onnxruntime, "onnxruntime_devices", lambda: ["cuda", "cpu"])
    found = find_placement(find_weights(write_pair(tmp_path)))
    assert (found.device, found.precisions) == ("cuda", ("f16", "f32", "int8"))


def test_the_working_sets_are_those_of_the_file_that_is_run(tmp_path: Path) -> None:
    path = write_pair(tmp_path)
    model = enlarge.open_model(path, engine="openvino", precision="int8")
    assert model.card_for(model.engine(U8)).tiles == {side: n // 2 for side, n in TILES.items()}
    model = enlarge.open_model(path, engine="openvino", precision="f32")
    assert model.card_for(model.engine(U8)).tiles == TILES


def test_digests_are_those_of_the_file_that_is_run(tmp_path: Path) -> None:
    weights = find_weights(write_pair(tmp_path))
    assert weights.int8 is not None
    model = enlarge.open_model(weights.path, precision="int8")
    assert model.digest_for(U8) == weights.int8.digest
    model = enlarge.open_model(weights.path, precision="f32")
    assert model.digest_for(U8) == model.digest == weights.digest


def test_opening_a_model_without_a_form_reads_it_once(tmp_path: Path, monkeypatch: Patch) -> None:
    path = write_pair(tmp_path)
    (tmp_path / "m.int8.onnx").unlink()
    read: list[Path] = []

    def counted(file: Path) -> str:
        read.append(file)
        return "0" * 64

    monkeypatch.setattr("enlarge.model_file.file_digest", counted)
    model = enlarge.open_model(path)
    model.engine(U8)
    assert model.digest == model.digest_for(U8) == "0" * 64
    assert read == [path]


def test_checkpoints_have_no_form(tmp_path: Path) -> None:
    write_pair(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint = Weights(tmp_path / "m.pth", find_weights("fast").card)
        assert checkpoint.int8 is None
        assert checkpoint.stored_for("int8") is checkpoint


_CHOICE = """
import sys, numpy as np, enlarge
model = enlarge.open_model(sys.argv[1])
print(*(model.engine(np.dtype(kind)).precision for kind in ("uint8", "uint16")))
print(model.upscale(np.full((8, 8, 3), 200, np.uint8)).mean())
"""


@on_x86
@pytest.mark.parametrize("isa", ["SSE41", "AVX2", "AVX2_VNNI"])
def test_int8_on_processors_without_bf16(tmp_path: Path, cache: Path, isa: str) -> None:
    caps = {"ONEDNN_MAX_CPU_ISA": isa, "OV_CPU_MAX_ISA": "SSE42" if isa == "SSE41" else isa}
    done = subprocess.run(
        [sys.executable, "-c", _CHOICE, str(write_pair(tmp_path))],
        env=os.environ | caps,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["int8", "f32", "100.0"]
