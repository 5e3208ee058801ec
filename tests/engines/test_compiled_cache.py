"""Compiled graphs on disk: loaded without the ONNX file, equal to the bit, and never in the way."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import numpy_helper

from enlarge.engines import TileSpec, compiled
from enlarge.engines.openvino import OpenVinoEngine, _machine, has_bf16
from enlarge.errors import EngineError
from enlarge.weights.catalog import find_weights
from tests.engines.test_openvino import network

U8 = np.dtype(np.uint8)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENLARGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def spec(side: int, channels: int = 3, source: Any = U8, target: Any = U8) -> TileSpec:
    return TileSpec(side, side, channels, np.dtype(source), np.dtype(target))


def tile_for(spec: TileSpec) -> Any:
    tile = np.random.default_rng(0).random(spec.shape)
    if spec.source.kind == "f":
        return tile.astype(spec.source)
    return (tile * np.iinfo(spec.source).max).astype(spec.source)


def run(model: Path, spec: TileSpec, precision: str = "f32") -> Any:
    return np.array(OpenVinoEngine(model, precision, 0).session(spec)(tile_for(spec)))


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes every further reading of an ONNX file a failure."""

    def forbid() -> None:
        def fail(engine: OpenVinoEngine) -> None:
            raise AssertionError("the ONNX file was read")

        monkeypatch.setattr(OpenVinoEngine, "_read", fail)

    return forbid


@pytest.mark.parametrize(
    "wanted",
    [spec(32), spec(32, 1), spec(32, 3, np.uint16, np.uint16), spec(32, 3, np.uint8, np.float32)],
    ids=["rgb", "gray", "16 bits", "floats"],
)
@pytest.mark.parametrize("precision", ["f32", "bf16"])
@pytest.mark.parametrize("model", ["fast", "quality"])
def test_a_second_start_reads_no_onnx_and_gives_the_same_bits(
    cache: Path, unreadable: Any, wanted: TileSpec, precision: str, model: str
) -> None:
    if precision == "bf16" and not has_bf16():
        pytest.skip("this processor does not compute in bf16")
    path = find_weights(model).path
    afresh = run(path, wanted, precision)
    unreadable()
    assert np.array_equal(run(path, wanted, precision), afresh)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "not exported by OpenVINO"])
def test_a_damaged_entry_is_compiled_again_silently(
    cache: Path, tmp_path: Path, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    model = network(tmp_path / "m.onnx", 0.5)
    afresh = run(model, spec(8))
    (entry,) = cache.iterdir()
    good = entry.read_bytes()
    middle = len(good) // 2
    garbage = b"something else entirely" * 100
    entry.write_bytes(
        {
            "truncated": good[:middle],
            "flipped": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
            "empty": b"",
            "not exported by OpenVINO": hashlib.sha256(garbage).digest() + garbage,
        }[damage]
    )
    assert np.array_equal(run(model, spec(8)), afresh)
    assert list(cache.iterdir()) == [entry]
    content = entry.read_bytes()
    assert content[:32] == hashlib.sha256(content[32:]).digest()
    assert len(content) > 0.9 * len(good)  # names in it are numbered, in a length that varies
    out = capfd.readouterr()
    assert (out.out, out.err) == ("", "")


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("where a folder is expected")
    monkeypatch.setenv("ENLARGE_CACHE", str(tmp_path / "file" / "cache"))
    model = network(tmp_path / "m.onnx", 1.0)
    assert np.array_equal(run(model, spec(8)), tile_for(spec(8)))


def test_a_full_disk_leaves_no_part_behind(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    model = network(tmp_path / "m.onnx", 1.0)
    assert np.array_equal(run(model, spec(8)), tile_for(spec(8)))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(ov, "get_version", lambda: "2031.1.0"),
        lambda patch: patch.setenv("OV_CPU_MAX_ISA", "SSE41"),
        lambda patch: patch.setattr("platform.machine", lambda: "another one"),
        lambda patch: patch.setattr(compiled, "__version__", "99.0"),
    ],
    ids=["OpenVINO", "instruction set", "processor", "enlarge"],
)
def test_an_entry_made_elsewhere_is_left_alone(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    model = network(tmp_path / "m.onnx", 0.5)
    here = run(model, spec(8))
    (entry,) = cache.iterdir()
    before = entry.read_bytes()
    _machine.cache_clear()
    try:
        change(monkeypatch)
        assert np.array_equal(run(model, spec(8)), here)
    finally:
        _machine.cache_clear()
    assert len(list(cache.iterdir())) == 2
    assert entry.read_bytes() == before


def test_another_file_tile_or_precision_has_an_entry_of_its_own(
    cache: Path, tmp_path: Path
) -> None:
    half, whole = network(tmp_path / "half.onnx", 0.5), network(tmp_path / "whole.onnx", 1.0)
    assert not np.array_equal(run(half, spec(8)), run(whole, spec(8)))
    run(whole, spec(9))
    run(whole, spec(8, 1))
    OpenVinoEngine(whole, "f32", 1).session(spec(8))
    assert len(list(cache.iterdir())) == 5
    half.write_bytes(whole.read_bytes())  # the same name with other content
    assert np.array_equal(run(half, spec(8)), tile_for(spec(8)))
    assert len(list(cache.iterdir())) == 5


def test_weights_in_a_file_of_their_own_are_part_of_the_key(cache: Path, tmp_path: Path) -> None:
    def write(folder: Path, gain: float) -> Path:
        folder.mkdir(exist_ok=True)
        proto = onnx.load(network(tmp_path / "m.onnx", gain))
        for weights in proto.graph.initializer:  # as raw bytes, which alone may lie elsewhere
            weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights), weights.name))
        options = {"all_tensors_to_one_file": True, "size_threshold": 0, "location": "m.data"}
        (folder / "m.data").unlink(missing_ok=True)
        onnx.save(proto, folder / "m.onnx", save_as_external_data=True, **options)
        return folder / "m.onnx"

    model = write(tmp_path / "there", 1.0)
    graph = model.read_bytes()
    assert np.array_equal(run(model, spec(8)), tile_for(spec(8)))
    write(tmp_path / "there", 0.5)
    assert model.read_bytes() == graph  # only the other file differs
    halved = np.abs(run(model, spec(8)) - tile_for(spec(8)) / 2)
    assert halved.max() <= 0.5


def test_the_folder_is_bounded(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(tmp_path / "m.onnx", 1.0)
    run(model, spec(8))
    (first,) = cache.iterdir()
    # Room for one and a half: the graph for another size need not be as long to the byte.
    monkeypatch.setattr(compiled, "LIMIT", first.stat().st_size * 3 // 2)
    run(model, spec(9))
    (left,) = cache.iterdir()
    assert left != first


def test_what_is_no_model_is_refused_with_a_full_cache_too(cache: Path, tmp_path: Path) -> None:
    model = network(tmp_path / "m.onnx", 1.0)
    run(model, spec(8))
    model.write_bytes(b"nothing of the kind")
    with pytest.raises(EngineError, match=r"m\.onnx"):
        OpenVinoEngine(model, "f32", 0)
