"""A network as a pair of ncnn's files, which upscayl, chaiNNer and Real-ESRGAN's ncnn programs run.

pnnx (https://github.com/Tencent/ncnn/tree/master/tools/pnnx) converts the network as torch recorded
it. Input and result then get the names that those programs expect. The pair is compared with torch
before it appears: as enlarge reads it and, where ncnn is installed, in ncnn itself.
"""

from __future__ import annotations

import copy
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.card import Card
from enlarge.errors import WeightsError
from enlarge.model_file import NCNN
from enlarge.networks.blocks import RepeatedColours
from enlarge.weights.measuring import natural_picture
from enlarge.weights.ncnn.detecting import NcnnPair
from enlarge.weights.ncnn.graph import write_graph
from enlarge.weights.network_file import replacing
from enlarge.weights.runner import Picture, Runner

_SIDES = ((64, 64), (96, 80))
"""Heights and widths that the network is recorded with; what differs between them stays free."""
_NAMES = {"in0": "data", "out0": "output"}
"""What pnnx calls the input and the result, and what upscayl and Real-ESRGAN's programs do."""
_TOLERANCE = 0.5 / 255.0
_SECONDS = 600


def write_pair(network: nn.Module, card: Card, target: Path, *, half: bool = False) -> None:
    """Write the network as `target`, NAME.param, and NAME.bin beside it. `half` stores the weights
    of convolutions as f16.

    Raises `WeightsError` if ncnn cannot run the network, pnnx is missing, or the pair gives another
    result than torch by half a level or more; nothing is written then.
    """
    _check_can_run(network, card)
    program = need_pnnx()
    with tempfile.TemporaryDirectory(prefix="enlarge-ncnn-") as name:
        folder = Path(name)
        pair = _converted(network, card, folder, program, half=half)
        _compare(network, card, pair, folder)
        weights = target.with_suffix(".bin")
        with replacing(target) as new_layers, replacing(weights) as new_weights:
            shutil.copyfile(pair.weights, new_weights)
            shutil.copyfile(pair.param, new_layers)


def need_pnnx() -> str:
    """The path of the program. Raises `WeightsError` with the install command if it is missing."""
    try:
        import pnnx
    except ImportError as error:
        raise WeightsError(
            'writing a model of ncnn needs pnnx; install it: pip install "enlarge[pnnx]"'
        ) from error
    return str(pnnx.EXEC_PATH)


def upscayl_factor(name: str) -> int:
    """The factor that upscayl takes a model of that name for."""
    name = name.lower()
    return next((n for n in (2, 3) if f"x{n}" in name or f"{n}x" in name), 4)


def _check_can_run(network: nn.Module, card: Card) -> None:
    attends = any(hasattr(module, "relative_position_bias_table") for module in network.modules())
    if attends:
        raise WeightsError(
            f"{card.name}: cannot become a model of ncnn: its attention needs sides that are "
            f"multiples of {card.multiple}, programs like upscayl pass tiles of any size, and pnnx "
            "does not convert it; write an .onnx file, which chaiNNer runs too"
        )


class _Plain(nn.Module):
    """The network with modules that ncnn has layers for."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        for parent in list(self.network.modules()):
            for name, child in parent.named_children():
                if isinstance(child, RepeatedColours):
                    setattr(parent, name, _as_convolution(child))

    def forward(self, image: Tensor) -> Tensor:
        enlarged: Tensor = self.network(image)
        return enlarged


def _as_convolution(repeat: RepeatedColours) -> nn.Conv2d:
    """The same as a 1×1 convolution with weights of 0 and 1: ncnn copies no single channels."""
    chosen = F.one_hot(repeat.colours, 3).float()
    conv = nn.Conv2d(3, len(chosen), 1, bias=False)
    conv.weight = nn.Parameter(chosen[:, :, None, None], requires_grad=False)
    return conv


def _examples(card: Card) -> list[Picture]:
    """Pictures of the recorded sizes, and one of another size."""
    cell = card.multiple
    sides = [
        (-(-max(high, card.minimum) // cell) * cell, -(-max(wide, card.minimum) // cell) * cell)
        for high, wide in (*_SIDES, (53, 71))
    ]
    image = natural_picture(max(map(max, sides)))
    return [np.ascontiguousarray(image[:, :, :high, :wide]) for high, wide in sides]


def _converted(
    network: nn.Module, card: Card, folder: Path, program: str, *, half: bool
) -> NcnnPair:
    """What pnnx makes of the network, in that folder."""
    first, second, _ = _examples(card)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        recorded: Any = torch.jit.trace(
            _Plain(network).eval(), torch.from_numpy(first), check_trace=False
        )
        recorded.save(str(folder / "model.pt"))
    shapes = [str(list(image.shape)).replace(" ", "") for image in (first, second)]
    options = [f"inputshape={shapes[0]}", f"inputshape2={shapes[1]}", f"fp16={int(half)}"]
    try:
        done = subprocess.run(
            [program, "model.pt", *options],
            cwd=folder, capture_output=True, text=True, errors="replace", timeout=_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WeightsError(f"{card.name}: pnnx does not run ({error})") from error
    layers, weights = folder / "model.ncnn.param", folder / "model.ncnn.bin"
    if done.returncode or not layers.is_file():
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WeightsError(f"{card.name}: pnnx cannot convert it: {last}")
    layers.write_text(_renamed(layers.read_text(encoding="utf-8")), encoding="utf-8")
    return NcnnPair(layers, weights)


def _renamed(text: str) -> str:
    """The list of layers with other names for the input and the result."""
    lines = text.splitlines()
    for number, line in enumerate(lines[2:], 2):
        kind, name, inputs, outputs, *rest = line.split()
        count = int(inputs) + int(outputs)
        values = [*(_NAMES.get(value, value) for value in rest[:count]), *rest[count:]]
        name = _NAMES.get(name, name)
        lines[number] = " ".join([f"{kind:<24} {name:<24}", inputs, outputs, *values])
    return "\n".join(lines) + "\n"


def _compare(network: nn.Module, card: Card, pair: NcnnPair, folder: Path) -> None:
    """Raise `WeightsError` unless the pair gives what the network gives."""
    model = folder / "again.onnx"
    try:
        write_graph(pair, model)
    except WeightsError as error:
        reason = str(error).replace(str(pair.param), "what pnnx made of it")
        raise WeightsError(f"{card.name}: cannot become a model of ncnn: {reason}") from error
    runs: dict[str, Callable[[Picture], NDArray[np.float32]]] = {"enlarge": Runner(model)}
    if find_spec("ncnn") is not None:
        from enlarge.engines.ncnn import NcnnEngine

        engine = NcnnEngine(pair.param, 0)
        runs[NCNN] = lambda image: engine.compute(np.ascontiguousarray(image[0]))[None]
    for image in _examples(card):
        with torch.inference_mode():
            wanted = network(torch.from_numpy(image)).numpy()
        for program, run in runs.items():
            got = run(image)
            same = got.shape == wanted.shape
            apart = float(np.abs(np.clip(got, 0, 1) - np.clip(wanted, 0, 1)).max()) if same else 1.0
            if not apart < _TOLERANCE:
                raise WeightsError(
                    f"{card.name}: what pnnx made of it differs in {program} from torch by "
                    f"{255 * apart:.2g} levels of 255; not written"
                )
