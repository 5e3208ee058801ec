"""The OpenVINO engine: fused conversions, precision, the cache, and what an overflow does."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from enlarge.cache import trim_cache
from enlarge.engines import TileSpec
from enlarge.engines.openvino import OpenVinoEngine, has_bf16
from enlarge.errors import EngineError
from enlarge.weights.catalog import find_weights

bf16 = pytest.mark.skipif(not has_bf16(), reason="this processor does not compute in bf16")


def network(path: Path, gain: float, peak: float = 1.0) -> Path:
    """A ×1 network of two 1×1 convolutions: the pixel times `peak`, then times `gain / peak`."""
    kernels = {"up": np.eye(3) * peak, "down": np.eye(3) * (gain / peak)}
    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, (3, 3, 1, 1), kernel.ravel())
        for name, kernel in kernels.items()
    ]
    sides = (1, 3, "height", "width")
    nodes = [
        helper.make_node("Conv", ["image", "up"], ["large"]),
        helper.make_node("Mul", ["large", "large"], ["square"]),
        helper.make_node("Sqrt", ["square"], ["same"]),
        helper.make_node("Conv", ["same", "down"], ["enlarged"]),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("enlarged", TensorProto.FLOAT, sides)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def run(model: Path, tile: np.ndarray, precision: str = "f32", target: Any = None) -> np.ndarray:
    engine = OpenVinoEngine(model, precision, 0)
    kind = np.dtype(target or tile.dtype)
    height, width, channels = tile.shape
    session = engine.session(TileSpec(width, height, channels, tile.dtype, kind))
    return np.array(session(tile))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_level_survives(tmp_path: Path, dtype: Any) -> None:
    """In and out again, through scaling, clamp and rounding, nothing changes."""
    levels = np.iinfo(dtype).max + 1
    side = int(levels**0.5)
    tile = np.arange(levels, dtype=dtype).reshape(side, side, 1).repeat(3, axis=2)
    assert np.array_equal(run(network(tmp_path / "m.onnx", 1.0), tile), tile)


def test_results_are_clamped_and_rounded(tmp_path: Path) -> None:
    tile = np.array([[[0, 100, 255]]], np.uint8)
    assert run(network(tmp_path / "a.onnx", 1.5), tile).tolist() == [[[0, 150, 255]]]
    assert run(network(tmp_path / "b.onnx", 0.999), tile).tolist() == [[[0, 100, 255]]]
    assert run(network(tmp_path / "c.onnx", 0.994), tile).tolist() == [[[0, 99, 253]]]


def test_float_results_of_integer_pictures(tmp_path: Path) -> None:
    tile = np.array([[[51, 102, 255]]], np.uint8)
    got = run(network(tmp_path / "m.onnx", 0.5), tile, target=np.float32)
    assert np.allclose(got, [[[0.1, 0.2, 0.5]]], atol=1e-6)


def test_a_gray_tile_is_seen_as_three_equal_colours(tmp_path: Path) -> None:
    tile = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    assert np.array_equal(run(network(tmp_path / "m.onnx", 2.0), tile), tile * 2)


@bf16
def test_a_tile_that_overflows_is_repeated_in_f32_with_one_warning(tmp_path: Path) -> None:
    # 1.8443e19 is 2^64 in bf16, whose square is beyond the range; in f32 its square is within.
    model = network(tmp_path / "m.onnx", 1.0, peak=1.8443e19)
    tile = np.full((4, 4, 3), 255, np.uint8)
    kind = np.dtype(np.uint8)
    session = OpenVinoEngine(model, "bf16", 0).session(TileSpec(4, 4, 3, kind, kind))
    with pytest.warns(RuntimeWarning, match="repeated in f32"):
        assert (session(tile) == 255).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (session(tile) == 255).all()
        assert (session(tile // 4) == 63).all()


@bf16
def test_every_convolution_of_fast_runs_in_bf16_and_the_tail_in_f32() -> None:
    weights = find_weights("fast")
    engine = OpenVinoEngine(weights.path, "bf16", 0)
    spec = TileSpec(64, 64, 3, np.dtype(np.uint8), np.dtype(np.uint8))
    graph = engine._graph(spec, checked=True)
    graph = engine._compile(graph, "bf16")
    kinds = []
    for node in graph.get_runtime_model().get_ordered_ops():
        info = {key: node.get_rt_info()[key].astype(str) for key in ("layerType", "primitiveType")}
        if info["layerType"] == "Convolution":
            kinds.append(info["primitiveType"])
    assert len(kinds) == 21
    assert all("bf16" in kind for kind in kinds), kinds


def test_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(EngineError, match=r"m\.onnx"):
        OpenVinoEngine(tmp_path / "m.onnx", "f32", 0)


def test_the_cache_is_bounded_oldest_out_first(tmp_path: Path) -> None:
    for age, name in enumerate(("new.blob", "old.blob", "oldest.blob", "letter.txt")):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1e9 - age * 1000,) * 2)
    trim_cache(tmp_path, 250)
    left = ["letter.txt", "new.blob", "old.blob"]
    assert sorted(p.name for p in tmp_path.iterdir()) == left
    trim_cache(tmp_path, 0)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]  # whoever put it there


def test_a_compiled_model_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENLARGE_CACHE", str(tmp_path / "cache"))
    model = network(tmp_path / "m.onnx", 1.0)
    tile = np.zeros((8, 8, 3), np.uint8)
    run(model, tile)
    blobs = list((tmp_path / "cache").iterdir())
    assert blobs
    run(model, tile)
    assert list((tmp_path / "cache").iterdir()) == blobs


ALONE = """
import enlarge, numpy
enlarge.upscale(numpy.zeros((8, 8, 3), numpy.uint8))
"""


def test_openvino_reports_to_nobody(tmp_path: Path) -> None:
    """Its import writes an identifier into the home folder, then sends it with an event."""
    home, cache = tmp_path / "home", str(tmp_path / "cache")
    home.mkdir()
    variables = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    variables |= {"HOME": str(home), "ENLARGE_CACHE": cache}
    subprocess.run([sys.executable, "-c", ALONE], check=True, env=variables)
    assert list(home.iterdir()) == []


FIRST_TILES = """
import threading, time
import numpy, openvino
import enlarge.engines.openvino

class Slow(numpy.lib.NumpyVersion):
    def __init__(self, text):
        time.sleep(0.3)  # the other thread's turn
        super().__init__(text)

numpy.lib.NumpyVersion = Slow  # what the binding asks when it looks numpy up
threads = [threading.Thread(target=openvino.Type.u8.to_dtype) for _ in range(2)]
for thread in threads:
    thread.start()
"""


def test_the_first_tiles_of_two_threads_do_not_wait_for_each_other() -> None:
    subprocess.run([sys.executable, "-c", FIRST_TILES], check=True, timeout=60)


def test_a_size_that_a_network_cannot_have_is_told_in_our_words(tmp_path: Path) -> None:
    """A reflection of eighteen pixels needs nineteen."""
    sides = (1, 3, "height", "width")
    graph = helper.make_graph(
        [helper.make_node("Pad", ["image", "widths"], ["enlarged"], mode="reflect")],
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("enlarged", TensorProto.FLOAT, (1, 3, "h", "w"))],
        [helper.make_tensor("widths", TensorProto.INT64, (8,), [0, 0, 18, 18, 0, 0, 18, 18])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "m.onnx")
    spec = TileSpec(10, 10, 3, np.dtype(np.uint8), np.dtype(np.uint8))
    with pytest.raises(EngineError, match="OpenVINO could not prepare, for tiles of 10×10,"):
        OpenVinoEngine(tmp_path / "m.onnx", "f32", 0).session(spec)
