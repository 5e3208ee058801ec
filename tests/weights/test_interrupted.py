"""Preparing that ends before its end: killed, without its cache, on a full disk."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enlarge
from enlarge.digests import file_digest
from enlarge.engines import EngineOptions
from enlarge.errors import WeightsError
from enlarge.picture.preparing import prepare_model
from enlarge.settings import Settings
from enlarge.weights import measuring, onnx_file
from enlarge.weights.preparing import find_prepared, has_failed, prepared
from tests.conftest import Begin
from tests.networks.tiny import tiny

HANGS = """
import sys, time
from pathlib import Path
from enlarge.weights import measuring
from enlarge.weights.preparing import prepared
def hang(*arguments, **options):
    print("measuring", flush=True)
    time.sleep(600)
measuring.measured = hang
prepared(Path(sys.argv[1]), quiet=True)
"""


@pytest.fixture
def checkpoint(cache: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model.pth"
    torch.save(tiny("srvgg").state_dict(), path)
    return path


def prepare(path: Path) -> None:
    prepare_model(path, EngineOptions(), Settings(), (16, 16, 3), np.dtype(np.uint8).str)


def folders(cache: Path) -> list[str]:
    return [place.name for place in cache.iterdir() if place.is_dir()]


def test_one_that_is_killed_is_prepared_again(cache: Path, checkpoint: Path, begin: Begin) -> None:
    process = begin([sys.executable, "-c", HANGS, str(checkpoint)])
    assert process.stdout is not None
    assert process.stdout.readline() == "measuring\n"
    assert not enlarge.open_model(checkpoint).claim_preparing()  # no second process
    process.kill()
    process.wait()
    assert enlarge.open_model(checkpoint).claim_preparing()
    (left,) = folders(cache)
    assert left.endswith(".part")
    assert find_prepared(checkpoint) is None
    day = time.time() - 25 * 3600
    os.utime(cache / left, (day, day))
    prepare(checkpoint)  # the lock went with the process, and what it left is deleted
    found = find_prepared(checkpoint)
    assert found is not None
    assert folders(cache) == [found.path.parent.name]


def test_a_cache_that_is_deleted_meanwhile(
    cache: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = measuring.measured

    def deleted(*arguments: Any, **options: Any) -> Any:
        shutil.rmtree(cache)
        return measured(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "measured", deleted)
        with pytest.raises(WeightsError, match="cannot store the converted model"):
            prepare(checkpoint)
    assert find_prepared(checkpoint) is None
    assert not has_failed(checkpoint, file_digest(checkpoint))
    prepare(checkpoint)
    assert find_prepared(checkpoint) is not None
    shutil.rmtree(cache)
    assert find_prepared(checkpoint) is None


def test_a_full_disk_is_not_the_checkpoints_fault(
    cache: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("onnx.save", full)
        with pytest.raises(WeightsError, match=r"model\.onnx: cannot be written: .*No space left"):
            prepare(checkpoint)
    assert folders(cache) == []
    assert not has_failed(checkpoint, file_digest(checkpoint))
    assert prepared(checkpoint, quiet=True).path.is_file()


def test_a_network_that_cannot_be_converted_is_not_tried_again(
    cache: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: Any, **options: Any) -> None:
        raise WeightsError("an operator that ONNX lacks")

    monkeypatch.setattr(onnx_file, "export_onnx", refused)
    with pytest.raises(WeightsError, match="an operator"):
        prepare(checkpoint)
    assert folders(cache) == []
    assert has_failed(checkpoint, file_digest(checkpoint))
