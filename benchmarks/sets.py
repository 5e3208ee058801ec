"""The data sets that the models are judged on, as they lie in this workplace."""

from __future__ import annotations

from pathlib import Path

from enlarge.data.photos import list_photos
from enlarge.metrics.pairs import DataSet, find_set, originals
from enlarge.training.config import data_root

ROOT = Path(__file__).parents[1]


def bicubic_sets(scale: int) -> list[DataSet]:
    """Set5 and Set14 as the field has them, and our two validation parts."""
    root = data_root()
    found = [find_set(root / "benchmarks" / name, scale) for name in ("Set5", "Set14")]
    named = [
        DataSet(name, s.pairs, s.factor) for name, s in zip(("Set5", "Set14"), found, strict=True)
    ]
    for part in ("valid", "detail"):
        named.append(originals(part, list_photos(root / "photos", [part]), scale))
    return named


def photographed() -> DataSet:
    """The four pairs of City100 that nothing is trained on."""
    found = find_set(data_root() / "real" / "city100" / "valid.csv")
    return DataSet("city100", found.pairs, found.factor)
