"""What a file is that was given as a model: said in one line, by its content alone."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import enlarge
from enlarge.cli import run
from enlarge.errors import WeightsError
from enlarge.model_file import INT8_ENDING
from enlarge.weights.catalog import find_weights
from enlarge.weights.contents import MODELS, look, model_kind
from enlarge.weights.foreign import deduce, read_checkpoint
from tests.networks.tiny import tiny
from tests.weights.test_graphs import shuffled

CASES = Path(__file__).parents[2].parent / "shared" / "cases"


def zipped(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files:
            archive.writestr(name, content)
    return out.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def saved(save: Callable[..., Any], *arguments: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    save(*arguments, out, **options)
    return out.getvalue()


def checkpoint(**options: Any) -> bytes:
    return saved(lambda out: torch.save(tiny("srvgg").state_dict(), out, **options))


def safetensors(folder: Path, state: dict[str, Any] | None = None) -> bytes:
    save_file(state or tiny("srvgg").state_dict(), folder / "made.safetensors")
    return (folder / "made.safetensors").read_bytes()


def picture(form: str) -> bytes:
    return saved(lambda out: Image.new("RGB", (8, 8)).save(out, form))


def npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, weight=np.zeros(3))
    return out.getvalue()


def mlmodel() -> bytes:
    """A Core ML Model message: specificationVersion 4, a description, and field 500, a network."""
    network = b"\x0a\x00"
    tag = bytes((500 << 3 & 0x7F | 2 | 0x80, 500 << 3 >> 7))
    return b"\x08\x04\x12\x02\x0a\x00" + tag + bytes([len(network)]) + network


def graphdef() -> bytes:
    """A TensorFlow GraphDef of one node, a Placeholder named x."""
    node = b"\x0a\x01x\x12\x0bPlaceholder"
    return b"\x0a" + bytes([len(node)]) + node


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 67040989\n"
INDEX = {"metadata": {}, "weight_map": {"a": "model-1-of-2.bin", "b": "model-2-of-2.bin"}}
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "lfs": (lambda: LFS, r"is a git-LFS pointer, .* of 67 MB.*; run git lfs pull"),
    "annex": (lambda: b"/annex/objects/SHA256E-s1--0.pth\n", "is a git-annex pointer"),
    "page": (
        lambda: b"\n<!DOCTYPE html>\n<html><head><title>Sign in \xc2\xb7 X</title></head>",
        r"is a web page \(Sign in · X\), saved in place of the model; download the model itself",
    ),
    "page with a comment": (lambda: b"\xef\xbb\xbf<!-- x --><HTML><body>no", "is a web page"),
    "json error": (lambda: b'{"error": "Repository not found"}', "message.*'Repository not found'"),
    "xml error": (lambda: b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
    "text error": (lambda: b"Entry not found", "is a text file, not a model: 'Entry not found'"),
    "empty": (lambda: b"", r"is empty \(0 bytes\); download or copy it again"),
    "zeros": (lambda: bytes(50_000), "nothing but zeros"),
    "index": (lambda: json.dumps(INDEX).encode(), "in 2 parts: model-1-of-2.bin, model-2-of-2.bin"),
    "config": (lambda: b'{"architectures": ["X"]}', "a model's configuration, without"),
    "ncnn param": (
        lambda: b"7767517\n3 3\nInput  data 0 1 data\n",
        "is the list of layers of a model of ncnn without its weights, model.bin; put both",
    ),
    "ncnn f16": (
        lambda: b"\x47\x6b\x30\x01" + bytes(90),
        "is the weights of a model of ncnn without its layers, model.param; put both",
    ),
    "ncnn f32": (
        lambda: bytes(4) + struct.pack("<40f", *[0.25] * 40),
        "is the weights of a model of ncnn without its layers, model.param; put both",
    ),
    "ncnn binary": (
        lambda: struct.pack("<3i", 7767517, 3, 3), r"in binary \(\.param\.bin\); give the text"
    ),
    "hdf5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(90), "is a Keras or HDF5 file; .* tf2onnx"),
    "keras": (lambda: zipped(("config.json", b"{}"), ("model.weights.h5", b"x")), "is a Keras"),
    "tflite": (lambda: b"\x1c\0\0\0TFL3" + bytes(90), "is a TensorFlow Lite model"),
    "graphdef": (graphdef, r"is a TensorFlow graph \(\.pb\)"),
    "mlmodel": (mlmodel, r"is a Core ML model \(\.mlmodel\)"),
    "gguf": (lambda: b"GGUF\x03\0\0\0" + bytes(90), "is a GGUF file"),
    "openvino": (
        lambda: b'<?xml version="1.0"?>\n<net name="x" version="11">\n<layers><layer id="0"/>',
        r"is a model of OpenVINO \(\.xml with \.bin\)",
    ),
    "mnn": (lambda: struct.pack("<I", 24) + bytes(60) + b"MNN\0" + bytes(60), "is a model of MNN"),
    "npz": (npz, r"is a numpy archive \(\.npz\)"),
    "zip": (lambda: zipped(("a/x4.pth", b"x")), r"is a zip archive of a/x4\.pth; unpack it"),
    "gzip": (lambda: gzip.compress(b"x" * 99), "is a gzip archive; unpack it"),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(90), "is a 7z archive; unpack it"),
    "rar": (lambda: b"Rar!\x1a\x07\x01\0" + bytes(90), "is a RAR archive; unpack it"),
    "tar": (lambda: tarred("x4.pth", b"x"), "is a tar archive; unpack it"),
    "png": (lambda: picture("PNG"), r"is a picture \(PNG\); give a model's"),
    "jpeg": (lambda: picture("JPEG"), r"is a picture \(JPEG\)"),
    "noise": (lambda: b"\xff" * 100, "is not a model that enlarge knows; expected .onnx, .safe"),
    "cut zip": (lambda: checkpoint()[:9000], "is a checkpoint of torch that is cut off"),
    "torchscript": (
        lambda: saved(torch.jit.save, torch.jit.trace(nn.Conv2d(3, 3, 1), torch.zeros(1, 3, 4, 4))),
        "is a TorchScript program, not a checkpoint; give the checkpoint",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".onnx", ".bin", ""])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_model_says_what_it_is(tmp_path: Path, name: str, suffix: str) -> None:
    make, message = FILES[name]
    path = tmp_path / f"model{suffix}"
    path.write_bytes(make())
    with pytest.raises(WeightsError, match=message) as raised:
        find_weights(path, quiet=True)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
    assert not [other for other in tmp_path.iterdir() if other != path]


@pytest.mark.parametrize("name", ["lfs", "page", "empty", "torchscript", "ncnn param", "cut zip"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_way_in_says_the_same(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = FILES[name]
    path = tmp_path / "model.pth"
    path.write_bytes(make())
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    for command in (
        [str(tmp_path / "x.png"), "-o", str(tmp_path / "y.png"), "--model", str(path)],
        ["inspect", str(path)],
        ["export", str(path), "-o", str(tmp_path / "out.onnx")],
    ):
        assert run(command) == 1, command
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert re.search(message, err), err
        assert "bug" not in err
    with pytest.raises(WeightsError, match=message):
        enlarge.open_model(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.pth", "x.png"]


def test_neither_torch_nor_onnx_is_imported(tmp_path: Path) -> None:
    (tmp_path / "m.pth").write_bytes(FILES["lfs"][0]())
    torch.save({"a": Bomb(tmp_path / "ran")}, tmp_path / "bomb.pth")
    (tmp_path / "cut.safetensors").write_bytes(safetensors(tmp_path)[:-9])
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "from enlarge import open_model\n"
        "from enlarge.errors import WeightsError\n"
        "for name in sys.argv[1:]:\n"
        "    try: open_model(name)\n"
        "    except WeightsError as error: print(error)\n"
    )
    paths = [str(tmp_path / name) for name in ("m.pth", "bomb.pth", "cut.safetensors")]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    first, second, third = done.stdout.splitlines()
    assert "git-LFS pointer" in first
    assert "would run code when opened (builtins.getattr" in second
    assert "is a safetensors file that is cut off" in third
    assert not (tmp_path / "ran").exists()


class Bomb:
    """A pickle of it would create a file when it is opened."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_bare_pickle_with_code(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "m.pth"
    path.write_bytes(pickle.dumps({"params": Bomb(tmp_path / "ran")}, protocol=protocol))
    with pytest.raises(
        WeightsError,
        match=r"would run code when opened \((pathlib\.Path\.touch|builtins\.getattr)\)",
    ):
        find_weights(path, quiet=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["onnx", "safetensors", "checkpoint", "legacy"])
@pytest.mark.parametrize("suffix", [".onnx", ".safetensors", ".pth", ".dat", ""])
def test_the_suffix_decides_nothing(tmp_path: Path, cache: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"other{suffix}"
    if kind == "onnx":
        shuffled(path)
    else:
        options = {"_use_new_zipfile_serialization": False} if kind == "legacy" else {}
        content = safetensors(tmp_path) if kind == "safetensors" else checkpoint(**options)
        path.write_bytes(content)
    assert model_kind(path) == ("checkpoint" if kind == "legacy" else kind)
    if kind != "onnx":
        assert deduce(read_checkpoint(path))[0] == "srvgg"
    if suffix in (".pth", ""):
        image = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
        large = enlarge.open_model(path).upscale(image)
        assert large.std() > 10
        if kind == "onnx":
            assert np.abs(large.astype(int) - image.repeat(2, 0).repeat(2, 1)).max() <= 1


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["onnx", "safetensors", "checkpoint", "legacy", "pickle"])
def test_what_is_cut_off_says_so(tmp_path: Path, kind: str, share: float) -> None:
    makers: dict[str, Callable[[], bytes]] = {
        "onnx": lambda: shuffled(tmp_path / "whole.onnx").read_bytes(),
        "safetensors": lambda: safetensors(tmp_path),
        "checkpoint": checkpoint,
        "legacy": lambda: checkpoint(_use_new_zipfile_serialization=False),
        "pickle": lambda: pickle.dumps({"x": list(range(1000))}),
    }
    content = makers[kind]()
    path = tmp_path / "model.pth"
    path.write_bytes(content[: max(int(share * len(content)), 12)])
    with pytest.raises(WeightsError, match=r"cut off|incomplete|EOF|damaged"):
        find_weights(path, quiet=True)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({f"lora_unet_a.{i}.lora_down.weight": torch.zeros(2) for i in range(9)}, "is a LoRA; exp"),
        ({f"model.diffusion_model.{i}.weight": torch.zeros(2) for i in range(9)}, "is a diffusion"),
        ({f"model.layers.{i}.self_attn.q_proj.weight": torch.zeros(2) for i in range(9)},
         "is a language model"),
        ({"conv.weight": torch.zeros(2, dtype=torch.int8)}, "integers only.* quantised"),
        ({"a.weight": torch.zeros(9), "a.weight.absmax": torch.zeros(2)}, "is a quantised"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_of_other_networks(
    tmp_path: Path, state: dict[str, Any], message: str, suffix: str
) -> None:
    path = tmp_path / f"m{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    with pytest.raises(WeightsError, match=message):
        find_weights(path, quiet=True)


def test_an_optimizer_alone_and_a_whole_network(tmp_path: Path) -> None:
    network = tiny("srvgg")
    optimizer = torch.optim.Adam(network.parameters())
    torch.save(optimizer.state_dict(), tmp_path / "fresh.pth")
    network(torch.zeros(1, 3, 4, 4)).sum().backward()
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "used.pth")
    for name in ("fresh", "used"):
        with pytest.raises(WeightsError, match="is the state of an optimizer, without"):
            find_weights(tmp_path / f"{name}.pth", quiet=True)
    torch.save(network, tmp_path / "whole.pth")
    with pytest.raises(WeightsError, match=r"is a whole network \(enlarge\.networks\.srvgg\.SRVGG"):
        find_weights(tmp_path / "whole.pth", quiet=True)


def test_a_trainers_settings_are_passed_over(tmp_path: Path) -> None:
    """Lightning and others store options beside the weights, as objects of their own."""
    from argparse import Namespace
    from collections import defaultdict

    from pytorch_lightning.utilities.parsing import AttributeDict

    state = tiny("srvgg").state_dict()
    wrapped = {
        "state_dict": {f"model.{key}": value for key, value in state.items()},
        "hyper_parameters": AttributeDict(rate=1e-4, folder=Path("runs")),
        "args": Namespace(scale=4),
        "counts": defaultdict(int, {"steps": 3}),
        "best": np.float64(28.5),
        "lr_schedulers": [{"_last_lr": [1e-4]}],
    }
    torch.save(wrapped, tmp_path / "lightning.ckpt")
    name, _, found = deduce(read_checkpoint(tmp_path / "lightning.ckpt"))
    assert name == "srvgg"
    assert all(torch.equal(found[key], value) for key, value in state.items())


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_other_floats_are_converted(tmp_path: Path, kind: torch.dtype, cache: Path) -> None:
    network = tiny("srvgg")
    save_file({k: v.to(kind) for k, v in network.state_dict().items()}, tmp_path / "m.safetensors")
    image = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    large = enlarge.open_model(tmp_path / "m.safetensors", precision="f32").upscale(image)
    network.load_state_dict({k: v.to(kind).float() for k, v in network.state_dict().items()})
    with torch.inference_mode():
        wanted = network(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)[0].clamp(0, 1)
    assert np.abs(large / 255 - wanted.permute(1, 2, 0).numpy()).max() < 0.51 / 255


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "saved_model.pb").touch()
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "x4.safetensors").touch()
    (tmp_path / "none.pth").mkdir()
    for name, message in (
        ("saved_model", "is a TensorFlow model"),
        ("hub", r"is a folder, not a model; give one of its files: x4\.safetensors"),
        ("none.pth", "is a folder, not a model; give a model's name or file"),
    ):
        with pytest.raises(WeightsError, match=message):
            find_weights(tmp_path / name, quiet=True)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.pth").symlink_to("../.git/annex/objects/x/m.pth")
    with pytest.raises(WeightsError, match="is a link to a file that is missing"):
        find_weights(tmp_path / "m.pth", quiet=True)


def spoiled(value: float) -> dict[str, torch.Tensor]:
    state = tiny("srvgg").state_dict()
    state["body.2.weight"] = state["body.2.weight"].clone()
    state["body.2.weight"].view(-1)[:2] = value
    return state


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(("value", "what"), [(float("nan"), "2 NaN"), (-float("inf"), "2 infini")])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_that_are_not_finite(
    tmp_path: Path, kind: torch.dtype, value: float, what: str, suffix: str
) -> None:
    path = tmp_path / f"m{suffix}"
    state = {key: tensor.to(kind) for key, tensor in spoiled(value).items()}
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    with pytest.raises(WeightsError, match=rf"m\{suffix}: its tensor body\.2\.weight holds {what}"):
        find_weights(path, quiet=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("stored", ["raw", "floats", "f16", "constant", "outside"])
def test_an_onnx_file_whose_weights_are_not_finite(
    tmp_path: Path, value: float, stored: str
) -> None:
    kind = TensorProto.FLOAT16 if stored == "f16" else TensorProto.FLOAT
    path = shuffled(tmp_path / "m.onnx", kind=kind)
    model = onnx.load(path)
    kernel = numpy_helper.to_array(model.graph.initializer[0]).copy()
    kernel[0, 0, 0, 0] = value
    tensor = numpy_helper.from_array(kernel, "k")
    if stored == "floats":
        tensor = helper.make_tensor("k", kind, kernel.shape, kernel.ravel())
    model.graph.initializer[0].CopyFrom(tensor)
    if stored == "constant":
        del model.graph.initializer[:]
        model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=tensor))
    if stored == "outside":
        onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    else:
        onnx.save(model, path)
    with pytest.raises(WeightsError, match=r"m\.onnx: its tensor k holds 1 (NaN|infinite) of 324"):
        find_weights(path, quiet=True)


def test_a_mask_may_be_infinite(tmp_path: Path, cache: Path) -> None:
    path = shuffled(tmp_path / "m.onnx")
    model = onnx.load(path)
    limits = np.array([-np.inf], np.float32)
    model.graph.initializer.append(numpy_helper.from_array(limits, "least"))
    model.graph.node[1].output[0] = "whole"
    model.graph.node.append(helper.make_node("Max", ["whole", "least"], ["out"]))
    onnx.save(model, path)
    image = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    large = enlarge.open_model(path).upscale(image)
    assert np.abs(large.astype(int) - image.repeat(2, 0).repeat(2, 1)).max() <= 1


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """An ONNX file with its weights in `weights.data` beside it."""
    path = shuffled(tmp_path / "m.onnx")
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.data", size_threshold=0)
    return path


def test_weights_in_a_file_of_their_own(apart: Path, cache: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    large = enlarge.open_model(apart).upscale(image)
    assert np.abs(large.astype(int) - image.repeat(2, 0).repeat(2, 1)).max() <= 1
    data = apart.with_name("weights.data")
    content = data.read_bytes()
    data.write_bytes(content[:-8])
    with pytest.raises(WeightsError, match=r"its file of weights, weights\.data, is cut off"):
        enlarge.open_model(apart)
    data.unlink()
    with pytest.raises(WeightsError, match=r"in the file weights\.data, which is missing; put it"):
        enlarge.open_model(apart)


@pytest.mark.parametrize("place", ["../weights.data", "/etc/passwd", "a/../../weights.data"])
def test_weights_outside_the_folder(apart: Path, place: str) -> None:
    apart.parent.with_name("weights.data").write_bytes(bytes(2000))
    model = onnx.load(apart, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = place
    apart.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match=r"refused, since it keeps weights in .*, outside its"):
        enlarge.open_model(apart)


def test_the_bundled_models_are_what_they_are() -> None:
    for weights in (Path(enlarge.__file__).parent / "weights" / "data").glob("*.onnx"):
        assert look(weights).kind == "onnx"
        if not weights.name.endswith(INT8_ENDING):
            assert look(weights.with_suffix(".safetensors")).kind == "safetensors"


def test_the_cases_that_were_reported(capsys: pytest.CaptureFixture[str]) -> None:
    if not CASES.is_dir():
        pytest.skip(f"no cases at {CASES}")
    assert [look(CASES / name).kind in MODELS for name in ("lfs.pth", "empty.pth")] == [False] * 2
    assert "TorchScript" in look(CASES / "torchscript.pt").what
    assert run(["inspect", str(CASES / "ext.onnx")]) == 1
    assert "ext.onnx.data, which is missing" in capsys.readouterr().err
