"""A cap on the processor's instruction sets, which libraries read when they are imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

CAPS = ("SSE41", "AVX2", "AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_BF16")
"""Instruction sets, in oneDNN's names; each contains those before it."""
_ONEDNN = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "OV_CPU_MAX_ISA")
_ATEN = {"SSE41": "default", "AVX2": "avx2"}
_MKL = {"SSE41": "SSE4_2", "AVX2": "AVX2"}


def variables(cap: str) -> dict[str, str]:
    """The environment in which OpenVINO and torch keep to `cap`. ONNX Runtime and ncnn have no such
    setting.
    """
    return {
        **dict.fromkeys(_ONEDNN, cap),
        "ATEN_CPU_CAPABILITY": _ATEN.get(cap, "avx512"),
        "MKL_ENABLE_INSTRUCTIONS": _MKL.get(cap, "AVX512"),
    }


def cap_in_force(environment: Mapping[str, str] = os.environ) -> str:
    """The cap that this process was started with, "" if there is none."""
    return next((environment[name] for name in _ONEDNN if environment.get(name)), "").upper()


def restart_under(cap: str | None, module: str) -> None:
    """Run `python -m module` again with the same arguments, capped for all libraries, unless this
    process is. `cap` None: what its environment says of OpenVINO holds for torch too.
    """
    wanted = (cap or cap_in_force()).upper()
    if not wanted:
        return
    needed = variables(wanted)
    if any(os.environ.get(name) != value for name, value in needed.items()):
        line = [sys.executable, "-m", module, *sys.argv[1:]]
        os.execve(sys.executable, line, {**os.environ, **needed})
