"""A torchvision that was built for another torch, which many environments have."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from tests.networks.conftest import Architecture
from tests.networks.conftest import spandrel as spandrel
from tests.networks.tiny import tiny

DISTRIBUTION = "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.21.0\n"
FAILURE = "operator torchvision::nms does not exist"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables of a process that finds such a package first."""
    packages = tmp_path / "packages"
    (packages / "torchvision").mkdir(parents=True)
    (packages / "torchvision" / "__init__.py").write_text(f"raise RuntimeError({FAILURE!r})\n")
    (packages / "torchvision-0.21.0.dist-info").mkdir()
    (packages / "torchvision-0.21.0.dist-info" / "METADATA").write_text(DISTRIBUTION)
    path = os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "ENLARGE_CACHE": str(tmp_path / "cache")}


def enlarge(folder: Path, environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "enlarge", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_training_names_it_with_both_versions_and_the_remedy(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    status, said = enlarge(tmp_path, environment, "train", "fast", "--fast-dev-run")
    assert status == 1
    assert said.startswith(
        f"enlarge: torchvision 0.21.0 does not work with torch {version('torch')} ({FAILURE})"
    )
    assert "pip uninstall torchvision" in said
    assert said.count("\n") == 1


def test_a_checkpoint_opens_beside_it(tmp_path: Path, environment: dict[str, str]) -> None:
    torch.save({"params_ema": tiny("srvgg").state_dict()}, tmp_path / "theirs.pth")
    status, said = enlarge(tmp_path, environment, "inspect", "theirs.pth")
    assert status == 0, said


@pytest.mark.filterwarnings("ignore")
def test_spandrel_works_beside_it(
    spandrel: Architecture, tmp_path: Path, environment: dict[str, str]
) -> None:
    network = spandrel("SPAN").SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2)
    torch.save(network.state_dict(), tmp_path / "theirs.pth")
    status, said = enlarge(tmp_path, environment, "inspect", "theirs.pth")
    assert status == 0, said
