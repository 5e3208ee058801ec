"""Files as people give them as models: what enlarge opens, and what it names.

python -m tests.weights.zoo FOLDER    writes them all
"""

from __future__ import annotations

import argparse
import io
import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save as to_safetensors
from torch import nn

from tests.networks.tiny import tiny
from tests.weights.ncnn.tiny import PARAM, content
from tests.weights.test_graphs import shuffled

State = dict[str, Any]


class Kept(NamedTuple):
    """A file by its name: `kind`, what it is an example of; `made`, its content; `network`, what it
    opens as, or else `said`, a pattern of what is said; `beside`, files that lie in its folder.
    """

    name: str
    kind: str
    made: Callable[[], bytes]
    network: str = ""
    said: str = ""
    beside: tuple[tuple[str, bytes], ...] = ()


def state(network: str = "srvgg", **options: Any) -> State:
    return dict(tiny(network, **options).state_dict())


def prefixed(prefix: str, network: str = "srvgg") -> State:
    return {prefix + key: value for key, value in state(network).items()}


def in_type(dtype: torch.dtype) -> State:
    return {key: value.to(dtype) for key, value in state().items()}


def saved(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def trained() -> dict[str, Any]:
    """A checkpoint of a trainer: the network, its average, the optimiser and the options."""
    network = tiny("srvgg")
    adam = torch.optim.Adam(network.parameters())
    network(torch.zeros(1, 3, 8, 8)).mean().backward()
    adam.step()
    return {
        "epoch": 3, "global_step": 9, "state_dict": {f"net_g.{k}": v for k, v in state().items()},
        "optimizer_states": [adam.state_dict()], "lr_schedulers": [{"last_epoch": 3}],
        "hyper_parameters": argparse.Namespace(lr=1e-4, name="x"),
    }  # fmt: skip


class Code:
    """A pickle of it runs a command when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/opened",)


def hostile_zip() -> bytes:
    file = io.BytesIO(saved(state()))
    out = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            is_pickle = name.endswith("data.pkl")
            new.writestr(name, pickle.dumps(Code()) if is_pickle else old.read(name))
    return out.getvalue()


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 50)
    return out.getvalue()


def script() -> bytes:
    out = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Conv2d(3, 3, 1), torch.zeros(1, 3, 4, 4)), out)
    return out.getvalue()


def onnx_file() -> bytes:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return shuffled(Path(folder) / "m.onnx").read_bytes()


def damaged(whole: bytes, at: int, value: bytes) -> bytes:
    return whole[:at] + value + whole[at + len(value) :]


def spoiled() -> State:
    found = state()
    next(iter(found.values())).view(-1)[0] = float("nan")
    return found


def named(*keys: str) -> State:
    return {key: torch.zeros(4, 4) for key in keys}


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 67040989\n"
HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body></body></html>"
IR = b'<?xml version="1.0"?>\n<net name="x" version="11">\n<layers><layer id="0"/>'
H5 = b"\x89HDF\r\n\x1a\n" + bytes(200)
PAIR = (("pair.bin", content()),)
LORA = [f"lora_unet_blocks_{i}.lora_{way}.weight" for i in range(4) for way in ("up", "down")]
DIFFUSION = [f"model.diffusion_model.input_blocks.{i}.weight" for i in range(9)]

ZOO = (
    Kept("plain.pth", "state dict", lambda: saved(state()), "srvgg"),
    Kept("params.pth", "wrapper", lambda: saved({"params": state()}), "srvgg"),
    Kept(
        "ema.pth", "averaged weights",
        lambda: saved({"params": spoiled(), "params_ema": state()}), "srvgg",
    ),
    Kept("module.pth", "prefix", lambda: saved(prefixed("module.")), "srvgg"),
    Kept("generator.pth", "prefix", lambda: saved(prefixed("generator.", "edsr")), "edsr"),
    Kept("compiled.pt", "prefix", lambda: saved({"model": prefixed("_orig_mod.")}), "srvgg"),
    Kept("two.pt", "prefix", lambda: saved({"model": prefixed("module.net_g.", "rrdb")}), "rrdb"),
    Kept("lightning.ckpt", "optimiser state around", lambda: saved(trained()), "srvgg"),
    Kept(
        "optimizer.pth", "optimiser state around",
        lambda: saved({"model": state("msrresnet"), "optimizer": {"state": {}}, "epoch": 4}),
        "msrresnet",
    ),
    Kept("half.pth", "f16", lambda: saved(in_type(torch.float16)), "srvgg"),
    Kept("bf16.pth", "bf16", lambda: saved(in_type(torch.bfloat16)), "srvgg"),
    Kept("double.pth", "f64", lambda: saved(in_type(torch.float64)), "srvgg"),
    Kept(
        "old.pth", "torch before 1.6",
        lambda: saved(OrderedDict(state()), _use_new_zipfile_serialization=False), "srvgg",
    ),
    Kept("torch.bin", ".bin of PyTorch", lambda: saved(state()), "srvgg"),
    Kept("plain.safetensors", "safetensors", lambda: to_safetensors(state()), "srvgg"),
    Kept("bf16.safetensors", "bf16", lambda: to_safetensors(in_type(torch.bfloat16)), "srvgg"),
    Kept("pickled.safetensors", "wrong suffix", lambda: saved(state()), "srvgg"),
    Kept("safe.pth", "wrong suffix", lambda: to_safetensors(state()), "srvgg"),
    Kept("theirs.onnx", "ONNX", onnx_file, "onnx"),
    Kept("onnx.bin", "wrong suffix", onnx_file, "onnx"),
    Kept("pair.param", "ncnn", PARAM.encode, "ncnn", beside=PAIR),
    Kept("lfs.pth", "LFS pointer", lambda: LFS, said=r"is a git-LFS pointer.*67 MB"),
    Kept("page.pth", "web page", lambda: HTML, said=r"is a web page \(Sign in\)"),
    Kept("error.onnx", "server's message", lambda: b'{"error": "Not found"}', said="'Not found'"),
    Kept("cut.pth", "truncated", lambda: saved(state())[:9000], said="of torch that is cut off"),
    Kept(
        "cut.safetensors", "truncated", lambda: to_safetensors(state())[:-900],
        said="safetensors file that is cut off",
    ),
    Kept("cut.onnx", "truncated", lambda: onnx_file()[:-30], said="ONNX file that is cut off"),
    Kept("code.pth", "hostile pickle", lambda: pickle.dumps(Code()), said=r"refused.*system"),
    Kept("inside.pth", "hostile pickle", hostile_zip, said=r"refused.*system"),
    Kept("network.pth", "whole network", lambda: saved(nn.Conv2d(3, 3, 1)), said="is a whole n"),
    Kept("script.pt", "TorchScript", script, said="is a TorchScript program"),
    Kept("nothing.pth", "zip without pickle", lambda: zipped("x/notes.txt"), said="without a m"),
    Kept("held.pth", "zip of a model", lambda: zipped("x/model.pth"), said="zip archive of x/mod"),
    Kept(
        "header.safetensors", "wrong header", lambda: damaged(to_safetensors(state()), 12, b"\xff"),
        said="is a damaged safetensors file",
    ),
    Kept(
        "length.safetensors", "wrong header",
        lambda: damaged(to_safetensors(state()), 0, (10**7).to_bytes(8, "little")),
        said="its header of 10000000 bytes is not complete",
    ),
    Kept(
        "broken.onnx", "ONNX broken", lambda: damaged(onnx_file(), 40, b"\xff" * 30),
        said="is damaged",
    ),
    Kept("half.param", "half of a pair", PARAM.encode, said="without its weights, half.bin"),
    Kept("lonely.bin", "half of a pair", content, said="without its layers, lonely.param"),
    Kept("gpu.engine", "TensorRT", lambda: b"ftrt" + bytes(900), said="is a TensorRT engine"),
    Kept("phone.tflite", "tflite", lambda: b"\x1c\0\0\0TFL3" + bytes(90), said="TensorFlow Lite"),
    Kept("keras.h5", "Keras", lambda: H5, said="is a Keras or HDF5 file"),
    Kept("openvino.xml", "OpenVINO IR", lambda: IR, said="is a model of OpenVINO"),
    Kept("lora.safetensors", "LoRA", lambda: to_safetensors(named(*LORA)), said="is a LoRA"),
    Kept("sd.ckpt", "diffusion", lambda: saved(named(*DIFFUSION)), said="is a diffusion model"),
    Kept(
        "adam.pth", "optimiser alone", lambda: saved({"state": {}, "param_groups": []}),
        said="the state of an optimizer",
    ),
    Kept("nan.pth", "not finite", lambda: saved(spoiled()), said="holds 1 NaN"),
    Kept("empty.pth", "empty", lambda: b"", said=r"is empty \(0 bytes\)"),
    Kept("noise.pth", "noise", lambda: np.random.default_rng(0).bytes(999), said="is not a model"),
)  # fmt: skip


def write(kept: Kept, folder: Path) -> Path:
    """Write the file and those beside it. Returns its path."""
    for name, found in ((kept.name, kept.made()), *kept.beside):
        (folder / name).write_bytes(found)
    return folder / kept.name


if __name__ == "__main__":
    for one in ZOO:
        print(write(one, Path(sys.argv[1])), one.kind, sep="  ")
