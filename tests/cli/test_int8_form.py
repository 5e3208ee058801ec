"""An 8-bit form beside a model: where the commands name it, and what the ledger makes of it."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.cli import run
from enlarge.digests import file_digest
from enlarge.engines import pick
from tests.engines.int8_forms import FORM, write_pair

Said = pytest.CaptureFixture[str]
pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="int8 is chosen on x86 only"
)


@pytest.fixture(autouse=True)
def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The form of the model `m`, among those with a name."""
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENLARGE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("ENLARGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pick, "_has_gpu", lambda: False)
    monkeypatch.setattr("enlarge.engines.openvino.has_bf16", lambda: False)
    write_pair(tmp_path / "models")
    return tmp_path / "models" / "m.int8.onnx"


@pytest.fixture
def photo() -> Path:
    pixels = np.full((20, 30, 3), 200, np.uint8)
    Image.fromarray(pixels).save("a.png")
    return Path("a.png")


def level(path: str) -> int:
    return int(np.asarray(Image.open(path)).mean())


def output(command: list[str], capsys: Said) -> str:
    capsys.readouterr()
    assert run(command) == 0
    return capsys.readouterr().out


def document(command: list[str], capsys: Said) -> Any:
    return json.loads(output([*command, "--json"], capsys))


def test_it_is_a_precision_of_its_model(form: Path, capsys: Said) -> None:
    names = output(["models", "--quiet"], capsys).split()
    assert "m" in names
    assert "m.int8" not in names
    assert "precisions       f32, bf16, int8\n" in output(["models", "-v"], capsys)
    (card,) = (card for card in document(["models"], capsys) if card["name"] == "m")
    assert card["precisions"] == ["f32", "bf16", "int8"]
    assert card["int8"]["file"] == str(form)
    assert card["int8"]["valid"] == 0.02
    for name in ("m", "models/m.onnx"):
        facts = document(["inspect", name], capsys)
        assert facts["precisions"] == ["f32", "bf16", "int8"]
        assert facts["int8"]["isa"] == "AVX2"


def test_alone_it_is_a_model(form: Path, photo: Path, capsys: Said) -> None:
    assert run(["a.png", "--model", "m.int8", "-o", "b.png"]) == 0
    assert level("b.png") == 200 * FORM
    form.with_name("m.onnx").unlink()
    assert "m.int8" in output(["models", "--quiet"], capsys).split()


def test_what_was_computed_in_int8_says_so(form: Path, photo: Path, capsys: Said) -> None:
    command = ["a.png", "--model", "m", "-o", "b.png", "--overwrite"]
    assert " m on openvino in int8, " in output([*command, "-v"], capsys)
    assert level("b.png") == 200 * FORM
    done = document(command, capsys)
    assert '"precision": "int8"' in json.dumps(done)
    provenance = document(["inspect", "b.png"], capsys)["provenance"]
    assert provenance["precision"] == "int8"
    assert provenance["weights"] == file_digest(form)[:16]
    assert run([*command, "--precision", "f32"]) == 0
    provenance = document(["inspect", "b.png"], capsys)["provenance"]
    assert provenance["precision"] == "f32"
    assert provenance["weights"] == file_digest(form.with_name("m.onnx"))[:16]
    assert level("b.png") == 200


def test_16_bits_stay_exact(capsys: Said) -> None:
    Image.fromarray(np.full((20, 30), 51_400, np.uint16)).save("deep.png")
    assert " in f32, " in output(["deep.png", "--model", "m", "-o", "b.png", "-v"], capsys)
    assert level("b.png") == 51_400


def test_the_speed_of_each_precision(capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enlarge.metrics.speed.matmul_peak", lambda *_, **__: 1e9)
    command = ["benchmark", "--model", "m", "--sizes", "16", "--precision", "f32", "int8"]
    found = document(command, capsys)["results"]
    assert [result["precision"] for result in found] == ["f32", "int8"]


def made(capsys: Said, *more: str) -> int:
    """How many results a batch makes, rather than keep what is there."""
    found = document(["in", "--model", "m", "-o", "out", *more], capsys)
    assert not found["failed"]
    return len(found["results"])


def test_finished_results_are_kept(form: Path, photo: Path, capsys: Said) -> None:
    """Those in a finer precision too, where none was asked for; but not of another form."""
    Path("in").mkdir()
    photo.rename("in/a.png")
    assert made(capsys, "--precision", "f32")
    assert not made(capsys)
    assert level("out/a.png") == 200
    assert made(capsys, "--precision", "int8")
    assert level("out/a.png") == 200 * FORM
    assert not made(capsys)
    assert made(capsys, "--precision", "f32")
    assert made(capsys, "--precision", "int8")
    write_pair(form.parent, valid=0.01)
    assert made(capsys)
