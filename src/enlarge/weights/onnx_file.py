"""A network as an ONNX file, which describes itself by a card."""

from __future__ import annotations

import io
import logging
import shutil
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript import optimizer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.onnx import OnnxExporterError

from enlarge.card import KEY, Card
from enlarge.engines.protocol import FOREIGN_ERRORS
from enlarge.errors import WeightsError
from enlarge.weights.measuring import check_finite, natural_picture
from enlarge.weights.network_file import replacing
from enlarge.weights.runner import Runner

_OPSET = 18
_TOLERANCE = 1e-4
_FOLDED = 32
"""The largest constant, in elements, that folding may create. Attention masks stay computed, and
position biases stay tables.
"""
_RANDOM = ("Random", "Bernoulli", "Multinomial", "Dropout")
"""Beginnings of the names of operators whose results differ from call to call."""
_LEAST = 64
"""Constants of fewer elements are not worth storing as fp16."""


def export_onnx(
    network: nn.Module, card: Card, path: Path, *, half: bool = False, traced: bool = False
) -> Runner:
    """Write the network as ONNX with its card. The file appears after it was compared with torch.
    Returns its graph, ready to run.

    The input `image` is (1, 3, H, W), float32 in [0, 1]; H and W are symbolic, multiples of the
    card's `multiple`, or fixed to the card's `fixed`. The output `enlarged` is not clamped. `half`
    stores constants as fp16 where that is exact.

    `traced` uses torch's older exporter, which records the operations on one picture. It copes with
    code that changes its own parameters while it runs, at which the newer one crashes. Networks
    with window attention, which have no margin, are traced too, since the newer one takes minutes
    for their symbolic sizes.

    Raises `WeightsError` if the network cannot be exported, or ONNX and torch differ by more than
    1e-4.
    """
    network = network.eval()
    old = traced or card.margin is None
    model = _tidied((_traced if old else _exported)(network, card), card)
    if half:
        _store_as_half(model)
    with replacing(path) as temporary:
        onnx.save(model, temporary)
        run = Runner(temporary)
        _verify(network, run, path.name, _examples(card))
    return run


def _examples(card: Card) -> list[Tensor]:
    """Pictures, (1, 3, H, W), which differ in both sides if these are free. The first is the one
    that is recorded. The second has a size at which more is measured, and compiling takes long.
    """
    if card.fixed:
        return [torch.from_numpy(natural_picture(card.fixed, seed)) for seed in (0, 1)]
    cell = card.multiple
    most = -(-max(48, card.minimum) // cell)
    sizes = [(most, 2 * most - 1), (2 * most, 2 * most)] if most > 1 else [(1, 3), (2, 2)]
    if card.is_from_spandrel:  # they pad inside, which is recorded only where they do
        sizes = [(most | 1, 2 * most - 1), sizes[1], (most + 3, most)]
    image = torch.from_numpy(natural_picture(max(max(size) for size in sizes) * cell))
    return [image[:, :, : rows * cell, : columns * cell] for rows, columns in sizes]


@contextmanager
def _silenced() -> Iterator[None]:
    """Suppress torch's deprecation warnings, its notes on optional packages, and the thousands of
    lines that its older exporter prints on standard output about a network that it cannot convert
    (2.13 always enables that log).
    """
    logger = logging.getLogger("torch.onnx")
    level, log = logger.level, getattr(torch._C, "_jit_onnx_log", None)
    logger.setLevel(logging.ERROR)
    if log is not None:
        torch._C._jit_onnx_log = lambda *_: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        if log is not None:
            torch._C._jit_onnx_log = log


def _exported(network: nn.Module, card: Card) -> onnx.ModelProto:
    rows, columns = torch.export.Dim("rows"), torch.export.Dim("columns")
    sides = {2: rows, 3: columns}
    if card.multiple > 1:
        sides = {2: card.multiple * rows, 3: card.multiple * columns}
    try:
        with _silenced():
            program = torch.onnx.export(
                network,
                (_examples(card)[0],),
                dynamo=True,
                dynamic_shapes=None if card.fixed else (sides,),
                input_names=["image"],
                output_names=["enlarged"],
                opset_version=_OPSET,
                optimize=False,
                verbose=False,
            )
            assert program is not None
            optimizer.optimize_ir(program.model, input_size_limit=_FOLDED)
            return program.model_proto
    except OnnxExporterError as error:
        raise _no_export(card, error) from error


def _traced(network: nn.Module, card: Card) -> onnx.ModelProto:
    file = io.BytesIO()
    free = {"image": {2: "height", 3: "width"}, "enlarged": {2: "rows", 3: "columns"}}
    try:
        with _silenced(), _recordable():
            torch.onnx.export(
                network,
                (_examples(card)[0],),
                file,  # type: ignore[arg-type]
                dynamo=False,
                dynamic_axes=None if card.fixed else free,
                input_names=["image"],
                output_names=["enlarged"],
                opset_version=_OPSET,
                do_constant_folding=False,  # biases of attention would be stored by pairs of pixels
            )
    except FOREIGN_ERRORS as error:
        raise _no_export(card, error) from error
    model = onnx.load_model_from_string(file.getvalue())
    _allow_empty(model)
    return model if _has_subgraphs(model) else _briefly_named(_without_duplicates(model))


@contextmanager
def _recordable() -> Iterator[None]:
    """Let a trace record what other projects' networks compute from sizes: adaptive pooling, which
    ONNX lacks, as pooling where the sides are divided by a whole number; tensors of sizes as sizes,
    not as constants. That this holds at other sizes is seen when the graph is compared.
    """
    adaptive, make = F.adaptive_max_pool2d, torch.tensor

    def tensor(data: Any, *, dtype: Any = None, device: Any = None, **options: Any) -> Any:
        if isinstance(data, list | tuple) and any(isinstance(value, Tensor) for value in data):
            stacked = torch.stack([torch.as_tensor(value) for value in data])
            return stacked.to(dtype=dtype, device=device)
        return make(data, dtype=dtype, device=device, **options)

    def pool(x: Tensor, size: Any, *options: Any) -> Any:
        before = [int(side) for side in x.shape[2:]]  # a trace would record the division
        after = [int(side) for side in size] if isinstance(size, list | tuple) else [0, 0]
        factors = [old // new if new else 0 for old, new in zip(before, after, strict=True)]
        if options or [f * new for f, new in zip(factors, after, strict=True)] != before:
            return adaptive(x, size, *options)
        return F.max_pool2d(x, factors)

    F.adaptive_max_pool2d, torch.tensor = pool, tensor  # type: ignore[assignment]
    try:
        yield
    finally:
        F.adaptive_max_pool2d, torch.tensor = adaptive, make


def _allow_empty(model: onnx.ModelProto) -> None:
    """Let a computed shape contain 0, for an empty part of a picture. In a constant shape (as in
    group norm) 0 means that the side is kept.
    """
    written = {
        name for node in model.graph.node if node.op_type == "Constant" for name in node.output
    }
    written |= {constant.name for constant in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Reshape" and node.input[1] not in written:
            others = [one for one in node.attribute if one.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend([*others, helper.make_attribute("allowzero", 1)])


def _without_duplicates(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each value computed once. A trace repeats constants, sizes and masks in every
    layer; without that, half of the nodes of a network with attention are left to compile.
    """
    graph = model.graph
    returned = {value.name for value in graph.output}
    first: dict[Any, onnx.NodeProto] = {}
    same: dict[str, str] = {}
    kept = []
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
        attributes = sorted(one.SerializeToString(deterministic=True) for one in node.attribute)
        key = (node.domain, node.op_type, *node.input, *attributes, len(node.output))
        earlier = first.setdefault(key, node)
        random = node.op_type.startswith(_RANDOM)
        if earlier is node or random or not returned.isdisjoint(node.output):
            kept.append(node)
        else:
            same.update(zip(node.output, earlier.output, strict=True))
    del graph.node[:]
    graph.node.extend(kept)
    return model


def _has_subgraphs(model: onnx.ModelProto) -> bool:
    graphs = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    return any(one.type in graphs for node in model.graph.node for one in node.attribute)


def _briefly_named(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with numbers as names of computed values: the names of thousands of nodes take half
    a megabyte.
    """
    graph = model.graph
    kept = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    made = [name for node in graph.node for name in node.output if name and name not in kept]
    brief = {name: f"v{number}" for number, name in enumerate(made)}
    for node in graph.node:
        node.name = ""
        for names in (node.input, node.output):
            names[:] = [brief.get(name, name) for name in names]
    return model


def _no_export(card: Card, error: Exception) -> WeightsError:
    reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
    return WeightsError(f"{card.name} cannot be exported to ONNX: {reason}")


def _tidied(model: onnx.ModelProto, card: Card) -> onnx.ModelProto:
    """The model without the exporter's notes, with names for the free sides, and with the card."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    for value in (*values, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.value_info[:]
    sides = ("height", "width")
    for axis, side in enumerate(sides, start=2):
        (image,), (enlarged,) = model.graph.input, model.graph.output
        if image.type.tensor_type.shape.dim[axis].dim_param:
            image.type.tensor_type.shape.dim[axis].dim_param = side
            enlarged.type.tensor_type.shape.dim[axis].dim_param = f"enlarged_{side}"
    del model.metadata_props[:], model.graph.metadata_props[:]
    model.metadata_props.add(key=KEY, value=card.to_json())
    return model


def _store_as_half(model: onnx.ModelProto) -> None:
    """Store constants as fp16, followed by a cast to float32, where that is exact."""
    casts = []
    for constant in model.graph.initializer:
        if constant.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(constant)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if values.size < _LEAST or not np.array_equal(halves.astype(np.float32), values):
            continue
        name, stored = constant.name, f"{constant.name}.f16"
        constant.CopyFrom(numpy_helper.from_array(halves, stored))
        node = helper.make_node("Cast", [stored], [name], f"{name}.f32", to=TensorProto.FLOAT)
        casts.append(node)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _verify(network: nn.Module, run: Runner, name: str, examples: Iterable[Tensor]) -> None:
    for example in examples:
        with torch.inference_mode():
            wanted = network(example).numpy()
        check_finite(name, wanted)
        got = run(example.numpy())
        worst = float(np.abs(got - wanted).max()) if got.shape == wanted.shape else np.inf
        if not worst <= _TOLERANCE * max(1.0, float(np.abs(wanted).max())):
            raise WeightsError(
                f"{name}: the exported network differs from torch by {worst:.2g}; not written"
            )


def with_card(model: Path, card: Card) -> None:
    """Replace the card in an ONNX file, atomically. Raises `WeightsError`."""
    proto = onnx.load(model)
    del proto.metadata_props[:]
    proto.metadata_props.add(key=KEY, value=card.to_json())
    with replacing(model) as temporary:
        onnx.save(proto, temporary)


def fix_sides(model: Path, card: Card) -> None:
    """Fix the free sides of an ONNX file, in place, to the card's `fixed`."""
    proto = onnx.load(model)
    for value, side in (
        (proto.graph.input[0], card.fixed),
        (proto.graph.output[0], card.fixed * card.scale),
    ):
        for axis in (2, 3):
            value.type.tensor_type.shape.dim[axis].dim_value = side
    onnx.save(proto, model)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file atomically. Raises `WeightsError` if the target cannot be written."""
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
