"""The published tables are those of benchmarks/results.json, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks import results
from benchmarks.results import BEGIN, END, markdown, readme_table, with_table
from benchmarks.sets import bicubic_sets

from enlarge.metrics.methods import bicubic_method, lanczos_method, model_method
from enlarge.metrics.protocol import Protocol
from enlarge.weights.catalog import find_weights, list_weights


@pytest.fixture
def document() -> Any:
    if not results.JSON.exists():
        pytest.skip("no benchmarks/results.json yet; make results writes it")
    return json.loads(results.JSON.read_text(encoding="utf-8"))


def test_the_page_is_the_records(document: Any) -> None:
    assert results.MARKDOWN.read_text(encoding="utf-8") == markdown(document)


def test_the_readme_is_the_records(document: Any) -> None:
    readme = results.README.read_text(encoding="utf-8")
    if BEGIN not in readme:
        pytest.skip(f"README.md has no {BEGIN}")
    assert with_table(readme, readme_table(document)) == readme


def test_the_records_are_those_of_the_bundled_models(
    document: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each model's card says what the table says, to 0.005 dB; none is missing."""
    monkeypatch.delenv("ENLARGE_MODELS", raising=False)
    tables = {t["factor"]: t for t in document["tables"] if "Set5" in t["sets"]}
    for weights in list_weights():
        rows = {row["model"]: row for row in tables[weights.card.scale]["rows"]}
        data = rows[weights.path.stem]["data"]
        for name in ("Set5", "Set14"):
            wanted = weights.card.scores[name]["psnr"]
            assert data[name]["psnr"] == pytest.approx(wanted, abs=0.005), weights.path.stem


def test_the_records_come_out_again(document: Any, data: Path) -> None:
    """Set5 judged as `make results` judges it: every figure of `fast`, bicubic and Lanczos within
    0.005 dB of the committed one, down to the single picture."""
    set5 = next(found for found in bicubic_sets(4) if found.name == "Set5")
    methods = [
        bicubic_method(),
        lanczos_method(),
        model_method(find_weights("fast"), precision="f32"),
    ]
    table = results.judged("×4", 4, [set5], methods, Protocol(), {})
    committed = next(t for t in document["tables"] if t["factor"] == 4 and "Set5" in t["sets"])
    assert table["protocol"] == committed["protocol"]
    rows = {row["model"]: row["data"]["Set5"] for row in committed["rows"]}
    assert [row["model"] for row in table["rows"]] == ["bicubic", "lanczos", "fast"]
    for row in table["rows"]:
        found, wanted = row["data"]["Set5"], rows[row["model"]]
        assert found["psnr"] == pytest.approx(wanted["psnr"], abs=0.005), row["model"]
        assert found["ssim"] == pytest.approx(wanted["ssim"], abs=0.0005), row["model"]
        assert found["images"] == pytest.approx(wanted["images"], abs=0.005), row["model"]


def example() -> dict[str, Any]:
    def row(model: str, parameters: int | None, psnr: float) -> dict[str, Any]:
        scores = {"psnr": psnr, "ssim": 0.8, "images": {}}
        return {"model": model, "parameters": parameters, "data": {"Set5": scores, "Set14": scores}}

    table = {
        "title": "×4",
        "factor": 4,
        "protocol": {"text": "a protocol"},
        "sets": {"Set5": 5, "Set14": 14},
        "rows": [row("bicubic", None, 28.4249), row("fast", 185_360, 31.5051)],
    }
    scores = {"psnr": 31.71234, "ssim": 0.8888}
    model = {"model": "fast", "scale": 4, "parameters": 185_360, "flops": 23_100.0, "hours": 0.07}
    model["ensemble"] = {"Set5": scores, "Set14": scores}
    return {"date": "2026-11-23", "commit": "abc", "models": [model], "tables": [table]}


def test_what_a_model_costs() -> None:
    told = "| fast | 185 K | 23 | 4.2 | 31.71 / 0.889 | 31.71 / 0.889 |"
    assert told in markdown(example()).splitlines()


def test_ours_stand_among_the_others_by_psnr() -> None:
    lines = markdown(example()).splitlines()
    names = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert names[:5] == ["model", "bicubic", "FSRCNN", "**fast**", "LapSRN"]
    ours = "| **fast** | 185 K | **31.51 / 0.800** | **31.51 / 0.800** | measured |"
    assert ours in lines
    assert "| FSRCNN | 12 K | 30.71 | 27.59 | published |" in lines


def test_the_table_goes_between_the_markers() -> None:
    readme = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_table(readme, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert with_table("no markers\n", "new") == "no markers\n"


def test_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JSON", "MARKDOWN", "README"):
        monkeypatch.setattr(results, name, tmp_path / "docs" / name)
    (tmp_path / "docs").mkdir()
    results.README.write_text(f"{BEGIN}{END}")
    results.write(example())
    assert json.loads(results.JSON.read_text()) == example()
    assert "31.51" in results.README.read_text()
    assert "31.51" in results.MARKDOWN.read_text()
