"""Checkpoints that say nothing of themselves: what they are, from their keys and shapes.

    read_checkpoint(path)   .safetensors, .pth, .pt, .ckpt → what the file holds; runs no code
    deduce(checkpoint)      → the network's name, its options, its state dict in our layout

What no file tells, and what is taken for it:
    EDSR's residual scaling         as published: 0.1 from 128 features on, else 1
    the range of BasicSR's EDSR     0–255, its default (official EDSR files say theirs)
    SwinIR with a window of 7       0–255, as published (the JPEG models)
Networks that want 0–255 are rescaled to ours, [0, 1], exactly: through their biases, or through
their first and last convolution.
"""

from __future__ import annotations

import math
import pickle
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from enlarge.errors import OptionError, WeightsError
from enlarge.networks import build
from enlarge.networks.blocks import DIV2K_MEAN
from enlarge.weights.files import PICKLES

State = dict[str, Tensor]
Options = dict[str, Any]

WRAPPERS = ("params_ema", "ema", "params", "state_dict", "model_state_dict", "raw", "model")
"""Keys under which others nest the state dict; the averaged weights first."""
_DEEPEST = 8
"""Wrappers inside wrappers, at most: a file may hold a dict that holds itself."""
PREFIXES = ("module.", "model.", "network.", "net_g.", "generator.", "net.", "_orig_mod.")


_UNREADABLE = (
    *(OSError, EOFError, RuntimeError, ValueError, LookupError, SafetensorError),
    *(TypeError, AttributeError, AssertionError, OverflowError, struct.error),  # of noise as pickle
)


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """What the file holds: a state dict, or a dict around one. No code of the file is run.

    Raises `WeightsError` where it cannot be read, or is a pickle that wants to run code.
    """
    suffix = path.suffix.lower()
    if suffix != ".safetensors" and suffix not in PICKLES:
        raise WeightsError(
            f"{path}: a checkpoint ends in .safetensors, {', '.join(PICKLES)}; got {suffix!r}"
        )
    try:
        if suffix == ".safetensors":
            tensors: State = load_file(path)
            return tensors
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused, for this pickle holds more than weights and would run code when it "
            "is opened; save its state dict alone, best as .safetensors"
        ) from error
    except _UNREADABLE as error:
        raise WeightsError(f"{path}: cannot be read as a checkpoint: {error}") from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: expected a dict of tensors, got {type(content).__name__}")
    return content


def deduce(checkpoint: Mapping[str, Any]) -> tuple[str, Options, State]:
    """(network, options, state dict), such that `build(network, **options)` loads the state dict.

    Raises `WeightsError`, naming keys and architectures tried, where none of them fits.
    """
    misfit = ""
    for state in peeled(checkpoint):
        for name, recognise in ARCHITECTURES.items():
            try:
                found = recognise(state)
            except (ArithmeticError, LookupError, ValueError) as error:
                misfit = f"; nearest is {name}, but its shapes make no sense: {error}"
                continue
            if found is None:
                continue
            network, options, converted = found
            difference = differing(network, options, converted)
            if not difference:
                return network, options, converted
            misfit = f"; nearest is {name}, but {difference}"
    keys = [key for key in checkpoint if isinstance(key, str)]
    for state in peeled(checkpoint):
        keys = list(state)
    listed = ", ".join(keys[:8]) + (f", … ({len(keys)} in all)" if len(keys) > 8 else "")
    raise WeightsError(
        f"unknown architecture: keys {listed or 'none'}; tried {', '.join(ARCHITECTURES)}{misfit}"
    )


# Wrappers ---------------------------------------------------------------------------------------


def peeled(checkpoint: Mapping[str, Any]) -> Iterator[State]:
    """The state dict inside the wrappers, then the same without each prefix that all keys share."""
    inner: Mapping[str, Any] = checkpoint
    for _ in range(_DEEPEST):
        nested = [key for key in WRAPPERS if isinstance(inner.get(key), Mapping)]
        if not nested:
            break
        inner = inner[nested[0]]
    state = {
        key: value
        for key, value in inner.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    if state:
        yield state
    while state:
        shared = [p for p in PREFIXES if all(key.startswith(p) for key in state)]
        if not shared:
            return
        state = {key.removeprefix(shared[0]): value for key, value in state.items()}
        yield state


def differing(network: str, options: Options, state: State) -> str:
    """What keeps the state dict from fitting that network; empty where it fits."""
    try:
        with torch.device("meta"):
            wanted = build(network, **options).state_dict()
    except (OptionError, ArithmeticError, RuntimeError) as error:
        return str(error)
    missing = [key for key in wanted if key not in state]
    surplus = [key for key in state if key not in wanted]
    if missing or surplus:
        named = [f"lacks {key}" for key in missing[:3]] + [f"has {key}" for key in surplus[:3]]
        return f"it {', '.join(named)}"
    for key, tensor in wanted.items():
        if tensor.shape != state[key].shape:
            return f"{key} is {tuple(state[key].shape)}, expected {tuple(tensor.shape)}"
    return ""


# What shapes tell -------------------------------------------------------------------------------


def count(state: State, pattern: str) -> int:
    """One more than the largest number that `pattern` captures at the start of a key; 0: none."""
    numbers = [int(m[1]) for key in state if (m := re.match(pattern, key))]
    found = max(numbers, default=-1) + 1
    if found > len(state) + 1:
        raise ValueError(f"a key says that there are {found}, the file has {len(state)} tensors")
    return found


def renamed(state: State, *rules: tuple[str, str]) -> State:
    """Every key with all the rules (pattern, replacement) applied."""

    def rename(key: str) -> str:
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        return key

    return {rename(key): value for key, value in state.items()}


def shuffled_scale(state: State, pattern: str) -> int:
    """The product of the factors of the convolutions, named by `pattern`, before pixel shuffles."""
    scale = 1
    for key, weight in state.items():
        if re.fullmatch(pattern, key):
            scale *= math.isqrt(weight.shape[0] // weight.shape[1])
    return scale


def direct_scale(weight: Tensor) -> int:
    """The factor of the one convolution to 3·scale² channels."""
    return math.isqrt(weight.shape[0] // 3)


def scaling_of(features: int) -> float:
    """EDSR's residual scaling as published, since no file tells it."""
    return 0.1 if features >= 128 else 1.0


def divided_biases(state: State, span: float) -> State:
    """A network of convolutions and ReLUs for 0–`span` → the same function on [0, 1]."""
    return {key: value / span if key.endswith("bias") else value for key, value in state.items()}


# Architectures: (network, options, state dict), or None where the keys are not their own ----------

Found = tuple[str, Options, State] | None


def edsr(state: State) -> Found:
    """Our own EDSR."""
    if not {"head.weight", "body.0.conv1.weight", "merge.weight", "tail.weight"} <= state.keys():
        return None
    features = state["head.weight"].shape[0]
    options = {
        "scale": shuffled_scale(state, r"upsample\.\d+\.weight"),
        "features": features,
        "blocks": count(state, r"body\.(\d+)\."),
        "scaling": scaling_of(features),
    }
    return "edsr", options, state


def edsr_official(state: State) -> Found:
    """EDSR-PyTorch: head.0, body.N.body.0|2, body.LAST, tail.0.0|2|4, tail.1, sub_mean."""
    if not {"head.0.weight", "body.0.body.0.weight", "tail.0.0.weight"} <= state.keys():
        return None
    blocks = count(state, r"body\.(\d+)\.body\.")
    plain = {key: v for key, v in state.items() if not key.startswith(("sub_mean.", "add_mean."))}
    plain = renamed(
        plain,
        (r"^head\.0\.", "head."),
        (rf"^body\.{blocks}\.", "merge."),
        (r"^body\.(\d+)\.body\.0\.", r"body.\1.conv1."),
        (r"^body\.(\d+)\.body\.2\.", r"body.\1.conv2."),
        (r"^tail\.0\.", "upsample."),
        (r"^tail\.1\.", "tail."),
    )
    found = edsr(plain)
    if found is None:
        return None
    network, options, _ = found
    mean, span = mean_and_span(state)
    if mean:
        options["mean"] = mean
    return network, options, divided_biases(plain, span)


def mean_and_span(state: State) -> tuple[tuple[float, ...], float]:
    """EDSR-PyTorch's mean colour in [0, 1], empty if it is DIV2K's, and its range, 255 or 1."""
    if "sub_mean.bias" not in state:
        return (), 255.0
    shift = state["sub_mean.bias"].double()
    span = 255.0 if float(shift.abs().max()) > 1.0 else 1.0
    mean = tuple(round(float(-value / span), 6) for value in shift)
    if all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(mean, DIV2K_MEAN, strict=True)):
        return (), span
    return mean, span


def edsr_basicsr(state: State) -> Found:
    """BasicSR's EDSR: conv_first, body.N.conv1|2, conv_after_body, upsample.N, conv_last."""
    if not {"conv_first.weight", "body.0.conv1.weight", "conv_after_body.weight"} <= state.keys():
        return None
    plain = renamed(
        state,
        (r"^conv_first\.", "head."),
        (r"^conv_after_body\.", "merge."),
        (r"^conv_last\.", "tail."),
    )
    return edsr(divided_biases(plain, 255.0))


def msrresnet(state: State) -> Found:
    """BasicSR's MSRResNet (its "SRResNet"), and the older names recon_trunk and HRconv."""
    state = renamed(state, (r"^recon_trunk\.", "body."), (r"^HRconv\.", "conv_hr."))
    if not {"conv_first.weight", "body.0.conv1.weight", "upconv1.weight"} <= state.keys():
        return None
    options = {
        "scale": shuffled_scale(state, r"upconv\d\.weight"),
        "features": state["conv_first.weight"].shape[0],
        "blocks": count(state, r"body\.(\d+)\."),
    }
    return "msrresnet", options, state


def srresnet(state: State) -> Found:
    """Our own SRResNet."""
    if not {"head.0.weight", "body.0.residual.0.weight", "merge.0.weight"} <= state.keys():
        return None
    options = {
        "scale": shuffled_scale({k: v for k, v in state.items() if v.ndim == 4}, UPSAMPLE),
        "features": state["head.0.weight"].shape[0],
        "blocks": count(state, r"body\.(\d+)\."),
        "batch_norm": "merge.1.running_mean" in state,
    }
    return "srresnet", options, state


UPSAMPLE = r"upsample\.\d+\.weight"


def rrdb(state: State) -> Found:
    """ESRGAN and Real-ESRGAN, today's keys: conv_first, body.N.rdbM.convK, conv_body, conv_upN."""
    if not {"conv_first.weight", "body.0.rdb1.conv1.weight", "conv_body.weight"} <= state.keys():
        return None
    features, inputs = state["conv_first.weight"].shape[:2]
    unshuffle = math.isqrt(inputs // 3)
    doublings = max(count(state, r"conv_up(\d)\.") - 1, 0)
    options = {
        "scale": 2**doublings // unshuffle,
        "features": features,
        "blocks": count(state, r"body\.(\d+)\."),
        "growth": state["body.0.rdb1.conv1.weight"].shape[0],
        "unshuffle": unshuffle,
    }
    return "rrdb", options, state


def rrdb_middle(state: State) -> Found:
    """The keys of BSRGAN and of ESRGAN's repository: RRDB_trunk, trunk_conv, upconvN, HRconv."""
    if "RRDB_trunk.0.RDB1.conv1.weight" not in state:
        return None
    return rrdb(
        renamed(
            state,
            (r"^RRDB_trunk\.(\d+)\.RDB", r"body.\1.rdb"),
            (r"^trunk_conv\.", "conv_body."),
            (r"^upconv", "conv_up"),
            (r"^HRconv\.", "conv_hr."),
        )
    )


def rrdb_old(state: State) -> Found:
    """ESRGAN's first keys: model.0, model.1.sub.N.RDBM.convK.0, model.1.sub.LAST, model.3 …"""
    if "model.1.sub.0.RDB1.conv1.0.weight" not in state:
        return None
    last = count(state, r"model\.1\.sub\.(\d+)\.") - 1
    numbers = sorted(
        int(m[1]) for key in state if (m := re.fullmatch(r"model\.(\d+)\.weight", key))
    )
    if len(numbers) < 3:
        return None
    _, *ups, hr, end = numbers  # 0 is the first convolution
    rules = [(rf"^model\.{number}\.", f"conv_up{i}.") for i, number in enumerate(ups, 1)]
    return rrdb(
        renamed(
            state,
            (r"^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
            (rf"^model\.1\.sub\.{last}\.", "conv_body."),
            (r"^model\.0\.", "conv_first."),
            (rf"^model\.{hr}\.", "conv_hr."),
            (rf"^model\.{end}\.", "conv_last."),
            *rules,
        )
    )


def srvgg(state: State) -> Found:
    """Real-ESRGAN's compact network: body.N alone, convolutions and PReLUs in turn."""
    if not {"body.0.weight", "body.1.weight", "body.2.weight"} <= state.keys():
        return None
    last = count(state, r"body\.(\d+)\.") - 1
    options = {
        "scale": direct_scale(state[f"body.{last}.weight"]),
        "features": state["body.0.weight"].shape[0],
        "convs": last // 2 - 1,
    }
    return "srvgg", options, state


def window_and_heads(table: Tensor) -> tuple[int, int]:
    """From a relative position bias table, ((2·window − 1)², heads)."""
    rows, heads = table.shape
    return (math.isqrt(rows) + 1) // 2, heads


def swinir(state: State) -> Found:
    """SwinIR, official keys; its constants (masks, indices) are dropped."""
    first = "layers.0.residual_group.blocks.0."
    table = f"{first}attn.relative_position_bias_table"
    if not {"conv_first.weight", table, f"{first}mlp.fc1.weight"} <= state.keys():
        return None
    constants = ("attn_mask", "relative_position_index")
    state = {key: value for key, value in state.items() if not key.endswith(constants)}
    layers = range(count(state, r"layers\.(\d+)\."))
    prefixes = [f"layers.{i}.residual_group.blocks." for i in layers]
    hidden, dim = state[f"{first}mlp.fc1.weight"].shape
    window, _ = window_and_heads(state[table])
    options: Options = {
        "dim": dim,
        "depths": tuple(count(state, re.escape(p) + r"(\d+)\.") for p in prefixes),
        "heads": tuple(state[f"{p}0.attn.relative_position_bias_table"].shape[1] for p in prefixes),
        "window": window,
        "mlp_ratio": hidden / dim,
        "connection": "1conv" if "conv_after_body.weight" in state else "3conv",
    }
    if "conv_before_upsample.0.weight" in state:
        options["features"] = state["conv_before_upsample.0.weight"].shape[0]
    if "conv_up1.weight" in state:
        options["upsampler"] = "nearest+conv"
        options["scale"] = 2 ** (count(state, r"conv_up(\d)\.") - 1)
    elif "conv_before_upsample.0.weight" in state:
        options["upsampler"] = "pixelshuffle"
        options["scale"] = shuffled_scale(state, UPSAMPLE)
    elif "upsample.0.weight" in state:
        options["upsampler"] = "pixelshuffledirect"
        options["scale"] = direct_scale(state["upsample.0.weight"])
    else:
        options["upsampler"] = "none"
        options["scale"] = 1
        if window == 7:
            state = swinir_of_255(state)
    return "swinir", options, state


def swinir_of_255(state: State) -> State:
    """A SwinIR without upsampler for 0–255 → the same function on [0, 1]."""
    rescaled = dict(state)
    if {"conv_first.weight", "conv_last.weight", "conv_last.bias"} <= state.keys():
        rescaled["conv_first.weight"] = state["conv_first.weight"] * 255.0
        rescaled["conv_last.weight"] = state["conv_last.weight"] / 255.0
        rescaled["conv_last.bias"] = state["conv_last.bias"] / 255.0
    return rescaled


def edswin(state: State) -> Found:
    """Our own hybrid trunk; the arrangement is read off the order of its modules."""
    length = count(state, r"trunk\.(\d+)\.")
    if not length or not {"head.weight", "tail.0.weight"} <= state.keys():
        return None
    features = state["head.weight"].shape[0]
    direct = "tail.0.weight" in state and "tail.2.weight" not in state
    options: Options = {
        "features": features,
        "scale": direct_scale(state["tail.0.weight"])
        if direct
        else shuffled_scale(state, r"tail\.1\.\d+\.weight"),
        "tail_features": 0 if direct else state["tail.0.weight"].shape[0],
        **arrangement_of([f"trunk.{i}." for i in range(length)], state),
    }
    table = next((v for k, v in state.items() if k.endswith("position_bias_table")), None)
    if table is not None:
        options["window"], options["heads"] = window_and_heads(table)
        hidden = next(v for k, v in state.items() if k.endswith("mlp.fc1.weight")).shape[0]
        options["mlp_ratio"] = hidden / features
    return "edswin", options, state


def arrangement_of(prefixes: list[str], state: State) -> Options:
    """The options `arrangement`, `blocks` and `every` of a trunk of these modules."""
    if f"{prefixes[0]}conv.conv1.weight" in state:
        return {"arrangement": "parallel", "blocks": len(prefixes)}
    convs = [f"{prefix}conv1.weight" in state for prefix in prefixes]
    if all(convs):
        return {"arrangement": "convolution", "blocks": len(convs)}
    if not any(convs):
        return {"arrangement": "attention", "blocks": len(convs)}
    every = convs.index(False)
    if every == 1 and len(convs) == 2 * sum(convs):
        return {"arrangement": "alternating", "blocks": sum(convs)}
    return {"arrangement": "every_k", "blocks": sum(convs), "every": every}


def edswin_deck(state: State) -> Found:
    """Our own form of the deck's model: edsr.*, swinir.*, fuse."""
    if "fuse.weight" not in state or "edsr.head.weight" not in state:
        return None
    branches = {
        name: {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}
        for name in ("edsr", "swinir")
    }
    local, wide = edsr(branches["edsr"]), swinir(branches["swinir"])
    if local is None or wide is None:
        return None
    options = dict(local[1])
    options.update({key: wide[1][key] for key in ("dim", "depths", "heads", "window")})
    return "edswin-deck", options, state


def replain(state: State) -> Found:
    """Our own RePlain, in training or deployed form."""
    if not {"head.weight", "blocks.0.convs.0.weight", "fuse.weight", "tail.weight"} <= state.keys():
        return None
    channels = state["head.weight"].shape[0]
    options = {
        "scale": direct_scale(state["tail.weight"]),
        "channels": channels,
        "blocks": count(state, r"blocks\.(\d+)\."),
        "taps": state["fuse.weight"].shape[1] // channels,
        "deployed": "blocks.0.convs.0.point" not in state,
    }
    return "replain", options, state


ARCHITECTURES: dict[str, Callable[[State], Found]] = {
    "EDSR": edsr,
    "EDSR (EDSR-PyTorch)": edsr_official,
    "EDSR (BasicSR)": edsr_basicsr,
    "SRResNet": srresnet,
    "MSRResNet (BasicSR)": msrresnet,
    "ESRGAN / Real-ESRGAN": rrdb,
    "ESRGAN (BSRGAN's keys)": rrdb_middle,
    "ESRGAN (old keys)": rrdb_old,
    "SRVGG": srvgg,
    "SwinIR": swinir,
    "EDSwin": edswin,
    "EDSwin (deck)": edswin_deck,
    "RePlain": replain,
}
"""What is tried, in this order; adding one is one function and one line."""
