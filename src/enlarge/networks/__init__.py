"""The networks: pure `nn.Module`s, one per file, and the tables that name them.

Each takes RGB in [0, 1], (B, 3, H, W), of any size, and returns (B, 3, scale·H, scale·W), not
clamped. Its attributes:
    scale     the factor
    multiple  it pads to a multiple of this; exported graphs take such sizes only, and tiles start
              on multiples of it
    margin    receptive margin in LR pixels; None: unbounded
Beside it are the detectors of its checkpoints (see `checkpoints`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from enlarge.errors import OptionError
from enlarge.networks.checkpoints import CheckpointLayout
from enlarge.networks.edsr import EDSR, detect_basicsr_edsr, detect_edsr, detect_official_edsr
from enlarge.networks.edswin import EDSwin, detect_edswin
from enlarge.networks.edswin_deck import EDSwinDeck, detect_edswin_deck
from enlarge.networks.msrresnet import MSRResNet, detect_msrresnet
from enlarge.networks.replain import RePlain, detect_replain
from enlarge.networks.rrdb import RRDB, detect_bsrgan_rrdb, detect_old_rrdb, detect_rrdb
from enlarge.networks.srresnet import SRResNet, detect_srresnet
from enlarge.networks.srvgg import SRVGG, detect_srvgg
from enlarge.networks.swinir import SwinIR, detect_swinir

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "edsr": EDSR,
    "edswin": EDSwin,
    "edswin-deck": EDSwinDeck,
    "msrresnet": MSRResNet,
    "replain": RePlain,
    "rrdb": RRDB,
    "srresnet": SRResNet,
    "srvgg": SRVGG,
    "swinir": SwinIR,
}

LAYOUTS = (
    CheckpointLayout("edsr", "EDSR", detect_edsr),
    CheckpointLayout("edsr", "EDSR (EDSR-PyTorch)", detect_official_edsr),
    CheckpointLayout("edsr", "EDSR (BasicSR)", detect_basicsr_edsr),
    CheckpointLayout("srresnet", "SRResNet", detect_srresnet),
    CheckpointLayout("msrresnet", "MSRResNet (BasicSR)", detect_msrresnet),
    CheckpointLayout("rrdb", "ESRGAN / Real-ESRGAN", detect_rrdb),
    CheckpointLayout("rrdb", "ESRGAN (BSRGAN's keys)", detect_bsrgan_rrdb),
    CheckpointLayout("rrdb", "ESRGAN (old keys)", detect_old_rrdb),
    CheckpointLayout("srvgg", "SRVGG", detect_srvgg),
    CheckpointLayout("swinir", "SwinIR", detect_swinir),
    CheckpointLayout("edswin", "EDSwin", detect_edswin),
    CheckpointLayout("edswin-deck", "EDSwin (deck)", detect_edswin_deck),
    CheckpointLayout("replain", "RePlain", detect_replain),
)
"""The layouts of checkpoints, in the order in which they are tried."""

_EVERY_SECOND = {"arrangement": "every_k", "every": 2}  # docs/training.md has why

PRESETS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "edsr-baseline": ("edsr", {"blocks": 16, "features": 64}),
    "edsr-toy": ("edsr", {"blocks": 16, "features": 64}),  # the deck's, on whole 512² pictures
    "edsr-paper": ("edsr", {"blocks": 32, "features": 256, "scaling": 0.1}),
    "edsr-deck": ("edsr", {"blocks": 64, "features": 256, "scaling": 0.1}),
    "srresnet-plain": ("srresnet", {"batch_norm": False}),
    "srvgg-anime": ("srvgg", {"convs": 16}),  # realesr-animevideov3
    "srvgg-general": ("srvgg", {"convs": 32}),  # realesr-general-x4v3
    "swinir-light": ("swinir", {"dim": 60, "depths": (6,) * 4, "heads": (6,) * 4}),
    "swinir-toy": ("swinir", {"dim": 60, "depths": (6,) * 3, "heads": (6,) * 3}),
    "swinir-classical": (
        "swinir",
        {"dim": 180, "depths": (6,) * 6, "heads": (6,) * 6, "upsampler": "pixelshuffle"},
    ),
    "swinir-real": (
        "swinir",
        {"dim": 180, "depths": (6,) * 6, "heads": (6,) * 6, "upsampler": "nearest+conv"},
    ),
    "swinir-real-large": (
        "swinir",
        {
            "dim": 240,
            "depths": (6,) * 9,
            "heads": (8,) * 9,
            "upsampler": "nearest+conv",
            "connection": "3conv",
        },
    ),
    "edswin-deck-64": ("edswin-deck", {"blocks": 64, "features": 256}),  # the slides
    "edswin-deck-32": ("edswin-deck", {"blocks": 32, "features": 256}),  # the team's code
    "edswin-s": ("edswin", {**_EVERY_SECOND, "features": 64, "blocks": 10, "heads": 4}),
    "edswin-m": ("edswin", {**_EVERY_SECOND, "features": 96, "blocks": 16, "heads": 6}),
    "edswin-l": (
        "edswin",
        {**_EVERY_SECOND, "features": 160, "blocks": 20, "heads": 8, "tail_features": 64},
    ),
}
"""Name → network and the options that differ from its defaults; `scale` is free (default 4)."""


def resolve(name: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A network's or preset's name → the network's name and its options; those given win."""
    if name in NETWORKS:
        return name, dict(options)
    if name in PRESETS:
        network, preset = PRESETS[name]
        return network, {**preset, **options}
    raise OptionError(
        f"unknown network {name!r}; networks: {', '.join(NETWORKS)}; presets: {', '.join(PRESETS)}"
    )


def build(name: str, /, **options: Any) -> nn.Module:
    """The network (or preset) of that name with those keyword arguments.

    Raises `OptionError` for an unknown name or option, or an invalid value.
    """
    network, options = resolve(name, options)
    builder = NETWORKS[network]
    known = inspect.signature(builder).parameters
    unknown = [option for option in options if option not in known]
    if unknown:
        raise OptionError(
            f"{network} has no option {', '.join(unknown)}; it has: {', '.join(known)}"
        )
    try:
        return builder(**options)
    except (ValueError, TypeError, ArithmeticError, AttributeError, RuntimeError) as error:
        raise OptionError(f"{network}: {error}; it was built with {options}") from error
