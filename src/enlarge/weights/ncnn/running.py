"""Models of ncnn with a layer that enlarge does not know: described by running them in ncnn itself.

describe_pair(pair, reason)   → the model, ready to run, and its card
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import numpy as np

from enlarge.card import Card
from enlarge.errors import EngineError, WeightsError
from enlarge.model_file import NCNN
from enlarge.version import __version__
from enlarge.weights.graphs import multiple_and_scale
from enlarge.weights.ncnn.detecting import NcnnPair
from enlarge.weights.ncnn.param import UnknownLayerError
from enlarge.weights.reach import measured_margin
from enlarge.weights.runner import Picture

_TRIAL = """
import sys
import numpy as np
from pathlib import Path
from enlarge.engines.ncnn import NcnnEngine
from enlarge.errors import EngineError
try:
    NcnnEngine(Path(sys.argv[1]), 1).compute(np.full((3, 64, 64), 0.5, np.float32))
except EngineError as error:
    sys.exit(str(error))
"""
"""ncnn trusts its files: one that is damaged may end the process that loads it."""
_SECONDS = 120


class NcnnRunner:
    """A model in ncnn, as `measuring` runs networks. Raises `WeightsError` if ncnn cannot load it.

    It has no precision but f32.
    """

    def __init__(self, pair: NcnnPair) -> None:
        from enlarge.engines.ncnn import NcnnEngine

        self._param = pair.param
        try:
            self._engine = NcnnEngine(pair.param, 0, winograd=False)
        except EngineError as error:
            raise WeightsError(str(error)) from error

    def __call__(self, image: Picture) -> Picture:
        """See `Network.__call__`."""
        try:
            return self._engine.compute(np.ascontiguousarray(image[0]))[None]
        except EngineError as error:
            raise WeightsError(f"{self._param}: {error}") from error

    def in_bf16(self) -> None:
        """See `Network.in_bf16`: there is none."""
        return


def describe_pair(pair: NcnnPair, reason: UnknownLayerError) -> tuple[NcnnRunner, Card]:
    """The model, ready to run, and its card without what `measuring.measured` adds; its operations
    and parameters are not counted. `reason`: what enlarge does not know.

    Raises `WeightsError` if ncnn is not installed, or it cannot run the model either.
    """
    if find_spec("ncnn") is None:
        raise WeightsError(
            f'{reason}; ncnn itself may know it: pip install "enlarge[ncnn]". Otherwise use the '
            "model's .pth, .safetensors or .onnx file"
        ) from reason
    _try(pair, reason)
    run = NcnnRunner(pair)
    multiple, scale = multiple_and_scale(pair.param, run)
    margin = measured_margin(run, scale, multiple)
    card = Card(
        pair.param.stem, NCNN, {}, scale, margin, 0, multiple=multiple, version=__version__
    )  # fmt: skip
    return run, card


def _try(pair: NcnnPair, reason: UnknownLayerError) -> None:
    """Load and run the model in a process of its own. Raises `WeightsError`."""
    command = [sys.executable, "-c", _TRIAL, str(pair.param)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
        lines = done.stderr.strip().splitlines()
        failure = lines[-1] if lines else "ncnn crashes when it runs it"
    except subprocess.TimeoutExpired:
        failure = f"ncnn takes more than {_SECONDS} s for 64×64 pixels"
    else:
        if not done.returncode:
            return
    failure = failure.removeprefix(f"{pair.param}: ")
    raise WeightsError(f"{reason}, and ncnn does not run it: {failure}") from reason
