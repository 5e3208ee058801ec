"""Networks of other projects, through spandrel (https://github.com/chaiNNer-org/spandrel), where it
is installed.

spandrel states of each network its factor, its channels, the least side of its input and what
divides it, and converts the range of those that do not take [0, 1]. What this module adds: networks
of one channel run on luma; networks that draw random numbers draw the same ones every time; and
spandrel is imported without torchvision, which pins one version of torch.
"""

from __future__ import annotations

import copy
import importlib
import math
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from enlarge.card import SPANDREL, Card
from enlarge.engines.protocol import FOREIGN_ERRORS, first_line
from enlarge.errors import WeightsError
from enlarge.luma import LUMA
from enlarge.version import __version__

INSTALL = "pip install --no-deps spandrel einops"
"""spandrel and what it needs beside the extra `torch`; without `--no-deps` torchvision comes along,
and replaces torch.
"""
_TRIED = 32
"""The side of the picture on which a network is tried, where its needs allow that."""
_STEP = 16
"""Windows and strides of most networks divide it; spandrel does not tell them."""

Call = Callable[[nn.Module, Tensor], Tensor]


class SpandrelNetwork(nn.Module):
    """A network of spandrel's with the interface of `enlarge.networks`.

    (1, 3, H, W) → (1, 3, sH, sW), RGB in [0, 1], not clamped. H and W are multiples of `multiple`,
    and at least `minimum`. `call` runs `inner`, and converts range and channels where needed.
    """

    margin = None

    def __init__(
        self, inner: nn.Module, *, scale: int, multiple: int, minimum: int, call: Call
    ) -> None:
        super().__init__()
        self.inner, self.scale, self.call = inner, scale, call
        self.multiple, self.minimum = multiple, minimum

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102 - stands at the module
        return self.call(self.inner, image.clone())  # some change it in place


def through_spandrel(checkpoint: Mapping[str, Any], name: str) -> tuple[nn.Module, Card] | None:
    """The checkpoint's network and card through spandrel.

    None if spandrel is not installed, or does not know the network either. Raises `WeightsError`
    (without the file's name) if the network does not enlarge or restore pictures, and one of
    `FOREIGN_ERRORS` if spandrel cannot build it.
    """
    try:
        spandrel = import_spandrel()
    except Exception:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(checkpoint))
    except spandrel.UnsupportedModelError:
        return None
    kind = model.architecture.name
    if not isinstance(model, spandrel.ImageModelDescriptor):
        raise WeightsError(
            f"is a {kind} network, which fills in what a mask marks, and does not enlarge pictures"
        )
    needs = model.size_requirements
    has_one_size = needs.square or kind == "GFPGAN"  # which spandrel states as a minimum
    network = SpandrelNetwork(
        model.model.float().eval().requires_grad_(requires_grad=False),
        scale=model.scale,
        multiple=1 if has_one_size else needs.multiple_of,
        minimum=needs.minimum,
        call=_call_of(model, kind),
    ).eval()
    fixed = max(needs.minimum, needs.multiple_of) if has_one_size else 0
    try:
        flops = _try(network, fixed)
    except FOREIGN_ERRORS as error:
        raise WeightsError(
            f"its {kind} network, as spandrel builds it, does not run on a picture; its "
            f"width may not suit its heads or windows ({first_line(error)})"
        ) from error
    card = Card(
        name=name,
        network=SPANDREL + kind,
        options={"purpose": model.purpose, "tags": ", ".join(model.tags)},
        scale=model.scale,
        margin=None,
        halo=0,
        multiple=network.multiple,
        minimum=network.minimum,
        step=_STEP,
        fixed=fixed,
        parameters=sum(p.numel() for p in network.inner.parameters()),
        flops=flops,
        version=__version__,
    )
    return network, card


def _call_of(model: Any, kind: str) -> Call:
    """What runs a descriptor's network on RGB in [0, 1]. Raises `WeightsError` for other channels
    than one or three.
    """
    call: Call = model._call_fn  # converts the range of networks that take another one
    match model.input_channels, model.output_channels:
        case 3, 3:
            return call
        case 1, 1:
            return lambda inner, image: on_luma(image, model.scale, lambda y: call(inner, y))
    raise WeightsError(
        f"is a {kind} network of {model.input_channels} channels in and {model.output_channels} "
        "out; expected RGB, 3 in and 3 out, or gray, 1 in and 1 out"
    )


def on_luma(image: Tensor, scale: int, enlarge: Callable[[Tensor], Tensor]) -> Tensor:
    """(1, 3, H, W) → (1, 3, sH, sW), RGB in [0, 1]: luma through `enlarge`, (1, 1, H, W) → (1, 1,
    sH, sW), clamped, and chroma by bicubic interpolation.
    """
    weights = image.new_tensor(LUMA).view(1, 3, 1, 1)
    colours = image
    if scale > 1:
        colours = F.interpolate(image, scale_factor=float(scale), mode="bicubic")
    luma = enlarge((image * weights).sum(1, keepdim=True)).clamp(0.0, 1.0)
    return colours + luma - (colours * weights).sum(1, keepdim=True)


def _try(network: SpandrelNetwork, fixed: int) -> float:
    """Floating-point operations per output pixel, counted on a small picture, since other projects'
    networks may not run on the meta device. A network that draws random numbers is made to draw
    the same ones in every call.
    """
    least = fixed or max(_TRIED, network.minimum)
    side = math.ceil(least / network.multiple) * network.multiple
    tried = copy.deepcopy(network)
    image = torch.full((1, 3, side, side), 0.5)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            first = tried(image)
        if not torch.equal(first, tried(image)):
            network.call = _seeded(network.call)
    return float(counter.get_total_flops()) / (side * network.scale) ** 2


def _seeded(call: Call) -> Call:
    def seeded(inner: nn.Module, image: Tensor) -> Tensor:
        with torch.random.fork_rng(devices=[image.device] if image.is_cuda else []):
            torch.manual_seed(0)
            return call(inner, image)

    return seeded


# Importing it: two of its forty architectures take one function each from torchvision, and all are
# imported with each.

_FUNCTIONS = "torchvision.transforms.functional"
_IMPORTING = threading.Lock()


def is_installed() -> bool:
    """Whether spandrel is there and can be imported."""
    try:
        import_spandrel()
    except Exception:
        return False
    return True


def import_spandrel() -> Any:
    """The module spandrel, imported without warnings.

    Where torchvision is not installed, or was built for another version of torch, what spandrel
    takes from it stands in for it meanwhile, and is taken away again: nothing else sees that.
    Raises `ImportError` where spandrel is not installed, or what the import raises.
    """
    if find_spec("spandrel") is None:
        raise ImportError("spandrel is not installed")
    with _IMPORTING, warnings.catch_warnings(), _torchvision():
        warnings.simplefilter("ignore")
        return importlib.import_module("spandrel")


class _InterpolationMode(Enum):
    NEAREST, BILINEAR, BICUBIC = "nearest", "bilinear", "bicubic"


@contextmanager
def _torchvision() -> Iterator[None]:
    if "spandrel" in sys.modules or _has_torchvision():
        yield
        return
    for name in [name for name in sys.modules if name.startswith("spandrel.")]:
        del sys.modules[name]  # what an import without torchvision left behind
    names = ("torchvision", "torchvision.transforms", _FUNCTIONS)
    for name in names:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None, is_package=name != _FUNCTIONS)
        module.__path__ = []
        sys.modules[name] = module
    functions: Any = sys.modules[_FUNCTIONS]
    functions.InterpolationMode = _InterpolationMode
    functions.normalize, functions.rotate = _normalized, _rotated
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def _has_torchvision() -> bool:
    """Whether it works here. What an import that fails leaves behind is removed."""
    before = set(sys.modules)
    try:
        importlib.import_module(_FUNCTIONS)
    except Exception:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "torchvision":
                del sys.modules[name]
        return False
    return True


def _normalized(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """As torchvision's `normalize`: (…, C, H, W), (image − mean) / std by channel."""
    middle, spread = (image.new_tensor(values).view(-1, 1, 1) for values in (mean, std))
    return (image - middle) / spread


def _rotated(*arguments: Any, **options: Any) -> Any:
    """For LaMa alone, which fills in masked parts and is refused."""
    raise NotImplementedError("this network needs torchvision, which is not installed")
