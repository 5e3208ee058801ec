from __future__ import annotations

import pytest
import torch

from enlarge.training import devices
from enlarge.training.config import Config, Train
from enlarge.training.devices import with_precision


@pytest.mark.parametrize(
    ("offered", "wanted"), [(("bf16", "f32"), "bf16"), (("f32",), "f32"), (("f32", "f16"), "f32")]
)
def test_auto_is_bf16_where_the_device_computes_in_it(
    offered: tuple[str, ...], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "torch_precisions", lambda device: offered)
    found = with_precision(Config())
    assert found.train.precision == wanted
    assert with_precision(found) == found


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_precision_that_was_asked_for_stays(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "torch_precisions", lambda device: ("f16",))
    config = Config(train=Train(precision=precision))  # type: ignore[arg-type]
    assert with_precision(config) == config


def test_a_gpu_that_is_not_there_is_left_to_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = with_precision(Config(train=Train(device="cuda")))
    assert (found.train.device, found.train.precision) == ("cuda", "f32")
