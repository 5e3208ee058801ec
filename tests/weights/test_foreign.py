"""Foreign checkpoints: every layout is recognised with its options and gives the same picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.errors import WeightsError
from enlarge.networks import LAYOUTS, build
from enlarge.networks.blocks import DIV2K_MEAN
from enlarge.weights.foreign import deduce, read_checkpoint
from tests.networks.tiny import CASES, picture, tiny

State = dict[str, Tensor]


def enlarge(network: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad():
        enlarged = network.eval()(image)
    assert isinstance(enlarged, Tensor)
    return enlarged


def opened(checkpoint: dict[str, Any]) -> nn.Module:
    name, options, state = deduce(checkpoint)
    network = build(name, **options)
    network.load_state_dict(state)
    return network


def renamed(state: State, *rules: tuple[str, str]) -> State:
    result = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        result[key] = value
    return result


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_our_own_networks(name: str, scale: int) -> None:
    # the residual scaling is the one option that no state dict tells
    plain = {"scaling": 1.0} if name in ("edsr", "edswin-deck") else {}
    network = tiny(name, scale=scale, **plain)
    image = picture(6, 7)
    torch.testing.assert_close(
        enlarge(opened(network.state_dict()), image), enlarge(network, image)
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("edswin", {"arrangement": "parallel", "mlp_ratio": 1.3}),
        ("edswin", {"arrangement": "every_k", "every": 2, "blocks": 5, "tail_features": 4}),
        ("edswin", {"arrangement": "convolution"}),
        ("edswin", {"arrangement": "attention", "heads": 4, "window": 3}),
        ("replain", {"deployed": True}),
        ("rrdb", {"scale": 2, "unshuffle": 1}),
        ("srresnet", {"batch_norm": False}),
        ("swinir", {"upsampler": "pixelshuffle", "features": 6, "connection": "3conv"}),
        ("swinir", {"upsampler": "nearest+conv", "mlp_ratio": 1.6}),
        ("swinir", {"upsampler": "none", "scale": 1, "heads": (2, 4), "depths": (1, 2)}),
    ],
)
def test_our_own_networks_with_other_options(name: str, options: dict[str, Any]) -> None:
    network = tiny(name, **options)
    image = picture(6, 7)
    torch.testing.assert_close(
        enlarge(opened(network.state_dict()), image), enlarge(network, image)
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"params": state},
        lambda state: {"params": {}, "params_ema": state},
        lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3},
        lambda state: {"model": {f"module.model.{k}": v for k, v in state.items()}},
        lambda state: {"raw": {k: v + 1 for k, v in state.items()}, "ema": state},
    ],
)
def test_wrappers_are_peeled(wrap: Any) -> None:
    network = tiny("srvgg")
    name, options, state = deduce(wrap(network.state_dict()))
    assert (name, options) == ("srvgg", {"scale": 4, "features": 8, "convs": 3})
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in state.items())


def enlarge_like_the_published_edsr(state: State, image: Tensor, mean: tuple[float, ...]) -> Tensor:
    """EDSR on 0–255 written with functions, from BasicSR's keys; ×4, residual scaling 1."""

    def conv(x: Tensor, key: str) -> Tensor:
        return F.conv2d(x, state[f"{key}.weight"], state[f"{key}.bias"], padding=1)

    shift = 255 * torch.tensor(mean).view(1, 3, 1, 1)
    first = x = conv(255 * image - shift, "conv_first")
    for block in range(2):
        x = x + conv(F.relu(conv(x, f"body.{block}.conv1")), f"body.{block}.conv2")
    x = conv(x, "conv_after_body") + first
    for stage in (0, 2):
        x = F.pixel_shuffle(conv(x, f"upsample.{stage}"), 2)
    return (conv(x, "conv_last") + shift) / 255


def basicsr_edsr() -> State:
    """Random weights of a range where biases matter, in BasicSR's keys."""
    network = tiny("edsr", scaling=1.0)
    state = {k: v * 40 if k.endswith("bias") else v for k, v in network.state_dict().items()}
    return renamed(
        state,
        (r"^head\.", "conv_first."),
        (r"^merge\.", "conv_after_body."),
        (r"^tail\.", "conv_last."),
    )


OFFICIAL = (
    (r"^conv_first\.", "head.0."),
    (r"^body\.(\d+)\.conv1", r"body.\1.body.0"),
    (r"^body\.(\d+)\.conv2", r"body.\1.body.2"),
    (r"^conv_after_body\.", "body.2."),
    (r"^upsample\.", "tail.0."),
    (r"^conv_last\.", "tail.1."),
)


def test_basicsrs_edsr() -> None:
    state = basicsr_edsr()
    network, image = opened({"params": state}), picture(6, 7)
    wanted = enlarge_like_the_published_edsr(state, image, DIV2K_MEAN)
    torch.testing.assert_close(enlarge(network, image), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mean", [DIV2K_MEAN, (0.5, 0.4, 0.3)])
def test_the_official_edsr(mean: tuple[float, ...]) -> None:
    state = basicsr_edsr()
    official = renamed(state, *OFFICIAL)
    for name, sign in (("sub_mean", -255), ("add_mean", 255)):
        official[f"{name}.weight"] = torch.eye(3).view(3, 3, 1, 1)
        official[f"{name}.bias"] = sign * torch.tensor(mean)
    network, image = opened(official), picture(6, 7)
    wanted = enlarge_like_the_published_edsr(state, image, mean)
    torch.testing.assert_close(enlarge(network, image), wanted, rtol=0, atol=1e-5)


def test_the_wide_edsr_gets_its_published_residual_scaling() -> None:
    with torch.device("meta"):
        state = build("edsr-paper", scale=2).state_dict()
    assert deduce(state)[:2] == (
        "edsr",
        {"scale": 2, "features": 256, "blocks": 32, "scaling": 0.1},
    )


def to_middle_layout(state: State) -> State:
    return renamed(
        state,
        (r"^body\.(\d+)\.rdb", r"RRDB_trunk.\1.RDB"),
        ("^conv_up", "upconv"),
        ("^conv_body", "trunk_conv"),
        ("^conv_hr", "HRconv"),
    )


def to_old_layout(state: State, blocks: int, doublings: int) -> State:
    ups = [(rf"^conv_up{i}\.", f"model.{3 * i}.") for i in range(1, doublings + 1)]
    return renamed(
        state,
        (r"^body\.(\d+)\.rdb(\d)\.conv(\d)\.", r"model.1.sub.\1.RDB\2.conv\3.0."),
        (r"^conv_first\.", "model.0."),
        (r"^conv_body\.", f"model.1.sub.{blocks}."),
        (r"^conv_hr\.", f"model.{3 * doublings + 2}."),
        (r"^conv_last\.", f"model.{3 * doublings + 4}."),
        *ups,
    )


@pytest.mark.parametrize(
    ("scale", "unshuffle", "doublings"), [(1, 1, 0), (1, 4, 2), (2, 1, 1), (2, 2, 2), (4, 1, 2)]
)
def test_esrgans_three_layouts(scale: int, unshuffle: int, doublings: int) -> None:
    network = tiny("rrdb", scale=scale, unshuffle=unshuffle, blocks=2)
    state, image = network.state_dict(), picture(6, 7)
    wanted = enlarge(network, image)
    for layout in (state, to_middle_layout(state), to_old_layout(state, 2, doublings)):
        torch.testing.assert_close(enlarge(opened(layout), image), wanted, rtol=0, atol=0)


def test_swinirs_constants_are_dropped() -> None:
    network = tiny("swinir", window=8)
    state = network.state_dict()
    for layer in (0, 1):
        attention = f"layers.{layer}.residual_group.blocks.0."
        state[f"{attention}attn.relative_position_index"] = torch.zeros(64, 64, dtype=torch.long)
        state[f"{attention}attn_mask"] = torch.zeros(64, 64, 64)
    torch.testing.assert_close(
        enlarge(opened(state), picture(6, 7)), enlarge(network, picture(6, 7))
    )


def test_the_jpeg_swinirs_range_of_255() -> None:
    network = tiny("swinir", window=7, upsampler="none", scale=1, mean=(0.0, 0.0, 0.0))
    image = picture(7, 14)
    wanted = enlarge(network, 255 * image) / 255  # what the published module computes, without mean
    name, options, state = deduce(network.state_dict())
    ours = build(name, **options, mean=(0.0, 0.0, 0.0))
    ours.load_state_dict(state)
    torch.testing.assert_close(enlarge(ours, image), wanted, rtol=0, atol=1e-5)


def test_files_are_read(tmp_path: Path) -> None:
    state = tiny("srvgg").state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save({"params_ema": state}, tmp_path / "a.pth")
    for file in ("a.safetensors", "a.pth"):
        name, _, found = deduce(read_checkpoint(tmp_path / file))
        assert name == "srvgg"
        assert all(torch.equal(found[key], state[key]) for key in state)


class Bomb:
    """A pickle of it would create a file when it is opened."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"params": Bomb(tmp_path / "ran")}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=r"bad\.pth: refused, .* would run code"):
        read_checkpoint(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("file", ["no.pth", "no.safetensors", "empty.pth", "noise.safetensors"])
def test_files_that_cannot_be_read(tmp_path: Path, file: str) -> None:
    (tmp_path / "empty.pth").touch()
    (tmp_path / "noise.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(WeightsError, match=re.escape(file)):
        read_checkpoint(tmp_path / file)


def test_other_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text("a model of mine", encoding="utf-8")
    with pytest.raises(
        WeightsError, match=r"is a text file, not a model: 'a model of mine'; expected"
    ):
        read_checkpoint(tmp_path / "model.txt")


def test_an_unknown_file_says_its_keys_and_what_was_tried() -> None:
    with pytest.raises(WeightsError, match=r"keys encoder\.weight, x; tried EDSR, ") as raised:
        deduce({"encoder.weight": torch.zeros(1), "x": torch.zeros(2)})
    assert all(layout.title in str(raised.value) for layout in LAYOUTS)
    with pytest.raises(WeightsError, match="keys none"):
        deduce({})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv_hr.bias": None}, r"nearest is ESRGAN / Real-ESRGAN, but it lacks conv_hr\.bias"),
        ({"extra": torch.zeros(1)}, "it has extra"),
        ({"conv_last.weight": torch.zeros(1, 8, 3, 3)}, r"conv_last\.weight is \(1, 8, 3, 3\)"),
        ({"conv_first.weight": torch.zeros(8)}, "its shapes make no sense"),
        ({"conv_first.weight": torch.zeros(8, 1, 3, 3)}, "its shapes make no sense"),
        ({"body.99999999.x": torch.zeros(1)}, "its shapes make no sense"),
    ],
)
def test_a_near_miss_says_what_is_missing(change: dict[str, Tensor | None], message: str) -> None:
    state = {**tiny("rrdb").state_dict(), **change}
    with pytest.raises(WeightsError, match=message):
        deduce({key: value for key, value in state.items() if value is not None})


@pytest.mark.parametrize("kind", ["numbers", "itself"])
def test_odd_dicts_are_refused(tmp_path: Path, kind: str) -> None:
    odd: dict[Any, Any] = {0: torch.zeros(3)}
    if kind == "itself":
        odd = {}
        odd["params"] = odd
    torch.save(odd, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=r"unknown architecture: keys (none|params);"):
        deduce(read_checkpoint(tmp_path / "odd.pth"))
