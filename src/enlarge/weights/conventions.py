"""ONNX files of other programs whose numbers mean something else: found by running them, and
converted.

A network that enlarges gives back the picture that it got. So the conventions are those under which
its result, reduced, is closest to a generated picture: values in 0–1, 0–255 or −1–1 (results also
0–65535), RGB or BGR, and the values of further inputs (a factor, a level of noise). Types, layout
and fixed sizes are in the file.

    plain_file(path, folder)   → the file itself, or one in `folder` that takes and returns
                                 (1, 3, H, W), float32, RGB in [0, 1]; and a note on what differs
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import WeightsError
from enlarge.luma import LUMA
from enlarge.weights.measuring import natural_picture
from enlarge.weights.onnx_ports import ImagePort, candidates, find_image, map_axes, narrowed
from enlarge.weights.runner import Runner

Span = tuple[float, float]
"""The values that stand for 0 and 1."""
_PLAIN: Span = (0.0, 1.0)
_LEVELS: Span = (0.0, 255.0)
_IN: tuple[Span, ...] = (_PLAIN, _LEVELS, (-1.0, 1.0))
_OUT: tuple[Span, ...] = (*_IN, (0.0, 65535.0))
_WHOLE: dict[str, Span] = {"u8": _LEVELS, "u16": (0.0, 65535.0)}
_SIDES = (64, 96, 168, 240)
"""Of the picture, tried in this order, for networks that want multiples."""
_CLOSE = 0.05
"""Another convention is taken if the picture comes back this closely, as a mean difference."""
_BETTER = 0.03
"""And the difference without it is at least twice as large, plus this. Red and blue of the picture
differ by 0.06.
"""
_GRAY, _TIMES = 0.01, 20
"""Where the picture comes back from 0–1 and from 0–255, the latter is taken if 0–1 turns gray into
another gray, by this much, and so many times further off.
"""
_SAME = 0.01
"""Of values for further inputs, the likeliest is taken that is at most this much worse than the
best.
"""
_INSTALL = 'pip install "enlarge[onnx]"'


@dataclass(frozen=True)
class Convention:
    """What a network's numbers mean.

    `image`: the input. `sides`: the height and width that are fixed, 0 where they are free. Of the
    output: its number, type, whether channels come last (`last`) and an axis for the batch comes
    first (`batched`), and whether BGR comes out for RGB (`swapped`). `values`: what further inputs
    get, each with the axes that are the picture's, if it has some.
    """

    image: ImagePort
    sides: tuple[int, int]
    span_in: Span = _PLAIN
    span_out: Span = _PLAIN
    output: int = 0
    typed: str = "f32"
    last: bool = False
    batched: bool = True
    swapped: bool = False
    values: tuple[tuple[str, float, tuple[int, int] | None], ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether engines run it as it is; they convert float16 themselves."""
        image = replace(self.image, name="", dims=(), kind="")
        floats = {self.image.kind, self.typed} <= {"f32", "f16"}
        usual = Convention(ImagePort("", "", (), 3, False, 1), self.sides, typed=self.typed)
        return floats and self.sides == self.image.sides and replace(self, image=image) == usual

    def __str__(self) -> str:
        takes = [_named(self.span_in), str(self.image)]
        gives = [_named(self.span_out)] + ["channels last"] * self.last + ["BGR"] * self.swapped
        said = f"takes {self.image.kind}, {', '.join(filter(None, takes))}; returns "
        said += ", ".join(gives)
        if self.values:
            said += "; with " + ", ".join(f"{name} = {value:g}" for name, value, _ in self.values)
        return said + ("; at any size" if self.sides != self.image.sides else "")


def _named(span: Span) -> str:
    return f"{span[0]:g} to {span[1]:g}"


def plain_file(path: Path, folder: Path) -> tuple[Path, str]:
    """See above. Raises `WeightsError` if the network takes no picture, or turns every one black or
    white, or the file must be converted and the package onnx is missing.
    """
    run = Runner(path)
    found = _found(path, run)
    if found is None or found.is_plain:
        return path, ""
    try:
        import onnx
    except ImportError as error:
        raise WeightsError(f"{path}: {found}; converting it needs onnx: {_INSTALL}") from error
    from enlarge.weights.onnx_wrapping import wrap

    model = onnx.load(path)
    wrap(model, found)
    target = folder / f"{path.stem}.onnx"
    onnx.save(model, target)
    return target, str(found)


def _found(path: Path, run: Runner) -> Convention | None:
    """The graph's convention; None if it does not run."""
    image, others = find_image(path, run.graph)
    wishes = [candidates(run.graph, name) for name in others]
    for name, values in zip(others, wishes, strict=True):
        if not values or len(others) > 3:
            shape = run.graph.input(name).get_partial_shape()
            raise WeightsError(
                f"{path}: takes the picture {image.name} and further inputs, {', '.join(others)}; "
                f"enlarge does not know what to give for {name}, {shape}; export it without"
            )
    best: _Found | None = None
    for values in product(*wishes):
        given = dict(zip(others, values, strict=True))
        found = _measured(path, run, image, given)
        if found is not None and (best is None or found.error < best.error - _SAME):
            best = found
    if others and best is None:
        raise WeightsError(
            f"{path}: does not enlarge the picture {image.name}, whatever its further inputs, "
            f"{', '.join(others)}, are; export it without them"
        )
    if best is None:
        return None
    axes = [(name, value, map_axes(run.graph, name)) for name, value in best.values.items()]
    return replace(best.convention, values=tuple(axes))


@dataclass(frozen=True)
class _Found:
    """A convention, the mean difference of the picture that comes back, and the further values."""

    convention: Convention
    error: float
    values: Mapping[str, float]


def _measured(
    path: Path, run: Runner, image: ImagePort, values: Mapping[str, float]
) -> _Found | None:
    """The best convention with these values of the further inputs; None if it does not run."""
    height, width = image.sides
    square = height or width
    for side in (0,) if height and width else (square,) if square else _SIDES:
        sides = (height or side, width or side)
        picture = natural_picture(max(sides))[:, :, : sides[0], : sides[1]]
        for output in range(len(run.graph.outputs)):
            trial = run
            if values or len(run.graph.outputs) > 1:
                trial = Runner(path, graph=narrowed(run.graph, values, output, sides))
            free = Convention(image, (square and sides[0], square and sides[1]), output=output)
            if (found := _best(path, trial, free, picture)) is not None:
                convention, error = found
                if height and width and height != width and _is_free(trial, convention):
                    convention = replace(convention, sides=(0, 0))
                return _Found(convention, error, values)
    return None


def _best(
    path: Path, run: Runner, usual: Convention, picture: NDArray[Any]
) -> tuple[Convention, float] | None:
    """The convention under which the picture comes back, and its mean difference."""
    image = usual.image
    usual = replace(usual, typed=run.graph.outputs[0].get_element_type().get_type_name())
    seen = (
        picture
        if image.channels == 3
        else np.tensordot(np.array(LUMA, np.float32), picture[0], 1)[None, None]
    )
    errors: dict[Convention, float] = {}
    plain: NDArray[Any] | None = None
    for span in (_WHOLE[image.kind],) if image.kind in _WHOLE else _IN:
        raw = seen[:, ::-1] if image.is_bgr else seen
        raw = raw * (span[1] - span[0]) + span[0]
        raw = np.rint(raw) if image.kind in _WHOLE else raw
        try:
            result = run.raw(image.laid_out(raw))
        except WeightsError:
            return None
        if result.ndim not in (3, 4) or not np.isfinite(result).all():
            continue
        batched = result.ndim == 4
        result = result[:1] if batched else result[None]
        last = result.shape[3] == image.channels and result.shape[1] != image.channels
        result = result.transpose(0, 3, 1, 2) if last else result
        if result.shape[1] != image.channels:
            return None
        plain = result if plain is None else plain
        orders = (image.is_bgr, not image.is_bgr)[: 2 if image.channels == 3 else 1]
        for out, swapped in product(_OUT, orders):
            convention = replace(
                usual, span_in=span, span_out=out, last=last, batched=batched, swapped=swapped
            )
            errors[convention] = _error(seen, (result - out[0]) / (out[1] - out[0]), swapped)
    if plain is None:
        return None
    best = min(errors, key=lambda convention: errors[convention])
    usual = next(iter(errors))  # the first span, a result in 0–1, the order of the input
    if errors[best] > _CLOSE or errors[best] > (errors[usual] - _BETTER) / 2:
        best = usual
    levels = replace(usual, span_in=_LEVELS, span_out=_LEVELS)
    if best == usual and errors.get(levels, np.inf) <= _CLOSE:
        off = _off_gray(run, usual, seen)
        if off > max(_GRAY, _TIMES * _off_gray(run, levels, seen)):
            best = levels
    if best == usual:
        _check_not_blank(path, plain)
    return best, errors[best]


def _off_gray(run: Runner, convention: Convention, picture: NDArray[Any]) -> float:
    """How far the median of the result for gray, of the picture's shape, is from that gray. A
    network that adds what it computes to the enlarged picture gives any picture back closely, but
    gray only from the values that it was trained on.
    """
    low, high = convention.span_in
    gray = np.full_like(picture, low + 0.5 * (high - low))
    result = run.raw(convention.image.laid_out(gray))
    low, high = convention.span_out
    return abs(float((np.median(result) - low) / (high - low)) - 0.5)


def _error(picture: NDArray[Any], result: NDArray[Any], swapped: bool) -> float:
    """The mean difference of the reduced result from the picture."""
    _, channels, height, width = picture.shape
    if result.shape[2] % height or result.shape[3] % width or result.shape[2] < height:
        return np.inf
    down, across = result.shape[2] // height, result.shape[3] // width
    if down != across:
        return np.inf
    small = result.reshape(channels, height, down, width, across).mean((2, 4))
    return float(np.abs((small[::-1] if swapped else small) - picture[0]).mean())


def _is_free(run: Runner, convention: Convention) -> bool:
    """Whether a graph for one size computes the same at another one: it was only written down for
    one.
    """
    image = convention.image
    height, width = image.sides
    picture = natural_picture(max(height, width) + 32)[:, : image.channels]
    try:
        small, large = (
            run.raw(image.laid_out(picture[:, :, : height + more, : width + more]))
            for more in (0, 32)
        )
    except WeightsError:
        return False
    axes = (-3, -2) if convention.last else (-2, -1)
    if large.ndim != small.ndim or any(
        large.shape[axis] * side != small.shape[axis] * (side + 32)
        for axis, side in zip(axes, (height, width), strict=True)
    ):
        return False
    inner = [slice(None)] * small.ndim
    for axis in axes:
        inner[axis] = slice(small.shape[axis] // 2)
    first, second = small[tuple(inner)], large[tuple(inner)]
    reach = float(np.abs(first).max()) or 1.0
    return bool(np.abs(first - second).mean() < 1e-3 * reach)


def _check_not_blank(path: Path, result: NDArray[Any]) -> None:
    """Raise `WeightsError` if a picture in [0, 1] became nothing but black, or white."""
    for is_blank, name in (((result >= 1.0), "white"), ((result <= 0.0), "black")):
        if is_blank.mean() > 0.99:
            raise WeightsError(
                f"{path}: turns every picture {name}: it returns values from {result.min():.3g} to "
                f"{result.max():.3g} for a picture in 0 to 1, and neither 0 to 1, 0 to 255 nor -1 "
                "to 1 fits; export it so that it takes and returns 0 to 1"
            )
