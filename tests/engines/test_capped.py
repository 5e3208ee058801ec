"""`make test` runs some tests with the instruction set capped: the engines honour the caps."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

CAPS = {"OV_CPU_MAX_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
"""OpenVINO reads the first, and torch's oneDNN the second."""
_CODE = """
from enlarge.engines import openvino, torch
print(openvino.has_bf16(), torch.cpu_has_bf16())
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the caps are x86's")
def test_capped_processors_have_no_bf16() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CODE],
        env=os.environ | CAPS,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "False"]
