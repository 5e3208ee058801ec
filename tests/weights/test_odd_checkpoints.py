"""Checkpoints that are nearly right: shapes that fit each other and make no network, odd cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from enlarge.card import KEY
from enlarge.cli import run
from enlarge.errors import WeightsError
from enlarge.weights.catalog import find_weights
from enlarge.weights.network_file import describe_network
from enlarge.weights.opening import open_network
from tests.networks.tiny import TINY, tiny


def changes(state: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """The state dict with one key removed, flattened or widened, for six of its keys."""
    found = []
    keys = list(state)
    for key in keys[:: max(len(keys) // 6, 1)]:
        value = state[key]
        found.append({other: state[other] for other in keys if other != key})
        for odd in (value.reshape(-1), torch.zeros([size + 1 for size in value.shape])):
            found.append({**state, key: odd})
        found.append({**state, key: torch.zeros([0, *value.shape[1:]])})
    return found


@pytest.mark.parametrize("name", TINY)
def test_an_odd_width_or_a_missing_key(name: str, tmp_path: Path) -> None:
    """Each is refused in one line that names the nearest architecture, or opens all the same."""
    for number, state in enumerate(changes(tiny(name).state_dict())):
        path = tmp_path / f"{number}.pth"
        torch.save({"params": state}, path)
        try:
            open_network(path)
        except WeightsError as error:
            text = str(error)
            assert text.startswith(f"{path}: "), text
            assert "\n" not in text
            assert "tried" in text or "keys are those of" in text or "has no values" in text, text


@pytest.mark.parametrize(
    "change",
    [
        {"scale": "four"}, {"options": {"features": "many"}}, {"options": {"features": 7}},
        {"options": []}, {"network": "unknown"}, {"network": 3}, {"options": {"colour": 1}},
        {"options": {"features": -1}}, {"options": {"features": 10**9}},
    ],
)  # fmt: skip
def test_a_card_that_does_not_fit(
    change: dict[str, Any], cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny("srvgg")
    card = describe_network(network, name="m", architecture="srvgg", options=TINY["srvgg"])
    wrong = json.dumps({**json.loads(card.to_json()), **change})
    path = tmp_path / "m.safetensors"
    save_file(network.state_dict(), path, metadata={KEY: wrong})
    said = r"m\.safetensors: its (enlarge\.card is invalid|parameters do not fit its card)"
    with pytest.raises(WeightsError, match=said):
        find_weights(path, quiet=True)
    assert run(["export", str(path), "-o", str(tmp_path / "x.onnx")]) == 1
    assert "bug" not in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()
