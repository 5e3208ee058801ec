"""`python -m benchmarks.score MODEL.onnx…`: fill the scores of a model's card, as measured on the
file itself, there and in the .safetensors beside it.

`scores` becomes {"protocol": one sentence, "Set5": {"psnr", "ssim", "images": {name: PSNR}},
"Set14": …, "valid": …, "detail": …, "bf16": {"Set5": {"psnr", "ssim"}, …}}: f32, and the same means
in bf16 where this processor computes in it; "ensemble" holds Set5 and Set14 by `--ensemble`, and
how many times the work that is.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.sets import bicubic_sets
from enlarge.card import KEY, Card
from enlarge.engines.openvino import has_bf16
from enlarge.metrics.evaluation import Result, evaluate
from enlarge.metrics.methods import model_method
from enlarge.metrics.pairs import DataSet
from enlarge.metrics.protocol import Protocol
from enlarge.model_file import Weights
from enlarge.weights.catalog import find_weights
from enlarge.weights.onnx_file import with_card


def scores(weights: Weights, sets: list[DataSet]) -> dict[str, Any]:
    """The scores of a model file on data sets, for its card."""
    protocol = Protocol()
    found: dict[str, Any] = {"protocol": f"f32, {protocol}"}
    for result in _judged(weights, sets, protocol, "f32"):
        images = {image.name: round(image.psnr, 4) for image in result.images}
        found[result.data] = _means(result) | {"images": images}
    method = model_method(weights, precision="f32", ensemble=True)
    means = {d.name: _means(*evaluate([method], d, protocol)) for d in sets[:2]}
    found["ensemble"] = {"times": 8, **means}
    if "bf16" in weights.card.precisions and not has_bf16():
        print("this processor does not compute in bf16: the scores in bf16 are left out")
    elif "bf16" in weights.card.precisions:
        found["bf16"] = {r.data: _means(r) for r in _judged(weights, sets, protocol, "bf16")}
    return found


def _judged(
    weights: Weights, sets: list[DataSet], protocol: Protocol, precision: str
) -> list[Result]:
    method = model_method(weights, precision=precision)
    return [result for data in sets for result in evaluate([method], data, protocol)]


def _means(result: Result) -> dict[str, Any]:
    return {"psnr": round(result.psnr, 4), "ssim": round(result.ssim, 5)}


def write_scores(path: Path) -> Card:
    """Measure a model file and write the scores into its card, and into its sibling's."""
    weights = find_weights(str(path.resolve()))
    card = replace(weights.card, scores=scores(weights, bicubic_sets(weights.card.scale)))
    put_cards(path, card)
    return card


def put_cards(path: Path, card: Card) -> None:
    """Replace the card of a model file, and of its sibling."""
    with_card(path, card)
    sibling = path.with_suffix(".safetensors")
    if sibling.exists():
        _with_card_in_safetensors(sibling, card)


def _with_card_in_safetensors(path: Path, card: Card) -> None:
    """Replace the card inside a safetensors file (atomically)."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    temporary = path.with_name(f".{path.name}.part")
    save_file(load_file(path), temporary, metadata=metadata | {KEY: card.to_json()})
    temporary.chmod(0o644)  # safetensors makes files that only their owner can read
    temporary.replace(path)


def main() -> None:
    """Score every file named on the command line."""
    for name in sys.argv[1:]:
        card = write_scores(Path(name))
        print(name)
        for data in ("Set5", "Set14", "valid", "detail"):
            low = card.scores.get("bf16", {}).get(data)
            f32 = card.scores[data]
            text = f"  {data.ljust(6)}  f32 {f32['psnr']:.3f} / {f32['ssim']:.4f}"
            print(text + (f"  bf16 {low['psnr']:.3f} / {low['ssim']:.4f}" if low else ""))


if __name__ == "__main__":
    main()
