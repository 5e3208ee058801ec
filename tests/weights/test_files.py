from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from enlarge.card import KEY, Card, read_card
from enlarge.errors import WeightsError
from enlarge.weights.catalog import find_weights, list_weights

BUNDLED = list_weights()


@pytest.mark.parametrize("weights", BUNDLED, ids=lambda w: w.path.stem)
def test_bundled_cards_are_complete(weights: object) -> None:
    card = find_weights(weights.path.stem).card  # type: ignore[attr-defined]
    assert card.name == weights.path.stem  # type: ignore[attr-defined]
    for field in ("data", "licence", "recipe", "hours", "scores", "tiles", "flops", "parameters"):
        assert getattr(card, field), f"{card.name} does not name its {field}"
    assert weights.path.stat().st_size <= 4_000_000  # type: ignore[attr-defined]
    assert sorted(card.tiles.values()) == list(card.tiles.values())


@pytest.mark.parametrize("weights", BUNDLED, ids=lambda w: w.path.stem)
def test_our_reader_sees_what_onnx_sees(weights: object) -> None:
    path = weights.path  # type: ignore[attr-defined]
    model = onnx.load(path)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert read_card(path) == Card.from_json(metadata[KEY], str(path))
    (image,) = model.graph.input
    sides = [side.dim_param for side in image.type.tensor_type.shape.dim[2:]]
    assert (image.name, sides) == ("image", ["height", "width"])


def test_both_files_of_a_model_carry_one_card() -> None:
    for weights in BUNDLED:
        assert read_card(weights.path.with_suffix(".safetensors")) == weights.card


def test_a_card_survives_its_json() -> None:
    card = Card("x", "replain", {"blocks": 2}, 4, 8, 8, tiles={64: 5}, scores={"한글": 1})
    assert Card.from_json(card.to_json(), "x") == card
    assert "한글" in card.to_json()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 1}', '{"tiles": 3, "precisions": []}'])
def test_a_broken_card_is_named(text: str) -> None:
    with pytest.raises(WeightsError, match=r"x\.onnx"):
        Card.from_json(text, "x.onnx")


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 4, b"\xff" * 40, b"\x72\x7f\x01", b"hello there"]
)
@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_what_is_no_weight_file(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    if suffix == ".onnx" and not content:  # an empty message is a message
        assert read_card(path) is None
        return
    with pytest.raises(WeightsError, match=f"model{suffix}"):
        read_card(path)


def test_a_cut_off_model_and_capital_letters(tmp_path: Path) -> None:
    whole = BUNDLED[0].path.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[:3000])
    with pytest.raises(WeightsError, match="it is truncated"):
        read_card(tmp_path / "cut.onnx")
    (tmp_path / "BIG.ONNX").write_bytes(whole)
    assert read_card(tmp_path / "BIG.ONNX") == BUNDLED[0].card


def test_names_with_dots_and_broken_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENLARGE_MODELS", str(tmp_path))
    (tmp_path / "fine-1.2.onnx").write_bytes(BUNDLED[0].path.read_bytes())
    assert find_weights("fine-1.2").path == tmp_path / "fine-1.2.onnx"
    (tmp_path / "cut.onnx").write_bytes(BUNDLED[0].path.read_bytes()[:3000])
    with pytest.warns(RuntimeWarning, match="it is truncated"):
        assert find_weights("fast").card == BUNDLED[0].card


def test_a_safetensors_file_without_a_card(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"format": "pt"}}).encode()
    path = tmp_path / "other.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert read_card(path) is None


def test_the_times_two_model_is_taken_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENLARGE_MODELS", str(tmp_path))
    card = Card("mine-x2", "replain", {}, 2, 20, 20)
    for name in ("mine", "mine-x2"):
        model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))
        model.metadata_props.add(key=KEY, value=card.to_json())
        onnx.save(model, tmp_path / f"{name}.onnx")
    assert find_weights("mine", 2).path.stem == "mine-x2"
    assert find_weights("mine", 3).path.stem == "mine"
    assert find_weights("mine").path.stem == "mine"
