"""RePlain's training form and its deployed form are one function."""

from __future__ import annotations

import pytest
import torch

from enlarge.networks.replain import RePlain, detect_replain
from tests.networks.tiny import picture, tiny


@pytest.mark.parametrize(("scale", "unshuffle"), [(2, 1), (4, 1), (2, 2), (4, 2)])
def test_folding_keeps_the_function(scale: int, unshuffle: int) -> None:
    network = tiny("replain", scale=scale, unshuffle=unshuffle)
    assert isinstance(network, RePlain)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)  # the branches begin at zero
    image = picture(9, 12, batch=2)
    with torch.no_grad():
        trained = network(image)
        network.fold()
        folded = network(image)
        deployed = tiny("replain", scale=scale, unshuffle=unshuffle, deployed=True)
        deployed.load_state_dict(network.state_dict())
        loaded = deployed(image)
    torch.testing.assert_close(folded, trained, rtol=0, atol=1e-5)
    torch.testing.assert_close(loaded, folded, rtol=0, atol=0)


def test_a_fresh_network_that_sees_twice_as_far_repeats_the_pixels() -> None:
    """Of any size, an odd one too: what it adds goes through two shuffles to the same pixels."""
    network = tiny("replain", unshuffle=2)
    assert isinstance(network, RePlain)
    assert (network.multiple, network.margin) == (2, 16)
    with torch.no_grad():
        network.tail.weight.zero_()
        for size in ((9, 12), (8, 6), (1, 1)):
            image = picture(*size, batch=2)
            nearest = image.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
            torch.testing.assert_close(network(image), nearest, rtol=0, atol=0)


@pytest.mark.parametrize("options", [{}, {"unshuffle": 2}, {"unshuffle": 2, "scale": 2}])
def test_its_options_are_read_off_its_keys(options: dict[str, int]) -> None:
    network = tiny("replain", **options)
    found = detect_replain(network.state_dict())
    assert found is not None
    wanted = {"scale": 4, "channels": 8, "blocks": 2, "taps": 3, "unshuffle": 1, "deployed": False}
    assert found.options == wanted | options
