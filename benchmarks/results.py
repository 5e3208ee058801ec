"""`make results`, or `python -m benchmarks.results [MODEL…]`: evaluate the bundled models.

Writes benchmarks/results.json, docs/results.md and the table between the markers of README.md. If
models are named, only those are evaluated, and the rows of the others stay as they were. Quality
only; seconds are in docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from benchmarks.anchors import BICUBIC
from benchmarks.record import commit, measured_at
from benchmarks.sets import ROOT, bicubic_sets, photographed
from enlarge.card import Card
from enlarge.metrics.evaluation import evaluate
from enlarge.metrics.fidelity import json_safe
from enlarge.metrics.methods import Method, bicubic_method, lanczos_method, model_method
from enlarge.metrics.pairs import DataSet
from enlarge.metrics.protocol import Protocol
from enlarge.weights.catalog import list_weights

JSON, MARKDOWN = ROOT / "benchmarks" / "results.json", ROOT / "docs" / "results.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- results -->", "<!-- /results -->"
README_ANCHORS = ("FSRCNN", "LapSRN", "EECNet (NTIRE 2025)", "EDSR-baseline", "SwinIR-light")
_GRAY = (
    "Set14's `img_003` is a gray picture and is evaluated as R = G = B. Its Y channel then has 219 "
    "levels instead of 255, which adds 1.32 dB to that picture and 0.09 dB to the mean. This is "
    "why bicubic ×2, published as 30.24 dB, has 30.33 dB here (30.23 without)."
)
_VALIDATION = (
    "`valid` and `detail` are the validation sets. No decision in training was based on Set5 or "
    "Set14."
)


def measured(names: Sequence[str] = ()) -> dict[str, Any]:
    """The results of all models (or those named), as benchmarks/results.json holds them."""
    os.environ.pop("ENLARGE_MODELS", None)  # the bundled models only
    bundled = [w for w in list_weights() if not names or w.path.stem in names]
    tables = []
    for factor in sorted({weights.card.scale for weights in bundled}, reverse=True):
        models = [w for w in bundled if w.card.scale == factor]
        methods = [
            bicubic_method(),
            lanczos_method(),
            *(model_method(w, precision="f32") for w in models),
        ]
        parameters = {w.path.stem: w.card.parameters for w in models}
        title = f"×{factor}, bicubic inputs"
        sets = bicubic_sets(factor)
        tables.append(judged(title, factor, sets, methods, Protocol(), parameters))
        if factor == 4:
            title = "Photographed pairs (City100, four pairs that no model was trained on)"
            real = [photographed()]
            tables.append(judged(title, factor, real, methods, Protocol("rgb"), parameters))
    return {
        "date": date.today().isoformat(),
        "commit": commit(),
        "models": [described(weights.card) for weights in bundled],
        "tables": tables,
    }


def merged(known: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Earlier results with those of some models in their places, which name their own commit. A
    model that is new comes last.
    """
    names = {model["model"] for model in found["models"]}
    tables = {table["title"]: table for table in found["tables"]}
    document = {**known, "models": _replaced(known["models"], found["models"])}
    document["tables"] = []
    for table in known["tables"]:
        rows = tables.get(table["title"], {"rows": []})["rows"]
        own = [
            {**row, "measured": f"{found['date']}, commit {found['commit']}"}
            for row in rows
            if row["model"] in names
        ]
        document["tables"].append({**table, "rows": _replaced(table["rows"], own)})
    return document


def _replaced(known: Sequence[dict[str, Any]], fresh: Sequence[dict[str, Any]]) -> list[Any]:
    """Entries of models, those of `fresh` in their places or, of new models, at the end."""
    by_name = {entry["model"]: entry for entry in known} | {e["model"]: e for e in fresh}
    return list(by_name.values())


def described(card: Card) -> dict[str, Any]:
    """What a card says beside its scores."""
    ensemble = card.scores.get("ensemble", {})
    return {
        "model": card.name,
        "scale": card.scale,
        "parameters": card.parameters,
        "flops": card.flops,
        "hours": card.hours,
        "ensemble": {name: ensemble[name] for name in ("Set5", "Set14") if name in ensemble},
    }


def judged(
    title: str,
    factor: int,
    sets: Sequence[DataSet],
    methods: Sequence[Method],
    protocol: Protocol,
    parameters: dict[str, int],
) -> dict[str, Any]:
    """One table: every method on every set, and the models' numbers of parameters."""
    rows: dict[str, dict[str, Any]] = {
        method.name: {"model": method.name, "parameters": parameters.get(method.name), "data": {}}
        for method in methods
    }
    for data in sets:
        for result in evaluate(methods, data, protocol):
            print(f"{title}: {data.name}  {result.model}  {result.psnr:.3f}", flush=True)
            rows[result.model]["data"][data.name] = {
                "psnr": json_safe(result.psnr),
                "ssim": result.ssim,
                "images": {image.name: json_safe(image.psnr) for image in result.images},
            }
    return {
        "title": title,
        "factor": factor,
        "protocol": protocol.to_dict(),
        "precision": "f32",
        "sets": {data.name: len(data.pairs) for data in sets},
        "rows": list(rows.values()),
    }


def markdown(document: dict[str, Any]) -> str:
    """docs/results.md."""
    lines = [
        "# How good are the models?",
        "",
        f"Written by `make results` on {measured_at(document)}. "
        "*measured*: computed here, on the same files, in f32; *published*: the authors' own "
        "figures. The bundled models are in bold.",
    ]
    for table in document["tables"]:
        pictures = ", ".join(f"{name} {count}" for name, count in table["sets"].items())
        protocol = table["protocol"]["text"]
        lines += ["", f"## {table['title']}", ""]
        lines += [f"PSNR in dB / SSIM; {protocol}. Pictures: {pictures}.", ""]
        lines += _table(table, list(table["sets"]), None)
        if "Set14" in table["sets"]:
            lines += ["", _GRAY]
            lines += ["", _VALIDATION]
    lines += ["", "## The models", "", *_models(document["models"])]
    return "\n".join(lines) + "\n"


def _models(models: Sequence[dict[str, Any]]) -> list[str]:
    """What each costs, and what the self-ensemble (×8 the work) brings it to."""
    lines = [
        "*Minutes*: training, including the model that it started from; of `photo-fast` on two CPU "
        "cores, of the others on one H200. `--ensemble`: PSNR in dB / SSIM with the option "
        "`--ensemble`. Speed: [speed.md](speed.md).",
        "",
        "| model | parameters | kFLOP per output pixel | minutes | Set5, `--ensemble` | Set14 |",
        "|---|--:|--:|--:|---|---|",
    ]
    for model in sorted(models, key=lambda model: (-model["scale"], model["flops"])):
        cells = [f"{s['psnr']:.2f} / {s['ssim']:.3f}" for s in model["ensemble"].values()]
        size = f"{model['parameters'] / 1000:,.0f} K | {model['flops'] / 1e3:.0f}"
        lines.append(
            f"| {model['model']} | {size} "
            f"| {model['hours'] * 60:.1f} | {' | '.join(cells or ['', ''])} |"
        )
    return lines


def readme_table(document: dict[str, Any]) -> str:
    """What stands between the markers of README.md: the ×4 table, with a few of the anchors."""
    table = next(table for table in document["tables"] if table["factor"] == 4)
    lines = ["×4, PSNR in dB / SSIM, on the Y channel, with a border of 4 pixels cropped.", ""]
    lines += _table(table, ["Set5", "Set14"], README_ANCHORS)
    return "\n".join(lines)


def _table(table: dict[str, Any], sets: Sequence[str], names: Sequence[str] | None) -> list[str]:
    """Our rows and the anchors' (those named, or all), by PSNR on the first set."""
    found = [*_ours(table, sets)]
    if "Set5" in sets:
        found += _anchors(table["factor"], sets, names)
    found.sort()
    head = ["| model | parameters |", *(f" {name} |" for name in sets), " |"]
    rule = ["|---|--:|", *("---|" for _ in sets), "---|"]
    return ["".join(head), "".join(rule), *(row for _, row in found)]


def _ours(table: dict[str, Any], sets: Sequence[str]) -> Iterator[tuple[float, str]]:
    for row in table["rows"]:
        scores = [row["data"][name] for name in sets]
        cells = [f"{score['psnr']:.2f} / {score['ssim']:.3f}" for score in scores]
        name, count = row["model"], "–"
        if row["parameters"]:
            name, count = f"**{name}**", f"{row['parameters'] / 1000:,.0f} K"
            cells = [f"**{cell}**" for cell in cells]
        kind = f"measured {row['measured']}" if "measured" in row else "measured"
        yield scores[0]["psnr"], f"| {name} | {count} | {' | '.join(cells)} | {kind} |"


def _anchors(
    factor: int, sets: Sequence[str], names: Sequence[str] | None
) -> Iterator[tuple[float, str]]:
    for anchor in BICUBIC.get(factor, []):
        if names is not None and anchor.name not in names:
            continue
        cells = []
        for name in sets:
            psnr, ssim = anchor.scores.get(name, (None, None))
            text = "" if psnr is None else f"{psnr:.2f}"
            cells.append(text + (f" / {ssim:.3f}" if ssim is not None else ""))
        row = f"| {anchor.name} | {anchor.parameters} | {' | '.join(cells)} | {anchor.kind} |"
        yield anchor.scores[sets[0]][0], row


def with_table(readme: str, table: str) -> str:
    """The README with the table between its markers; unchanged where it has none."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table}\n{end}{after}" if end else readme


def write(document: dict[str, Any]) -> None:
    """Write benchmarks/results.json, docs/results.md, and the README's table."""
    JSON.parent.mkdir(exist_ok=True)
    JSON.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    MARKDOWN.write_text(markdown(document), encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    changed = with_table(readme, readme_table(document))
    if changed != readme:
        README.write_text(changed, encoding="utf-8")


def main() -> None:
    """Measure, and write everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="only these")
    names = parser.parse_args().models
    found = measured(names)
    write(merged(json.loads(JSON.read_text(encoding="utf-8")), found) if names else found)


if __name__ == "__main__":
    main()
