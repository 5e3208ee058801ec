"""`make test` runs some tests with the instruction set capped: the engines honour the caps."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
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


_IN_F32 = """
import sys, numpy as np, enlarge
from enlarge.weights.measuring import natural_picture
picture = (natural_picture(96, 3)[0].transpose(1, 2, 0) * 255).round().astype(np.uint8)
large = {m: enlarge.open_model(m, engine="openvino", precision="f32").upscale(picture)
         for m in ("fast", "quality")}
np.savez(sys.argv[1], **large)
"""
on_x86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the caps are x86's"
)


@on_x86
@pytest.mark.parametrize("caps", CAPS)
def test_capped_processors_have_no_bf16(caps: dict[str, str], tmp_path: Path) -> None:
    """And bundled models run, with convolutions and with attention."""
    said = capped(caps, tmp_path, _CODE)
    assert said.splitlines() == ["False False", "(64, 64, 3)", "(64, 64, 3)"]


@on_x86
def test_pictures_in_f32_are_the_same_on_all_processors(tmp_path: Path) -> None:
    """Within 1 level of 255, and nearly all values exactly."""
    found = {}
    for isa in ("", "AVX2", "SSE41"):
        capped({"ONEDNN_MAX_CPU_ISA": isa} if isa else {}, tmp_path, _IN_F32, f"{isa or 'all'}.npz")
        found[isa] = dict(np.load(tmp_path / f"{isa or 'all'}.npz"))
    for model, whole in found[""].items():
        assert whole.std() > 10
        for isa in ("AVX2", "SSE41"):
            distance = np.abs(found[isa][model].astype(int) - whole)
            assert distance.max() <= 1, (model, isa)
            assert (distance > 0).mean() < 1e-3, (model, isa)


def capped(caps: dict[str, str], folder: Path, code: str, *arguments: str) -> str:
    """What the code prints in a process with these caps and no others, in that folder."""
    names = ("OV_CPU_MAX_ISA", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
    own = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=own | caps | {"ENLARGE_CACHE": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
