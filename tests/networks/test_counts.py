"""Parameters as published, on the meta device; and how the hybrid spends its operations."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from enlarge.networks import build
from enlarge.networks.discriminators import UNetDiscriminator
from tests.networks.tiny import parameters


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("edsr-baseline", {}, 1_517_571),
        ("edsr-baseline", {"scale": 2}, 1_369_859),
        ("edsr-baseline", {"scale": 3}, 1_554_499),
        ("edsr-toy", {}, 1_517_571),
        ("edsr-paper", {}, 43_089_923),  # "43.1 M"
        ("edsr-paper", {"scale": 2}, 40_729_603),
        ("edsr-deck", {}, 80_855_043),
        ("srresnet", {}, 1_549_462),
        ("msrresnet", {}, 1_517_571),
        ("rrdb", {}, 16_697_987),  # "16.7 M"
        ("rrdb", {"scale": 2}, 16_703_171),
        ("srvgg-anime", {}, 621_424),
        ("srvgg-general", {}, 1_213_296),
        ("swinir-light", {}, 929_628),  # the paper's "897 K" counts otherwise
        ("swinir-light", {"scale": 2}, 910_152),
        ("swinir-classical", {}, 11_900_199),  # "11.9 M"
        ("swinir-toy", {}, 712_308),
        ("edswin-s", {}, 976_836),
    ],
)
def test_parameters(name: str, options: dict[str, int], count: int) -> None:
    with torch.device("meta"):
        assert parameters(build(name, **options)) == count


def test_the_deck_is_its_two_parts_and_the_fusion() -> None:
    with torch.device("meta"):
        parts = parameters(build("edsr-deck")) + parameters(build("swinir-light"))
        assert parameters(build("edswin-deck-64")) == parts + 6 * 3 + 3
        assert parameters(build("edswin-deck-32")) == 44_019_572


def test_the_u_net_discriminator_has_real_esrgans_size() -> None:
    assert parameters(UNetDiscriminator()) == 4_376_897


@pytest.mark.parametrize("name", ["edswin-s", "edswin-m", "edswin-l"])
def test_attention_has_its_share_of_the_operations(name: str) -> None:
    """Swin's layers: attention and the MLP behind it."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        build(name)(torch.empty(1, 3, 64, 64))
    counts = counter.get_flop_counts()
    parts = (".attn", ".mlp")
    attention = sum(sum(ops.values()) for key, ops in counts.items() if key.endswith(parts))
    assert attention >= 0.15 * counter.get_total_flops()


@pytest.mark.parametrize("arrangement", ["alternating", "parallel"])
def test_arrangements_have_equal_parameters(arrangement: str) -> None:
    with torch.device("meta"):
        assert parameters(build("edswin-s", arrangement=arrangement, blocks=8)) == 932_240
        every_first = build("edswin-s", every=1, blocks=8)
        assert parameters(every_first) == 932_240
