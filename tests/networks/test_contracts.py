"""What every network of the table promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from enlarge.errors import OptionError
from enlarge.networks import NETWORKS, PRESETS, build, resolve
from tests.networks.tiny import CASES, SCALES, TINY, picture, tiny


def margin_of(network: nn.Module) -> int | None:
    margin = network.margin
    assert margin is None or isinstance(margin, int)
    return margin


def multiple_of(network: nn.Module) -> int:
    assert isinstance(network.multiple, int)
    return network.multiple


def test_every_network_has_a_tiny_form() -> None:
    assert set(TINY) == set(SCALES) == set(NETWORKS)


def test_presets_build_and_do_not_hide_networks() -> None:
    assert not set(PRESETS) & set(NETWORKS)
    with torch.device("meta"):
        for name in PRESETS:
            assert build(name).scale == 4


def test_options_given_win_over_the_presets() -> None:
    assert resolve("edsr-paper", {"scale": 2, "scaling": 1.0}) == (
        "edsr",
        {"blocks": 32, "features": 256, "scaling": 1.0, "scale": 2},
    )


def test_unknown_names_and_options_are_named() -> None:
    with pytest.raises(OptionError, match=r"'edsrr'.*edsr, .*edsr-baseline"):
        build("edsrr")
    with pytest.raises(OptionError, match=r"edsr has no option block; it has: scale, features"):
        build("edsr", block=3)
    with pytest.raises(OptionError, match="edsr: scale must be 3 or a power of two, got 5"):
        build("edsr", scale=5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("edswin", {"heads": 0}),
        ("edswin", {"features": 10, "heads": 4}),
        ("edswin", {"window": 0}),
        ("rrdb", {"scale": 0}),
        ("edsr", {"scale": 4.0}),
        ("edsr", {"features": "x"}),
        ("edsr", {"features": -1}),
        ("edsr", {"name": "edsr"}),
        ("replain", {"blocks": 6, "taps": 1}),
    ],
)
def test_values_that_cannot_be_are_options_errors(name: str, options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=f"^{name}"):
        build(name, **options)


@pytest.mark.parametrize(("name", "scale"), CASES)
@pytest.mark.parametrize("size", [(13, 6), (1, 1)])
def test_any_size_is_enlarged(name: str, scale: int, size: tuple[int, int]) -> None:
    network = tiny(name, scale=scale)
    height, width = size
    with torch.no_grad():
        enlarged = network(picture(height, width, batch=2))
    assert enlarged.shape == (2, 3, scale * height, scale * width)
    assert enlarged.isfinite().all()
    assert network.scale == scale


@pytest.mark.parametrize("name", TINY)
def test_pictures_of_a_batch_do_not_mix(name: str) -> None:
    network, batch = tiny(name), picture(9, 8, batch=2)
    with torch.no_grad():
        torch.testing.assert_close(network(batch)[1:], network(batch[1:]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", TINY)
def test_every_parameter_learns(name: str) -> None:
    network = tiny(name).train()
    network(picture(9, 10, batch=2)).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key


def pad(image: Tensor, multiple: int) -> Tensor:
    """What `picture` does: numpy's reflection, and repetition where the axis is too short."""
    array = image.numpy()
    for axis in (2, 3):
        size = array.shape[axis]
        more = -size % multiple
        mirrored = min(more, size - 1)
        widths = [(0, mirrored if i == axis else 0) for i in range(4)]
        array = np.pad(array, widths, mode="reflect")
        widths = [(0, more - mirrored if i == axis else 0) for i in range(4)]
        array = np.pad(array, widths, mode="edge")
    return torch.from_numpy(array)


@pytest.mark.parametrize(
    ("name", "scale"), [case for case in CASES if multiple_of(tiny(case[0], scale=case[1])) > 1]
)
@pytest.mark.parametrize("size", [(7, 13), (1, 2)])
def test_padding_inside_equals_padding_outside(
    name: str, scale: int, size: tuple[int, int]
) -> None:
    network = tiny(name, scale=scale)
    multiple = multiple_of(network)
    image = picture(*size)
    with torch.no_grad():
        inside = network(image)
        outside = network(pad(image, multiple))[..., : scale * size[0], : scale * size[1]]
    torch.testing.assert_close(inside, outside, rtol=0, atol=0)


def measured_margin(network: nn.Module, guess: int) -> tuple[int, int]:
    """How far (up and left, down and right) the outputs of one cell see beyond it, in pixels.

    A cell is `multiple` × `multiple` pixels. By gradient, in float64, on a picture a little
    larger than the guess.
    """
    cell, scale = multiple_of(network), network.scale
    assert isinstance(scale, int)
    start = -(-(guess + 2) // cell) * cell
    side = 2 * start + cell
    image = picture(side, side).double().requires_grad_()
    enlarged = network.double()(image)
    centre = slice(start * scale, (start + cell) * scale)
    block = enlarged[..., centre, centre]
    (block * torch.rand_like(block)).sum().backward()
    assert image.grad is not None
    touched = image.grad[0].abs().sum(0)  # (side, side)
    assert torch.equal(touched.sum(0).nonzero(), touched.sum(1).nonzero())
    rows = touched.sum(1).nonzero().flatten().tolist()
    return start - rows[0], rows[-1] - (start + cell - 1)


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_the_margin_is_what_the_gradient_reaches(name: str, scale: int) -> None:
    network = tiny(name, scale=scale)
    margin = margin_of(network)
    if margin is None:
        assert multiple_of(network) > 1
        return
    assert measured_margin(network, margin) == (margin, margin)


@pytest.mark.parametrize("options", [{}, {"tail_features": 4}])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_margin_of_edswins_convolutional_form(scale: int, options: dict[str, int]) -> None:
    network = tiny("edswin", scale=scale, arrangement="convolution", **options)
    margin = margin_of(network)
    assert margin is not None
    assert measured_margin(network, margin) == (margin, margin)


@pytest.mark.parametrize(
    ("name", "margin"),
    [("edsr-baseline", 36), ("edsr-paper", 68), ("edsr-deck", 132), ("rrdb", 349)],
)
def test_margins_of_the_published_networks(name: str, margin: int) -> None:
    with torch.device("meta"):
        assert margin_of(build(name)) == margin
