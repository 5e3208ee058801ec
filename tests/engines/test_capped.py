"""`make test` runs some tests with the instruction set capped: the engines honour the caps."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

CAPS = [
    {"OV_CPU_MAX_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    {"DNNL_MAX_CPU_ISA": "SSE41"},
]
"""OpenVINO reads the first variable, and torch's oneDNN the others; enlarge keeps them together."""
_CODE = """
from enlarge.engines import openvino, torch
print(openvino.has_bf16(), torch.cpu_has_bf16())
import numpy as np, enlarge
for model in ("fast", "photo"):
    print(enlarge.open_model(model).upscale(np.full((16, 16, 3), 128, np.uint8)).shape)
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the caps are x86's")
@pytest.mark.parametrize("caps", CAPS)
def test_capped_processors_have_no_bf16(caps: dict[str, str], tmp_path: Path) -> None:
    """And bundled models run, with convolutions and with attention."""
    names = ("OV_CPU_MAX_ISA", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
    own = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", _CODE],
        env=own | caps | {"ENLARGE_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["False False", "(64, 64, 3)", "(64, 64, 3)"]
