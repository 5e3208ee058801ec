"""Post-training quantisation: an ONNX file whose convolutions are computed in 8-bit integers.

NNCF runs the network on pictures, records the range of each convolution's input, and inserts
QuantizeLinear and DequantizeLinear there (ONNX's "QDQ" form): one range per tensor for activations,
one per channel for weights. OpenVINO and ONNX Runtime compute in integers between them. Weights
take 7 bits: processors without VNNI add pairs of products in 16 bits, where 8 would saturate. Other
operators stay float, and so do the first convolution, whose input is the picture, and the last,
whose output is pixels: they are a small part of the work, and would cost most of the accuracy
(docs/int8.md).

Pictures are (1, 3, H, W), float32, RGB in [0, 1].
"""

from __future__ import annotations

import io
import logging
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from enlarge.card import Card
from enlarge.errors import OptionError, WeightsError
from enlarge.weights.measuring import to_decibels
from enlarge.weights.runner import Picture, Runner

LEAST, GOOD = 40.0, 48.0
"""PSNR to f32 in dB below which no file is written, and below which there is a warning."""
_LEAST_CONVOLUTIONS = 3


def check_can_quantize(card: Card) -> None:
    """Raise `OptionError` for a network with attention."""
    if card.margin is None:
        raise OptionError(
            f"{card.name}: --precision int8 is for convolutional networks; this one, "
            f"{card.network}, has attention or an unbounded receptive field, so most of its work "
            "would stay float. Export it in f32 or f16"
        )


def quantize_onnx(source: Path, target: Path, pictures: Sequence[Picture]) -> None:
    """Write the network of `source` (float32 constants) with its convolutions in 8 bits.

    Raises `WeightsError` if there is nothing to quantise, or NNCF fails or is missing.
    """
    import onnx

    nncf = need_nncf()
    model = onnx.load(source)
    for number, node in enumerate(model.graph.node):  # those of traced networks have none
        node.name = node.name or f"node_{number}"
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    if len(convolutions) < _LEAST_CONVOLUTIONS:
        raise WeightsError(
            f"{target.stem}: int8 needs at least {_LEAST_CONVOLUTIONS} convolutions, since the "
            f"first and the last stay float; this network has {len(convolutions)}"
        )
    float_still = nncf.IgnoredScope(
        names=[convolutions[0], convolutions[-1]],
        types=sorted({node.op_type for node in model.graph.node} - {"Conv"}),
        validate=False,
    )
    data = nncf.Dataset(list(pictures), lambda picture: {"image": picture})
    try:
        with _silenced():
            quantized = nncf.quantize(
                model,
                data,
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(pictures),
                ignored_scope=float_still,
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=nncf.OverflowFix.ENABLE
                ),
            )
    except Exception as error:  # NNCF, ONNX and ONNX Runtime raise many kinds
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise WeightsError(f"{target.stem}: NNCF cannot quantise it: {reason}") from error
    _make_unsigned(quantized)
    onnx.save(quantized, target)


def agreement(exact: Path, quantized: Path, pictures: Sequence[Picture]) -> float:
    """PSNR in dB between the results of the quantised and the float file, both clamped to [0, 1]
    and computed by OpenVINO, over all values of all pictures.
    """
    first, second = Runner(exact), Runner(quantized)
    total = count = 0.0
    for picture in pictures:
        fine, coarse = (np.clip(run(picture), 0.0, 1.0) for run in (first, second))
        if not np.isfinite(coarse).all():
            return -math.inf
        total += float(np.square(fine.astype(np.float64) - coarse).sum())
        count += fine.size
    return to_decibels(total / count)


def check_agreement(name: str, decibels: float) -> None:
    """Raise `WeightsError` below `LEAST`, warn below `GOOD`."""
    if decibels < LEAST:
        raise WeightsError(
            f"{name}: in int8 its results are within only {decibels:.1f} dB of those in f32, "
            f"expected at least {LEAST:.0f}; not written. Calibrate on more pictures of the kind "
            "that will be enlarged, or export in f16"
        )
    if decibels < GOOD:
        warnings.warn(
            f"{name}: in int8 its results are within {decibels:.1f} dB of those in f32; the "
            f"difference is invisible from {GOOD:.0f} dB",
            RuntimeWarning,
            stacklevel=3,
        )


def to_pictures(crops: Sequence[Any]) -> list[Picture]:
    """uint8 h×w×3 → pictures."""
    return [
        np.ascontiguousarray((crop.astype(np.float32) / 255.0).transpose(2, 0, 1)[None])
        for crop in crops
    ]


def need_nncf() -> Any:
    """Import NNCF. Raises `WeightsError` with the install command if it is missing.

    NNCF sends usage statistics to Google Analytics unless NNCF_CI is set while it is imported.
    """
    before = os.environ.get("NNCF_CI")
    os.environ["NNCF_CI"] = "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import nncf
    except ImportError as error:
        raise WeightsError(
            f'--precision int8 needs {error.name}; install it: pip install "enlarge[int8]"'
        ) from error
    finally:
        if before is None:
            del os.environ["NNCF_CI"]
        else:
            os.environ["NNCF_CI"] = before
    return nncf


@contextmanager
def _silenced() -> Iterator[None]:
    """Suppress NNCF's progress bars and messages."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _make_unsigned(model: Any) -> None:
    """Turn 8-bit activations from signed to unsigned by adding 128 to their zero points, which
    changes no value. OpenVINO 2026.4 computes signed ones in an ONNX file wrongly (30 dB instead of
    51).
    """
    from onnx import numpy_helper

    del model.graph.value_info[:]  # it declares them as signed
    constants = {constant.name: constant for constant in model.graph.initializer}
    activations = (node for node in model.graph.node if node.op_type == "QuantizeLinear")
    for name in {node.input[2] for node in activations}:
        point = numpy_helper.to_array(constants[name])
        if point.dtype == np.int8:
            moved = (point.astype(np.int16) + 128).astype(np.uint8)
            constants[name].CopyFrom(numpy_helper.from_array(moved, name))
