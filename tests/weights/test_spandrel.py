"""What spandrel opens, where it is installed: networks that we have not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import enlarge
from enlarge.errors import WeightsError
from enlarge.weights.export import export_model
from tests.networks.conftest import spandrel as spandrel
from tests.weights.test_preparing import in_torch, picture


def span(spandrel: Any) -> Any:
    torch.manual_seed(0)
    make = spandrel("SPAN").SPAN
    return make(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2).eval()


@pytest.mark.filterwarnings("ignore")
def test_a_network_that_only_spandrel_knows(spandrel: Any, cache: Path, tmp_path: Path) -> None:
    network = span(spandrel)
    path = tmp_path / "theirs.pth"
    torch.save({"params": network.state_dict()}, path)
    model = enlarge.open_model(path, engine="openvino", precision="f32")
    assert (model.card.name, model.card.network) == ("theirs", "spandrel:SPAN")
    assert (model.card.scale, model.card.multiple) == (2, 1)
    assert np.abs(model.upscale(picture()) - in_torch(network, picture())).max() < 1e-4
    (folder,) = (place for place in cache.iterdir() if place.is_dir())
    assert [file.name for file in folder.iterdir()] == ["theirs.onnx"]
    card = export_model(str(path), tmp_path / "mine.onnx")
    assert card.network == "spandrel:SPAN"
    export_model(str(path), tmp_path / "mine.safetensors")
    kept = load_file(tmp_path / "mine.safetensors")
    assert kept.keys() == network.state_dict().keys()
    again = enlarge.open_model(tmp_path / "mine.safetensors", engine="torch", precision="f32")
    assert np.abs(again.upscale(picture()) - in_torch(network, picture())).max() < 1e-5


def test_without_spandrel_its_installation_is_named(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    torch.save({"encoder.weight": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(
        WeightsError, match="opens more architectures: pip install --no-deps spandrel einops"
    ):
        enlarge.open_model(tmp_path / "a.pth")
