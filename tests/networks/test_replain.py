"""RePlain's training form and its deployed form are one function."""

from __future__ import annotations

import pytest
import torch

from enlarge.networks.replain import RePlain
from tests.networks.tiny import picture, tiny


@pytest.mark.parametrize("scale", [2, 4])
def test_folding_keeps_the_function(scale: int) -> None:
    network = tiny("replain", scale=scale)
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
        deployed = tiny("replain", scale=scale, deployed=True)
        deployed.load_state_dict(network.state_dict())
        loaded = deployed(image)
    torch.testing.assert_close(folded, trained, rtol=0, atol=1e-5)
    torch.testing.assert_close(loaded, folded, rtol=0, atol=0)
