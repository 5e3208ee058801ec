"""Every bundled weight holds its card's scores on three small pictures, in f32 and in bf16, and
its card names files that there are.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from enlarge.metrics.evaluation import evaluate
from enlarge.metrics.methods import model_method
from enlarge.metrics.pairs import DataSet, find_set
from enlarge.metrics.protocol import Protocol
from enlarge.model_file import Weights
from enlarge.weights.catalog import list_weights
from tests.conftest import ROOT
from tests.precisions import require

PICTURES = ("img_001", "img_003", "img_005")


@pytest.mark.parametrize("precision", ["f32", "bf16"])
@pytest.mark.parametrize("weights", list_weights(), ids=lambda w: w.path.stem)
def test_scores_hold(weights: Weights, precision: str, data: Path) -> None:
    require(precision)
    found = find_set(data / "benchmarks" / "Set5", weights.card.scale)
    few = DataSet("Set5", tuple(p for p in found.pairs if p.name in PICTURES), found.factor)
    (result,) = evaluate([model_method(weights, precision=precision)], few, Protocol())
    wanted = weights.card.scores["Set5"]["images"]
    for image in result.images:
        assert image.psnr >= wanted[image.name] - 0.02, f"{image.name} in {precision}"


@pytest.mark.parametrize("weights", list_weights(), ids=lambda w: w.path.stem)
def test_what_the_card_names_is_in_the_repository(weights: Weights) -> None:
    card = weights.card
    named = re.findall(r"[\w./-]+\.(?:tsv|yaml)", f"{card.data} {card.licence} {card.recipe}")
    assert len(set(named)) == 2, "a recipe, and the authors"
    assert not [name for name in named if not (ROOT / name).is_file()]
