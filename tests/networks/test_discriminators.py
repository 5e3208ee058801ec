"""The discriminators, as their figures draw them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from enlarge.networks.discriminators import (
    ProjectedDiscriminator,
    SRGANDiscriminator,
    UNetDiscriminator,
)
from tests.networks.tiny import picture


def test_srgans_is_figure_4() -> None:
    with torch.device("meta"):
        network = SRGANDiscriminator()
    convs = [module for module in network.features if isinstance(module, nn.Conv2d)]
    assert [
        (conv.kernel_size, conv.out_channels, conv.stride[0], conv.padding[0]) for conv in convs
    ] == [
        ((3, 3), 64, 1, 1),
        ((3, 3), 64, 2, 1),
        ((3, 3), 128, 1, 1),
        ((3, 3), 128, 2, 1),
        ((3, 3), 256, 1, 1),
        ((3, 3), 256, 2, 1),
        ((3, 3), 512, 1, 1),
        ((3, 3), 512, 2, 1),
    ]
    layers = [type(module).__name__ for module in network.features]
    assert layers == ["Conv2d", "LeakyReLU"] + 7 * ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    dense = [module for module in network.dense if isinstance(module, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in dense] == [
        (512 * 6 * 6, 1024),
        (1024, 1),
    ]


def test_srgans_verdict_is_a_probability() -> None:
    torch.manual_seed(0)
    network = SRGANDiscriminator(patch=32, width=4)
    image = picture(32, 32, batch=2)
    verdict = network.eval()(image)
    assert verdict.shape == (2, 1)
    torch.testing.assert_close(verdict, torch.sigmoid(network.logits(image)))
    with pytest.raises(ValueError, match="patch must be a multiple of 16, got 40"):
        SRGANDiscriminator(patch=40)


def test_the_u_nets_verdict_is_a_logit_for_every_pixel() -> None:
    torch.manual_seed(0)
    network = UNetDiscriminator(features=4)
    assert network(picture(16, 24, batch=2)).shape == (2, 1, 16, 24)
    # spectral normalisation: the largest singular value of every inner kernel is about 1
    network.train()
    for _ in range(20):
        network(picture(16, 16))
    for number in range(1, 9):
        weight = network.get_submodule(f"conv{number}").weight
        assert isinstance(weight, torch.Tensor)
        largest = torch.linalg.matrix_norm(weight.detach().flatten(1), 2)
        assert float(largest) == pytest.approx(1.0, abs=0.05)


def test_a_projected_verdict_is_given_for_every_map() -> None:
    torch.manual_seed(0)
    network = ProjectedDiscriminator([16, 24], features=8)
    maps = [torch.randn(2, 16, 12, 10), torch.randn(2, 24, 6, 5)]
    assert [tuple(v.shape) for v in network(maps)] == [(2, 1, 12, 10), (2, 1, 6, 5)]
    network.requires_grad_(False)
    network.train_heads()
    trained = {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad}
    assert trained == {"heads"}
