"""The backbones have torchvision's layout: places, shapes, counts, and where their maps lie."""

from __future__ import annotations

import pytest
import torch

from enlarge.networks.backbones import VGG16, VGG19, AlexNet

Kind = type[AlexNet] | type[VGG16] | type[VGG19]
PLACES: dict[Kind, list[int]] = {
    AlexNet: [0, 3, 6, 8, 10],
    VGG16: [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28],
    VGG19: [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34],
}
"""Where torchvision's `features` have their convolutions."""
COUNTS: dict[Kind, int] = {AlexNet: 2_469_696, VGG16: 14_714_688, VGG19: 20_024_384}
"""Their parameters: what torchvision's models have without the classifier."""


@pytest.mark.parametrize("kind", PLACES, ids=lambda kind: kind.__name__)
def test_the_layout_is_torchvisions(kind: Kind) -> None:
    state = kind().state_dict()
    wanted = [f"features.{n}.{end}" for n in PLACES[kind] for end in ("weight", "bias")]
    assert list(state) == wanted
    assert sum(value.numel() for value in state.values()) == COUNTS[kind]


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [
        (AlexNet, [(64, 15, 19), (192, 7, 9), (384, 3, 4), (256, 3, 4), (256, 3, 4)]),
        (VGG16, [(64, 64, 80), (128, 32, 40), (256, 16, 20), (512, 8, 10), (512, 4, 5)]),
        (VGG19, [(512, 4, 5)]),
    ],
)
def test_maps(kind: Kind, shapes: list[tuple[int, ...]]) -> None:
    torch.manual_seed(0)
    network = kind().eval()
    image = torch.rand(2, 3, 64, 80)
    with torch.inference_mode():
        maps = list(network.maps(image))
        assert [tuple(found.shape) for found in maps] == [(2, *shape) for shape in shapes]
        assert torch.equal(network(image), maps[-1])
    if kind is not VGG19:
        assert all(float(found.min()) == 0.0 for found in maps)  # behind their activations


@pytest.mark.parametrize("kind", PLACES, ids=lambda kind: kind.__name__)
def test_the_least_side_is_the_least(kind: Kind) -> None:
    network = kind().eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 3, kind.least, kind.least)).numel()
        with pytest.raises(RuntimeError, match="too small"):
            network(torch.rand(1, 3, kind.least - 1, kind.least))
