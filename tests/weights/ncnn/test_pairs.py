"""Models of ncnn by the path of either file: what they compute, and what is wrong with others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import enlarge
from enlarge.card import read_card
from enlarge.errors import WeightsError
from enlarge.weights.catalog import find_weights
from enlarge.weights.measuring import natural_picture
from enlarge.weights.ncnn.detecting import find_pair
from enlarge.weights.ncnn.graph import write_graph
from enlarge.weights.preparing import describe_file
from enlarge.weights.runner import Runner
from tests.weights.ncnn.cases import stored
from tests.weights.ncnn.tiny import PARAM, content, in_torch, write_pair

LEVEL = np.float32(1 / 255)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENLARGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("enlarge.weights.measuring.FEW", (64,))
    return tmp_path / "cache" / "models"


@pytest.mark.parametrize(("height", "width"), [(37, 53), (5, 71), (16, 16)])
def test_the_graph_computes_what_torch_does(tmp_path: Path, height: int, width: int) -> None:
    write_graph(find_pair(write_pair(tmp_path)), tmp_path / "tiny.onnx")
    onnx.checker.check_model(tmp_path / "tiny.onnx", full_check=True)
    image = natural_picture(72)[:, :, :height, :width]
    np.testing.assert_allclose(Runner(tmp_path / "tiny.onnx")(image), in_torch(image), atol=1e-5)


def test_either_file_opens_the_model(cache: Path, tmp_path: Path) -> None:
    param = write_pair(tmp_path)
    model = enlarge.open_model(param, precision="f32")
    assert (model.card.name, model.card.network, model.card.scale) == ("tiny", "ncnn", 2)
    assert (model.card.margin, model.card.multiple) == (2, 1)
    again = enlarge.open_model(param.with_suffix(".bin"), precision="f32")
    assert again.path == model.path
    assert len(list(cache.glob("tiny-*"))) == 1
    picture = (natural_picture(60)[0, :, :41].transpose(1, 2, 0) * 255).round().astype(np.uint8)
    wanted = in_torch(picture.transpose(2, 0, 1)[None] * LEVEL)[0].transpose(1, 2, 0) * 255
    large = model.upscale(picture)
    assert np.abs(large - wanted.clip(0, 255)).max() <= 0.51


def test_other_weights_are_another_model(cache: Path, tmp_path: Path) -> None:
    param = write_pair(tmp_path)
    first = find_weights(param, quiet=True)
    param.with_suffix(".bin").write_bytes(content()[:-4] + np.float32(0.5).tobytes())
    assert find_weights(param, quiet=True).path != first.path
    assert read_card(first.path) == first.card


def test_a_pair_is_described_before_its_first_use(cache: Path, tmp_path: Path) -> None:
    card, whole = describe_file(write_pair(tmp_path))
    assert (card.network, card.scale, whole) == ("ncnn", 2, False)
    assert card.parameters == 1108 + 4  # the factors of Interp
    assert not list(cache.glob("tiny-*"))


def test_a_pair_needs_neither_torch_nor_onnx(tmp_path: Path) -> None:
    write_pair(tmp_path)
    code = (
        "import sys\nfrom enlarge.weights.catalog import find_weights\n"
        "print(find_weights('tiny.param', quiet=True).card.scale)\n"
        "assert not {'torch', 'onnx', 'safetensors', 'onnxruntime'} & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={"ENLARGE_CACHE": str(tmp_path), "PYTHONPATH": ":".join(sys.path), "PATH": ""},
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("2\n", 0), done.stderr


def lines(*changes: tuple[str, str]) -> Callable[[], tuple[str, bytes]]:
    """The list of layers with these changes."""

    def changed() -> tuple[str, bytes]:
        text = PARAM
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return text, content()

    return changed


BROKEN: dict[str, tuple[Callable[[], tuple[str, bytes]], str]] = {
    "no weights": (lambda: (PARAM, b""), "tiny.bin, end too early: the weights of conv1 need 4"),
    "cut weights": (lambda: (PARAM, content()[:700]), "tiny.bin, end too early: the weights of c"),
    "more weights": (
        lambda: (PARAM, content() + bytes(4)),
        "tiny.bin, have 4012 bytes, but its layers read 4008",
    ),
    "not finite": (
        lambda: (PARAM, content()[:-4] + np.float32(np.nan).tobytes()),
        "its tensor the bias of conv2 holds 1 NaN of 12 values",
    ),
    "unknown layers": (
        lines(("PReLU  ", "LSTM  "), ("Interp  ", "Yolov3  ")),
        "tiny.param: has layers that enlarge does not know: LSTM, Yolov3",
    ),
    "fewer layers": (lines(("8 9", "9 9")), "has 8 layers, and its second line says 9"),
    "fewer blobs": (lines(("8 9", "8 8")), "makes 9 blobs, and its second line says 8"),
    "no counts": (lines(("8 9", "eight")), "expected 7767517 in its first line and two counts"),
    "huge counts": (lines(("1 1 a b", "9999999 9999999 a b")), "line 6 names 3 blobs, expected 9"),
    "no layer": (lines(("PReLU        act   1 1 a b 0=8", "\x00\x01")), "line 6 is no layer"),
    "odd parameter": (lines(("b 0=8", "b 0=x")), "line 6 has the parameter '0=x', expected KEY="),
    "odd list": (lines(("b 0=8", "b -23310=3,1")), "has the parameter '-23310=3,1'"),
    "a circle": (lines(("c d 0=2", "d c 0=2"), ("b c 0=12", "b f 0=12")), "reads d, which no"),
    "twice": (lines(("act   1 1 a b", "act   1 1 a a")), "makes a, as a layer before it does"),
    "many weights": (
        lines(("6=864", "6=864000000")),
        r"\(Convolution\) takes 8000000 channels and gets 8",
    ),
    "many channels": (
        lines(("0=12 1=3 4=1 5=1 6=864", "0=12000000 1=3 4=1 5=1 6=864000000")),
        "need 3456000000 bytes",
    ),
    "misfit": (lines(("c 0=12 1=3", "c 0=13 1=3")), "has 864 weights for 13 channels"),
    "a huge kernel": (lines(("c 0=12 1=3", "c 0=12 1=99999")), r"has the kernel \(99999, 99999\)"),
    "a huge resize": (lines(("1=2.000000e+00 2=", "1=1.000000e+09 2=")), "resizes by 2 and 1e"),
    "two outputs": (lines(("d e output 0=0", "d d x 0=0")), "has 2 outputs, expected one"),
    "two inputs": (lines(("PReLU  ", "Input  ")), "has 2 inputs, expected one"),
    "gray": (lines(("0=0 1=0 2=0", "0=0 1=0 2=1")), "takes pictures of 1 channels, expected 3"),
    "no picture": (lines(("1 1 c d 0=2", "1 1 c d 0=1")), "combines blobs of"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("suffix", [".param", ".bin"])
def test_what_is_wrong_is_said_in_one_line(
    cache: Path, tmp_path: Path, name: str, suffix: str
) -> None:
    text, weights = BROKEN[name][0]()
    (tmp_path / "tiny.param").write_text(text, encoding="utf-8")
    (tmp_path / "tiny.bin").write_bytes(weights)
    if name == "no weights" and suffix == ".bin":
        pytest.skip("an empty file is named for that")
    with pytest.raises(WeightsError, match=BROKEN[name][1]) as raised:
        find_weights(tmp_path / f"tiny{suffix}", quiet=True)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path / 'tiny.param'}: ")


def test_weights_in_int8_are_divided_by_their_scales(tmp_path: Path) -> None:
    values = np.linspace(0.1, 0.9, 9)
    scales = np.array([100.0, 120.0, 90.0], np.float32)
    (tmp_path / "m.param").write_text(
        "7767517\n2 2\nInput data 0 1 data\nConvolution c 1 1 data out 0=3 1=1 6=9 8=2\n"
    )
    (tmp_path / "m.bin").write_bytes(
        stored("int8", values) + scales.tobytes() + np.float32(127).tobytes()
    )
    write_graph(find_pair(tmp_path / "m.bin"), tmp_path / "m.onnx")
    image = natural_picture(8)
    kernel = np.rint(values * 127).reshape(3, 3) / scales[:, None]
    wanted = np.einsum("oc,ncyx->noyx", kernel, image)
    np.testing.assert_allclose(Runner(tmp_path / "m.onnx")(image), wanted, rtol=1e-5)
