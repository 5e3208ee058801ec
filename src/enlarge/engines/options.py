"""What a user wants of an engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from enlarge.engines.protocol import EngineName, Precision
from enlarge.errors import OptionError
from enlarge.model_file import NCNN

_ENGINES: tuple[str, ...] = get_args(EngineName)
_PRECISIONS: tuple[str, ...] = get_args(Precision)


@dataclass(frozen=True)
class EngineOptions:
    """An engine, a device and a precision, each as given, or auto; `threads` of the CPU, 0 for all
    cores.
    """

    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0

    def check(self) -> None:
        """Raise `OptionError` for unknown words, and for an engine and a device that contradict
        each other.
        """
        engine, device = self.engine, self.device
        if engine not in _ENGINES:
            raise OptionError(f"unknown engine {engine!r}; there are: {', '.join(_ENGINES)}")
        if not re.fullmatch(r"[a-z]+(:\d+)?", device) or re.match("(auto|cpu|mps):", device):
            raise OptionError(f"device must be auto, cpu, cuda, cuda:NUMBER or mps, got {device!r}")
        if self.precision not in _PRECISIONS:
            raise OptionError(
                f"unknown precision {self.precision!r}; there are: {', '.join(_PRECISIONS)}"
            )
        if self.threads < 0:
            raise OptionError(f"threads must be 0 (all cores) or more, got {self.threads}")
        if engine in ("openvino", NCNN) and device not in ("auto", "cpu"):
            raise OptionError(
                f"--engine {engine} runs on the CPU, so --device {device} contradicts it; "
                "use --engine torch or onnxruntime, or leave out one of them"
            )
