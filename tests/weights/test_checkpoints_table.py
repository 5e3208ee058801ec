"""The command that measures everyone's models: what it tries, and what it writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import record
from benchmarks.checkpoints import __main__ as command
from benchmarks.checkpoints import elsewhere, exports, pairs
from benchmarks.checkpoints.page import text_of_section
from benchmarks.checkpoints.rows import Case, Home, Row, measure
from benchmarks.record import between_marks

from enlarge.weights.measuring import natural_picture
from enlarge.weights.runner import Picture
from tests.weights.ncnn import tiny

pytestmark = pytest.mark.filterwarnings("ignore")
ROW = Row(
    "net", ".pth", "spandrel", "", 2, "openvino", "bf16", {"3×5": 0.25, "5×3": 0.5}, 64,
    {"f32": 20.0, "home f32": 123.4, "default": 5.25}, {"f32": 6.17, "default": 23.5},
)  # fmt: skip
KNOWN = {"date": "2000-01-01", "commit": "abc", "machine": "a CPU"}


def test_a_model_of_ncnn_against_ncnn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ncnn")
    (tmp_path / "models").mkdir()
    tiny.write_pair(tmp_path / "models")
    monkeypatch.setenv("ENLARGE_MODELS", str(tmp_path / "models"))
    case = next(case for case in pairs.cases() if case.name == "tiny")
    row = measure(case, trial=True)
    assert (row.failed, row.home, row.scale, row.engine) == ("", "ncnn", 2, "openvino")
    assert max(row.levels.values()) < 0.1
    assert row.ms.keys() >= {"f32", "home f32", "home default"}
    assert (row.side, *row.ratio) == (128, "f32", "default")


def test_another_result_is_seen(tmp_path: Path) -> None:
    pytest.importorskip("ncnn")
    tiny.write_pair(tmp_path)

    def off(path: Path) -> Home:
        run = pairs.in_ncnn(path).f32
        return Home("ncnn", lambda image: run(image) + np.float32(3 / 255))

    case = Case("tiny", ".param", lambda _: tmp_path / "tiny.param", off, side=16)
    assert 2.9 < max(measure(case, trial=True).levels.values()) < 3.1
    right = replace(case, home=pairs.in_ncnn, reference=off(tmp_path / "tiny.param").f32)
    assert 2.9 < max(measure(right, trial=True).levels.values()) < 3.1


def test_a_file_that_does_not_open_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"<!DOCTYPE html><html></html>")
    home = Home("none", lambda image: image)
    row = measure(Case("a", ".onnx", lambda _: tmp_path / "a.onnx", lambda _: home), trial=True)
    assert row.failed.startswith("a.onnx: ")
    assert not row.ms


def test_a_home_engine_that_fails_does_not_end_the_command(tmp_path: Path) -> None:
    tiny.write_pair(tmp_path)

    def broken(image: Picture) -> Picture:
        raise RuntimeError(f"no kernel for {image.shape}\nand a stack")

    case = Case("a", ".param", lambda _: tmp_path / "tiny.param", lambda _: Home("none", broken))
    assert measure(case, trial=True).failed == "no kernel for (1, 3, 37, 53)"


CONVERTED = ("channels last", "BGR, as its input's name says", "one channel", "64×64 only")


@pytest.mark.parametrize("title", CONVERTED)
def test_onnx_from_elsewhere(title: str) -> None:
    (case,) = (case for case in elsewhere.cases() if case.name == title)
    row = measure(replace(case, side=32), trial=True)
    assert (row.failed, row.home, row.scale) == ("", "ONNX Runtime", 4)
    assert max(row.levels.values()) <= 1


@pytest.mark.parametrize("convention", elsewhere.CONVENTIONS, ids=lambda each: each.title)
def test_each_convention_is_the_network(convention: elsewhere.Convention, tmp_path: Path) -> None:
    """What ONNX Runtime returns is the picture, whatever the file takes and returns."""
    image = (natural_picture(64) * 255).round() / np.float32(255)
    image = image[:, 1:2].repeat(3, 1) if convention.is_gray else image
    plain = elsewhere.Convention("", model=convention.model)
    (tmp_path / "plain").mkdir()
    wanted, large = (
        elsewhere.in_onnxruntime(each, elsewhere.write(each, folder)).f32(image)
        for each, folder in ((plain, tmp_path / "plain"), (convention, tmp_path))
    )
    if convention.is_gray:
        wanted = np.tensordot(elsewhere.LUMA, wanted[0], 1)[None, None].repeat(3, 1)
    most = {elsewhere.FLOAT: 1e-4, elsewhere.HALF: 4e-3, elsewhere.BYTE: 0.51 / 255}
    assert wanted.std() > 0.1
    assert np.abs(large.clip(0, 1) - wanted.clip(0, 1)).max() < most[convention.kind]


def test_an_export(tmp_path: Path) -> None:
    found = {(case.name, case.file): case for case in exports.cases()}
    row = measure(replace(found["fast", ".onnx"], side=32), trial=True)
    assert (row.failed, row.home, row.scale) == ("", "ONNX Runtime", 4)
    assert max(row.levels.values()) < 0.1
    assert {file for _, file in found} == {".param, .bin", ".safetensors", ".onnx"}


def test_the_table() -> None:
    failed = Row("bad", ".pth", "spandrel", failed="it | broke")
    slow = replace(ROW, name="slow", ratio={"f32": 0.5, "default": 0.9})
    rows = [row.record() for row in (ROW, slow, failed)]
    text = text_of_section("families", {**KNOWN, "rows": rows})
    assert "2 of 3 open and run" in text
    assert "at most 0.500 levels" in text
    assert "by default: slow." in text
    said = "| net | .pth | ×2 | yes | OpenVINO, bf16 | 0.500 | 20.0, 123 | 5.2, 123 ms | 23.50 |"
    assert said in text.splitlines()
    assert "| bad | .pth | | no: it \\| broke | | | | | |" in text.splitlines()
    assert text.endswith("2000-01-01, commit abc; a CPU.")


def test_marks() -> None:
    page = "a\n<!-- one: x -->\nold\n<!-- /one -->\nb\n<!-- two: y -->\n<!-- /two -->\n"
    found = between_marks(page, "one", "new \\1")
    assert found == page.replace("old", "new \\1")
    assert between_marks(found, "two", "t").count("\nt\n<!-- /two -->") == 1
    with pytest.raises(ValueError, match="three"):
        between_marks(page, "three", "new")


def test_the_page_has_a_place_for_each_section() -> None:
    page = (record.DOCS / "checkpoints.md").read_text(encoding="utf-8")
    for name in command.SECTIONS:
        assert "(here)" in between_marks(page, name, "(here)")


def test_what_was_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def measured(case: Case, *, trial: bool) -> Row:
        calls.append(case.name)
        if case.name == "third" and calls.count("third") == 1:
            raise KeyboardInterrupt
        return replace(ROW, name=case.name, file=case.file)

    def cases() -> list[Case]:
        def home(_: Path) -> Home:
            raise AssertionError

        return [Case(name, ".pth", Path, home) for name in ("first", "second", "third")]

    known: dict[str, Any] = dict(KNOWN)
    (tmp_path / "checkpoints.md").write_text("<!-- ncnn: x -->\n<!-- /ncnn -->\n")
    monkeypatch.setattr(command, "measure", measured)
    monkeypatch.setattr(command, "stamp", lambda: dict(known))
    monkeypatch.setattr(command, "DOCS", tmp_path)
    monkeypatch.setattr(command, "FILE", tmp_path / "results.json")
    monkeypatch.setitem(command.SECTIONS, "ncnn", cases)
    with pytest.raises(KeyboardInterrupt):
        command.measure_section("ncnn", command.Record(trial=False), trial=False)
    assert "| second |" in (tmp_path / "checkpoints.md").read_text(encoding="utf-8")
    command.measure_section("ncnn", command.Record(trial=False), trial=False)
    assert calls == ["first", "second", "third", "third"]
    written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in written["ncnn"]["rows"]] == ["first", "second", "third"]
    known["commit"] = "def"
    before = (tmp_path / "results.json").read_text(encoding="utf-8")
    command.measure_section("ncnn", command.Record(trial=True), trial=True)
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == before
    command.measure_section("ncnn", command.Record(trial=False), trial=False)
    assert calls[4:] == ["first", "second", "first", "second", "third"]
