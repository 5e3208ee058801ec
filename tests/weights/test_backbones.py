"""Files as torchvision publishes them: read without running code, or refused with a reason."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from enlarge.errors import WeightsError
from enlarge.networks.backbones import AlexNet
from enlarge.weights.backbones import load_backbone


@pytest.fixture
def state() -> dict[str, Tensor]:
    """What torchvision's file of AlexNet holds, with random weights."""
    torch.manual_seed(0)
    return AlexNet().state_dict() | {"classifier.1.bias": torch.zeros(4)}


def test_a_file_of_its_own_name(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "alexnet-random.pth"
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    path = path.rename(tmp_path / f"alexnet-owt-{digest}.pth")
    network, found = load_backbone(path, "alexnet")
    assert found == digest
    assert not network.training
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key])
        assert not value.requires_grad


def test_a_file_that_was_cut_off(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    torch.save(state, path)
    os.truncate(path, 100_000)
    with pytest.raises(
        WeightsError, match=r"incomplete: its SHA-256 .* expected 7be5be79 from its name; download"
    ):
        load_backbone(path, "alexnet")


class Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("made-by-the-pickle",)


def test_what_is_no_such_file(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.pth"
    with pytest.raises(WeightsError, match=r"x\.pth cannot be read: No such file"):
        load_backbone(path, "alexnet")
    path.write_text("some text")
    with pytest.raises(WeightsError, match="is a text file, not a model: 'some text'"):
        load_backbone(path, "alexnet")
    torch.save({"features.0.weight": Code()}, path)
    with pytest.raises(WeightsError, match="would run code"):
        load_backbone(path, "alexnet")
    assert not Path("made-by-the-pickle").exists()
    torch.save([state], path)
    with pytest.raises(WeightsError, match="expected a dict of tensors, got list"):
        load_backbone(path, "alexnet")
    torch.save({"a": 1, "b": 2}, path)
    message = r"does not hold alexnet: it has no features\.0\.weight \(10 of 10 keys are missing\)"
    with pytest.raises(WeightsError, match=message + r".* a, b .*alexnet-owt-7be5be79\.pth"):
        load_backbone(path, "alexnet")


def test_another_network(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"does not hold vgg16: it has no features\.2\.weight"):
        load_backbone(path, "vgg16")
    state["features.0.weight"] = torch.zeros(64, 3, 3, 3)
    torch.save(state, path)
    message = r"features\.0\.weight is \(64, 3, 3, 3\), expected \(64, 3, 11, 11\)"
    with pytest.raises(WeightsError, match=message):
        load_backbone(path, "alexnet")
