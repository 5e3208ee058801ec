"""The same random weights in our networks and in spandrel's give the same picture, to 1e-5."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from enlarge.networks import build
from tests.networks.conftest import Architecture
from tests.networks.tiny import picture, tiny


def shake(network: nn.Module) -> dict[str, Tensor]:
    """Make biases, norms and position tables differ from their first values; the state dict."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return network.state_dict()


def enlarge(network: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        enlarged = network.eval()(image)
    assert isinstance(enlarged, Tensor)
    return enlarged


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"scale": 4, "upsampler": "pixelshuffledirect"}, (24, 16)),
        ({"scale": 3, "upsampler": "pixelshuffle", "connection": "3conv"}, (11, 30)),
        ({"scale": 8, "upsampler": "pixelshuffle"}, (8, 8)),
        ({"scale": 4, "upsampler": "nearest+conv", "connection": "3conv"}, (8, 17)),
        ({"scale": 2, "upsampler": "nearest+conv"}, (9, 16)),
        ({"scale": 1, "upsampler": "none", "mlp_ratio": 1.5}, (16, 10)),
    ],
)
def test_swinir(spandrel: Architecture, options: dict[str, Any], size: tuple[int, int]) -> None:
    shared = {"depths": (2, 3), "window": 8, "mlp_ratio": 2.0, "connection": "1conv", **options}
    network = build("swinir", dim=12, heads=(2, 3), **shared).eval()
    state = shake(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = spandrel("SwinIR").SwinIR(
            embed_dim=12,
            num_heads=[2, 3],
            depths=list(shared["depths"]),
            window_size=shared["window"],
            mlp_ratio=shared["mlp_ratio"],
            upscale=shared["scale"],
            upsampler=shared["upsampler"].replace("none", ""),
            resi_connection=shared["connection"],
        )
    missing = other.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    constants = {key.rpartition(".")[2] for key in missing.missing_keys}
    assert constants <= {"relative_position_index", "attn_mask"}
    image = picture(*size, batch=2)
    assert_close(enlarge(network, image), enlarge(other, image))


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def to_middle_layout(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Today's key layout of ESRGAN → BSRGAN's."""

    def rename(key: str) -> str:
        key = re.sub(r"^body\.(\d+)\.rdb", r"RRDB_trunk.\1.RDB", key)
        key = re.sub(r"^conv_up", "upconv", key)
        return key.replace("conv_body", "trunk_conv").replace("conv_hr", "HRconv")

    return {rename(key): value for key, value in state.items()}


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("layout", ["new", "middle"])
def test_rrdb(spandrel: Architecture, scale: int, layout: str) -> None:
    # spandrel takes the growth for given and counts the blocks only from two on
    network = tiny("rrdb", scale=scale, growth=32, blocks=2)
    state = shake(network)
    other = (
        spandrel("ESRGAN")
        .ESRGANArch()
        .load(to_middle_layout(state) if layout == "middle" else state)
    )
    assert other.scale == scale
    image = picture(7, 10, batch=2)
    assert_close(enlarge(network, image), enlarge(other.model, image))


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_srvgg(spandrel: Architecture, scale: int) -> None:
    network = tiny("srvgg", scale=scale)
    other = spandrel("Compact").CompactArch().load(shake(network))
    image = picture(7, 10, batch=2)
    assert_close(enlarge(network, image), enlarge(other.model, image))
