"""A network of this package and its safetensors file, which describes itself by a card."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from enlarge.card import KEY, Card, read_card
from enlarge.engines.protocol import first_line
from enlarge.errors import OptionError, WeightsError
from enlarge.networks import build
from enlarge.version import __version__


def load_network(path: Path) -> tuple[nn.Module, Card]:
    """The network of a `.safetensors` file with a card, in eval mode, and the card.

    Raises `WeightsError` if the file has no card, or its parameters do not fit the card.
    """
    card = read_card(path)
    if card is None:
        raise WeightsError(f"{path}: has no enlarge card; expected one in its metadata")
    try:
        network = build(card.network, **card.options)
        network.load_state_dict(load_file(path))
    except (
        *(OptionError, SafetensorError, RuntimeError, TypeError, ValueError, LookupError),
        *(AttributeError, AssertionError, MemoryError, OSError),
    ) as error:
        raise WeightsError(
            f"{path}: its parameters do not fit its card ({first_line(error)}); export it again"
        ) from error
    return network.eval(), card


def describe_network(
    network: nn.Module, *, name: str, architecture: str, options: dict[str, Any], **fields: Any
) -> Card:
    """The card of a network, as far as the module itself tells: scale, margin, multiple, parameters
    and operations. `fields` are further fields of the card.

    The halo is the margin, or 0 if that is unbounded. `measuring.measured` replaces it and adds
    what only running the network tells.
    """
    scale, margin, multiple = network.scale, network.margin, network.multiple
    assert isinstance(scale, int)
    assert isinstance(multiple, int)
    assert margin is None or isinstance(margin, int)
    return Card(
        name=name,
        network=architecture,
        options=options,
        scale=scale,
        margin=margin,
        halo=margin or 0,
        multiple=multiple,
        parameters=sum(p.numel() for p in network.parameters()),
        flops=flops_per_output_pixel(network, scale, multiple),
        **{"version": __version__, **fields},
    )


def flops_per_output_pixel(network: nn.Module, scale: int, multiple: int = 1) -> float:
    """Floating-point operations per output pixel; a multiply-add counts two.

    They are counted on the meta device, without computing; attention is included.
    """
    side = -(-64 // multiple) * multiple
    network = copy.deepcopy(network).to("meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, side, side, device="meta"))
    return float(counter.get_total_flops()) / (side * side * scale * scale)


def round_to_half(network: nn.Module) -> None:
    """Round every parameter and persistent buffer to fp16, in place.

    Raises `WeightsError` if a value is too large.
    """
    for key, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        rounded = value.half().to(value.dtype)
        if not rounded.isfinite().all():
            raise WeightsError(
                f"{key} holds {value.abs().max():.3g}, more than fp16's 65504; export in f32"
            )
        value.copy_(rounded)


def save_network(
    network: nn.Module,
    card: Card,
    path: Path,
    *,
    half: bool = False,
    more: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the parameters and the card as safetensors, atomically.

    `half` stores fp16, which is exact after `round_to_half`. `more`: further tensors, which the
    network itself ignores.
    """
    tensors = {**network.state_dict(), **(more or {})}
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    if half:
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={KEY: card.to_json()})
        temporary.chmod(0o644)  # safetensors creates files that only their owner can read


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file atomically: yields a temporary path, which replaces `path` unless the block
    raises. Raises `WeightsError` if the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
