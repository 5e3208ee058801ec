"""`enlarge export`, and `inspect` of other people's checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from enlarge.cli import run
from tests.networks.tiny import tiny

Said = pytest.CaptureFixture[str]


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENLARGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("enlarge.weights.measuring.FEW", (64,))
    torch.save({"params_ema": tiny("srvgg").state_dict()}, tmp_path / "theirs.pth")
    return Path("theirs.pth")


def test_export_and_inspect(checkpoint: Path, capsys: Said) -> None:
    assert run(["inspect", "theirs.pth", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["network"], facts["scale"], facts["margin"]) == ("srvgg", 4, 5)
    assert facts["parameters"] == sum(p.numel() for p in tiny("srvgg").parameters())
    assert facts["flops"] > 0
    assert "tiles" not in facts  # nothing was measured for this
    assert run(["inspect", "theirs.pth"]) == 0
    assert "srvgg" in capsys.readouterr().out

    assert run(["export", "theirs.pth", "-o", "mine.onnx"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("enlarge: preparing theirs.pth once")
    assert said.out.startswith("mine.onnx  srvgg ×4, ")
    assert run(["export", "theirs.pth", "-o", "mine.onnx"]) == 1
    assert "mine.onnx exists; --overwrite" in capsys.readouterr().err
    assert run(["export", "theirs.pth", "-o", "mine.onnx", "--overwrite", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["name"], card["file"], list(card["tiles"])) == ("mine", "mine.onnx", ["64"])
    assert run(["inspect", "theirs.pth", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tiles"] == card["tiles"]


def test_a_checkpoint_enlarges_a_picture_in_silence(checkpoint: Path, capsys: Said) -> None:
    from PIL import Image

    Image.new("RGB", (9, 7), "orange").save("a.png")
    assert run(["a.png", "--model", "theirs.pth", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    with Image.open("a_x4.png") as large:
        assert large.size == (36, 28)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["theirs.pth"], 2, ["--output"]),
        (["theirs.pth", "-o", "a.png"], 2, ["-o must end in .onnx, .safetensors", ".png"]),
        (["theirs.pth", "-o", "a.onnx", "--precision", "int4"], 2, ["int4", "f32", "f16"]),
        (["theirs.pth", "-o", "a.onnx", "--tile", "0"], 2, ["--tile", "whole number"]),
        (["gone.pth", "-o", "a.onnx"], 1, ["gone.pth", "no such file"]),
        (["nothing", "-o", "a.onnx"], 1, ["unknown model 'nothing'", "fast"]),
        (["theirs.pth", "-o", "a.onnx", "--quiet", "-v"], 2, ["contradict"]),
    ],
)
def test_refusals(
    checkpoint: Path, capsys: Said, arguments: list[str], status: int, words: list[str]
) -> None:
    assert run(["export", *arguments]) == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert all(word in error for word in words), error
    assert not Path("a.onnx").exists()
