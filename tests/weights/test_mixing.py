"""Mixtures of `photo` and `photo-sharp`: their weights, their results, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.numpy import load_file

import enlarge
from enlarge.card import read_card
from enlarge.errors import OptionError, WeightsError
from enlarge.media.metadata.provenance import provenance_of
from enlarge.media.reading import open_picture
from enlarge.media.resample import imresize
from enlarge.metrics.fidelity import psnr
from enlarge.model_file import Weights
from enlarge.weights.catalog import find_weights
from enlarge.weights.mixing import PARTNERS, mixed_onnx, mixed_safetensors, mixed_weights

ENDS = {0.0: "photo", 1.0: "photo-sharp"}


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Mixtures and compiled networks are kept for these tests, and away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENLARGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@cache
def picture() -> NDArray[Any]:
    """Something with edges and noise, 40 × 32."""
    random = np.random.default_rng(3)
    image = imresize(random.integers(0, 256, (8, 10, 3), dtype=np.uint8), 32, 40)
    noise = random.normal(0, 12, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@cache
def enlarged(strength: float | None, model: str = "photo") -> NDArray[Any]:
    upscaler = enlarge.open_model(model, strength=strength, engine="openvino", precision="f32")
    return np.asarray(upscaler.upscale(picture()))


def tensors(weights: Weights) -> list[dict[str, NDArray[Any]]]:
    """The weights of both files, by name."""
    graph = onnx.load(weights.path).graph
    stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    return [stored, load_file(weights.path.with_suffix(".safetensors"))]


@pytest.mark.parametrize("model", ENDS.values())
@pytest.mark.parametrize(("strength", "end"), ENDS.items())
def test_the_ends_are_the_models_themselves(model: str, strength: float, end: str) -> None:
    assert find_weights(model, strength=strength) == find_weights(end)
    assert np.array_equal(enlarged(strength, model), enlarged(None, end))


@pytest.mark.parametrize(("strength", "end"), ENDS.items())
def test_the_ends_write_the_same_file(tmp_path: Path, strength: float, end: str) -> None:
    from PIL import Image

    Image.fromarray(picture()).save(tmp_path / "a.png")
    paths = tmp_path / "one.png", tmp_path / "other.png"
    enlarge.upscale(tmp_path / "a.png", model="photo", strength=strength, output=paths[0])
    enlarge.upscale(tmp_path / "a.png", model=end, output=paths[1])
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_every_weight_lies_between() -> None:
    mix, *ends = (find_weights("photo", strength=s) for s in (0.3, 0.0, 1.0))
    for mixed, plain, sharp in zip(tensors(mix), *map(tensors, ends), strict=True):
        assert mixed.keys() == plain.keys()
        moved = 0
        for name, found in mixed.items():
            old, new = plain[name], sharp[name]
            assert (found.shape, found.dtype) == (old.shape, old.dtype), name
            if not np.issubdtype(found.dtype, np.floating):
                assert np.array_equal(found, old), name
                continue
            old, new = old.astype(np.float32), new.astype(np.float32)
            wanted = (old + np.float32(0.3) * (new - old)).astype(found.dtype)
            assert np.array_equal(found, wanted), name
            moved += not np.array_equal(found, plain[name])
        assert moved > 100


def test_results_move_from_one_end_to_the_other() -> None:
    steps = [enlarged(strength) for strength in (0.25, 0.5, 0.75, 1.0)]
    to_plain = [psnr(step, enlarged(0.0), data_range=255.0) for step in steps]
    to_sharp = [psnr(step, enlarged(1.0), data_range=255.0) for step in steps[:-1]]
    assert np.all(np.diff(to_plain) < -0.5)
    assert np.all(np.diff(to_sharp) > 0.5)


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_engines_agree(engine: str) -> None:
    upscaler = enlarge.open_model("photo", strength=0.5, engine=engine, precision="f32")
    apart = np.abs(upscaler.upscale(picture()).astype(int) - enlarged(0.5))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


def test_an_ensemble_of_a_mixture() -> None:
    upscaler = enlarge.open_model("photo", strength=0.5, engine="openvino", precision="f32")
    mean = upscaler.upscale(picture(), ensemble=True)
    turned = upscaler.upscale(np.ascontiguousarray(picture()[:, ::-1]), ensemble=True)
    assert not np.array_equal(mean, enlarged(0.5))
    assert np.abs(mean.astype(int) - turned[:, ::-1]).max() <= 1


def test_what_a_mixture_says_of_itself(tmp_path: Path) -> None:
    weights = find_weights("photo-sharp", strength=0.25)
    plain, sharp = (find_weights(name).card for name in ENDS.values())
    card = weights.card
    assert (card.name, card.strength, card.scores) == ("photo-sharp@0.25", 0.25, {})
    assert card.halo == max(plain.halo, sharp.halo)
    assert set(card.precisions) == set(plain.precisions) & set(sharp.precisions)
    for suffix in (".onnx", ".safetensors"):
        assert read_card(weights.path.with_suffix(suffix)) == card
    assert enlarge.open_model(weights.path).card == card

    upscaler = enlarge.open_model("photo", strength=0.25)
    upscaler.upscale_file(_saved(tmp_path), tmp_path / "b.png")
    with open_picture(tmp_path / "b.png") as made:
        facts = provenance_of(made.metadata)
    assert facts is not None
    assert (facts["model"], facts["strength"]) == ("photo-sharp@0.25", "0.25")
    assert facts["weights"] == upscaler.digest[:16] != enlarge.open_model("photo").digest[:16]


def _saved(folder: Path) -> Path:
    from PIL import Image

    Image.fromarray(picture()).save(folder / "a.png")
    return folder / "a.png"


def test_a_mixture_is_made_once() -> None:
    first = find_weights("photo", strength=0.6)
    made = first.path.stat().st_mtime_ns
    assert find_weights("photo-sharp", strength=np.float64(0.6)) == first
    assert first.path.stat().st_mtime_ns == made
    assert find_weights("photo", strength=0.600001).path != first.path


@pytest.mark.parametrize("strength", [-0.1, 1.001, float("nan"), float("inf"), "much", None])
def test_a_strength_that_cannot_be(strength: Any) -> None:
    plain, sharp = (find_weights(name) for name in ENDS.values())
    with pytest.raises(OptionError, match=r"between 0 \(photo\) and 1 \(photo-sharp\), got"):
        mixed_weights(plain, sharp, strength)


@pytest.mark.parametrize("model", ["fast", "quality", "quality-x2", "./other.onnx"])
def test_a_model_without_a_partner(model: str) -> None:
    with pytest.raises(OptionError, match="photo with photo-sharp; use one of these") as error:
        enlarge.open_model(model, strength=0.5)
    assert model in str(error.value)


def test_partners_are_there() -> None:
    for plain, sharp in PARTNERS.items():
        cards = [find_weights(name).card for name in (plain, sharp)]
        assert cards[0].network == cards[1].network
        assert cards[0].options == cards[1].options


@pytest.mark.parametrize("change", ["network", "shape", "graph", "cut", "none"])
def test_files_that_cannot_be_mixed(change: str) -> None:
    plain, sharp = (find_weights(name) for name in ENDS.values())
    first, second = (w.path.read_bytes() for w in (plain, sharp))
    if change == "network":
        second = find_weights("fast").path.read_bytes()
    elif change == "cut":
        second = second[:-2000]
    elif change == "none":
        second = b"\xff" * 64
    else:
        model = onnx.load_from_string(second)
        if change == "shape":
            weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
            weight.dims[0], weight.dims[1] = weight.dims[1], weight.dims[0]
        else:
            model.graph.node[5].op_type = "Relu"
        second = model.SerializeToString()
    with pytest.raises(ValueError, match=r"differ in more|end too early|no protobuf"):
        mixed_onnx(first, second, 0.5, plain.card)


def test_safetensors_that_cannot_be_mixed() -> None:
    first, second = (
        find_weights(name).path.with_suffix(".safetensors").read_bytes()
        for name in ("photo", "fast")
    )
    with pytest.raises(ValueError, match="other names"):
        mixed_safetensors(first, second, 0.5, find_weights("photo").card)
    with pytest.raises(WeightsError, match=r"photo and fast cannot be mixed: their \.onnx files"):
        mixed_weights(find_weights("photo"), find_weights("fast"), 0.5)


def test_the_base_install_is_enough() -> None:
    code = (
        "import json, sys, numpy, enlarge\n"
        "large = enlarge.upscale(numpy.zeros((16, 16, 3), 'uint8'), model='photo', strength=0.5)\n"
        "names = ['torch', 'onnx', 'onnxruntime', 'safetensors']\n"
        "print(json.dumps([large.shape, [name for name in names if name in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[64, 64, 3], []]
