"""A small version of the proof: mutated model files are opened."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from enlarge.errors import WeightsError
from enlarge.weights.catalog import find_weights
from tests.networks.tiny import tiny
from tests.weights import fuzzing


def test_mutated_models_open_or_are_refused_in_one_line() -> None:
    result = fuzzing.fuzz(66, seed=2)
    assert result.faults == []
    assert result.count == 66
    assert set(result.said) <= {"whole", "WeightsError"}
    assert result.said["WeightsError"] > 20, "hardly anything was damaged"


def test_files_that_once_gave_a_fault_are_refused() -> None:
    kept = {path.name: path.read_bytes() for path in sorted(fuzzing.BROKEN.iterdir())}
    assert kept
    result = fuzzing.open_all(kept)
    assert result.faults == []
    assert dict(result.said) == {"WeightsError": len(kept)}


def test_what_is_mutated_was_whole() -> None:
    result = fuzzing.open_all(fuzzing.seeds())
    assert result.faults == []
    assert dict(result.said) == {"whole": len(fuzzing.seeds())}
    assert list(fuzzing.mutations(30)) == list(fuzzing.mutations(30))


def test_faults_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = fuzzing.WORKER.replace(
        "    begun =", "    if path.stat().st_size > 50000: os.abort()\n    begun ="
    )
    monkeypatch.setattr(fuzzing, "WORKER", broken)
    result = fuzzing.fuzz(4, seed=3, keep=tmp_path)
    assert result.count == 4
    assert result.faults, "no seed was that large"
    assert all("BUG crash (-6)" in fault for fault in result.faults)
    assert len(list(tmp_path.iterdir())) == len(result.faults)


def test_a_network_that_overflows_is_refused(tmp_path: Path, cache: Path) -> None:
    """Every weight is finite, but no picture's result is."""
    state = {key: value * 1e20 for key, value in tiny("srvgg").state_dict().items()}
    torch.save(state, tmp_path / "m.pth")
    with pytest.raises(WeightsError, match="returns NaN or infinity for a normal picture"):
        find_weights(tmp_path / "m.pth", quiet=True)
