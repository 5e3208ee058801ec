from __future__ import annotations

import pytest
import torch
from torch import nn

from enlarge.networks import build
from enlarge.training.muon import Muon, orthogonalise
from enlarge.training.optimizers import ends, rate, split_parameters
from tests.networks.tiny import TINY, tiny


def test_training_learns() -> None:
    """The loss falls on one repeated batch, with both optimisers of the loop."""
    torch.manual_seed(0)
    network = build("replain", scale=2, channels=8, blocks=1, taps=2)
    hidden, rest = split_parameters(network)
    optimizers = [Muon(hidden, lr=0.02), torch.optim.AdamW(rest, lr=1e-2)]
    low, high = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.l1_loss(network(low), high)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.85 * losses[0]


def test_muon_takes_the_hidden_kernels_and_nothing_else() -> None:
    network = build("replain", channels=8, blocks=2, taps=3)
    hidden, rest = split_parameters(network)
    assert len(hidden) == 6
    assert all(p.shape == (8, 8, 3, 3) for p in hidden)
    assert sum(p.numel() for p in hidden + rest) == sum(p.numel() for p in network.parameters())


ENDS = {
    "edsr": ["head", "tail"],
    "edswin": ["head", "tail.0"],
    "edswin-deck": ["edsr.head", "edsr.tail", "fuse", "swinir.conv_first", "swinir.upsample.0"],
    "msrresnet": ["conv_first", "conv_last"],
    "replain": ["head", "tail"],
    "rrdb": ["conv_first", "conv_last"],
    "srresnet": ["head.0", "tail"],
    "srvgg": ["body.0", "body.8"],
    "swinir": ["conv_first", "upsample.0"],
}


@pytest.mark.parametrize("name", TINY)
def test_the_ends_of_every_network_are_known(name: str) -> None:
    assert sorted(ends(tiny(name))) == [f"{path}.weight" for path in ENDS[name]]


def test_the_ends_are_known_where_hidden_kernels_look_like_them() -> None:
    """48 = 3 · 4² channels inside; and SwinIR's other upsamplers."""
    network = build("srvgg", features=48, convs=2)
    assert sorted(ends(network)) == ["body.0.weight", "body.6.weight"]
    assert len(split_parameters(network)[0]) == 2
    wide = build("rrdb", scale=2, features=48, blocks=1, growth=8)
    assert sorted(ends(wide)) == ["conv_first.weight", "conv_last.weight"]
    shuffle = tiny("swinir", upsampler="pixelshuffle")
    assert sorted(ends(shuffle)) == ["conv_first.weight", "conv_last.weight"]


def test_attentions_matrices_are_hidden_and_its_tables_are_not() -> None:
    network = tiny("swinir")
    hidden = {id(p) for p in split_parameters(network)[0]}
    for module in network.modules():
        if isinstance(module, nn.Linear):
            assert id(module.weight) in hidden
    for name, parameter in network.named_parameters():
        if "bias" in name:
            assert id(parameter) not in hidden


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((3, 32, 288), (2, 40, 9)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert values.min() > 0.6
        assert values.max() < 1.25


def test_muon_agrees_with_torchs_own() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(4, 6)) for _ in range(2))
    a = Muon([ours], lr=0.02, weight_decay=0.1)
    b = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95)
    for _ in range(3):
        gradient = torch.randn(4, 6)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        a.step()
        b.step()
    assert (ours - theirs).abs().max() < 2e-3  # theirs orthogonalises in bfloat16


def test_the_rate_warms_up_and_ends_at_zero() -> None:
    assert rate(0.0, 0, 10) == pytest.approx(0.1)
    assert rate(0.0, 9, 10) == 1.0
    assert rate(0.5, 99, 10) == pytest.approx(0.5)
    assert rate(1.0, 99, 10) == pytest.approx(0.0)


def test_the_rate_falls_over_the_last_part_only() -> None:
    assert rate(0.69, 99, 10, decay=0.3) == 1.0
    assert rate(0.85, 99, 10, decay=0.3) == pytest.approx(0.5)
    assert rate(1.0, 99, 10, decay=0.3) == pytest.approx(0.0)
    assert rate(1.0, 99, 10, decay=0.0) == 1.0
