"""`enlarge benchmark`: how fast the models are on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from cyclopts import Parameter

from enlarge.cli.options import EngineWish, Quiet, Switch, Verbose, refuse_both, whole
from enlarge.errors import EngineError, OptionError

_Engine = Literal[EngineWish, "all"]
_Precision = Literal["f32", "bf16", "f16", "int8"]

if TYPE_CHECKING:
    from enlarge.engines import Placement
    from enlarge.metrics.speed import Machine, Speed
    from enlarge.weights.files import Weights


def benchmark(
    *,
    model: Annotated[
        list[str] | None, Parameter(metavar="MODEL...", consume_multiple=True, negative="")
    ] = None,
    sizes: Annotated[
        list[str] | None, Parameter(metavar="SIZE...", consume_multiple=True, negative="")
    ] = None,
    engine: Annotated[
        list[_Engine] | None,
        Parameter(
            metavar="auto|openvino|onnxruntime|torch|all...", consume_multiple=True, negative=""
        ),
    ] = None,
    device: Annotated[str, Parameter(metavar="NAME")] = "auto",
    precision: Annotated[
        list[_Precision] | None,
        Parameter(metavar="f32|bf16|f16|int8...", consume_multiple=True, negative=""),
    ] = None,
    threads: Annotated[int, Parameter(metavar="NUMBER", converter=whole(0))] = 0,
    json: Switch = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Measure speed, memory and start of models on this machine.

    Parameters
    ----------
    model
        Names or paths of model files (default: all that go by name).
    sizes
        Input sizes, a side (256) or a width and height (640x480); default: 256.
    engine
        What runs the networks, one or several; all: each that is installed (default: as for
        pictures).
    device
        cpu, cuda:0, mps, … (default: as for pictures).
    precision
        Default: all that the model and the device allow.
    threads
        Threads of the engine (default: all cores).
    json
        Print one JSON document.
    verbose
        Say the fastest call too.
    quiet
        Print the results without the description of the machine.

    """
    import json as js

    from enlarge.cli.console import say
    from enlarge.metrics.speed import SpeedCase, describe_machine, measure_speed, speed_document
    from enlarge.weights.catalog import find_weights, list_weights

    refuse_both(quiet, verbose)
    pairs = [_size(text) for text in sizes or ["256"]]
    chosen = [find_weights(name, quiet=quiet) for name in model] if model else list_weights()
    notes: list[str] = []
    wishes = list(dict.fromkeys(engine or ["auto"]))
    places = list(_places(chosen, wishes, device, notes))
    if not places:
        raise EngineError("nothing can be measured; " + "; ".join(notes))
    wished = list(precision or get_args(_Precision))
    computed = {kind for _, place in places if place.device == "cpu" for kind in place.precisions}
    peaks = [kind for kind in wished if kind in computed & {"f32", "bf16"}]
    machine = describe_machine(peaks, list(dict.fromkeys(p.engine for _, p in places)), threads)
    cases = [
        SpeedCase(weights, place.engine, place.device, kind, *size, threads)
        for weights, place in places
        for size in pairs
        for kind in wished
        if kind in place.precisions and (precision or kind in weights.card.precisions)
    ]
    if not cases:
        allowed = sorted({kind for _, place in places for kind in place.precisions})
        raise OptionError(
            f"nothing to measure in {' or '.join(wished)}; what runs here computes in: "
            f"{', '.join(allowed)}"
        )
    if not json and not quiet:
        say(_about(machine))
    found: list[Speed] = []
    for case in cases:
        try:
            speed = measure_speed(case, machine)
        except EngineError as error:
            if "all" not in wishes:
                raise
            notes.append(f"left out: {error}")
            continue
        found.append(speed)
        if not json:
            say((_HEAD + "\n" if len(found) == 1 else "") + _line(speed))
        if verbose and not json:
            say(f"  the fastest call took {speed.fastest * 1000:.1f} ms")
    if json:
        say(js.dumps(speed_document(machine, found), ensure_ascii=False, indent=2))
    if not quiet:
        for note in notes:
            say(note, sys.stderr)
    if not found:
        raise EngineError("nothing could be measured")


def _places(
    chosen: Sequence[Weights], wishes: Sequence[str], device: str, notes: list[str]
) -> Iterator[tuple[Weights, Placement]]:
    """Where each model is measured. Engines of `all` that cannot run here are noted instead."""
    from enlarge.engines import find_placement

    names = [name for name in get_args(EngineWish) if name != "auto"] if "all" in wishes else wishes
    for weights in chosen:
        seen: set[tuple[str, str]] = set()
        for name in names:
            try:
                place = find_placement(weights.path, weights.card, engine=name, device=device)
            except (EngineError, OptionError) as error:
                if "all" not in wishes:
                    raise
                notes += [] if (note := f"left out: {error}") in notes else [note]
                continue
            if (place.engine, place.device) not in seen:  # auto may be one of the others
                seen.add((place.engine, place.device))
                yield weights, place


_HEAD = (
    f"{'model':14} {'engine':12} {'precision':9} {'input':>11} {'latency':>9} {'output':>10} "
    f"{'cold':>7} {'warm':>7} {'memory':>8} {'of peak':>8}"
)


def _line(speed: Speed) -> str:
    from enlarge.memory import format_size

    share = f"{speed.share:.0%}" if speed.share else "–"
    engine = speed.engine if speed.device == "cpu" else f"{speed.engine} {speed.device}"
    return (
        f"{speed.model:14} {engine:12} {speed.precision:9} "
        f"{f'{speed.width}×{speed.height}':>11} {speed.latency * 1000:6.0f} ms "
        f"{speed.throughput:5.2f} MP/s {speed.cold:5.2f} s {speed.warm:5.2f} s "
        f"{format_size(speed.peak_memory):>8} {share:>8}"
    )


def _about(machine: Machine) -> str:
    from enlarge.memory import format_size

    peaks = ", ".join(f"{value / 1e9:.0f} GFLOP/s in {p}" for p, value in machine.matmul.items())
    measured = f"\nmeasured peak of a matrix product: {peaks}" if peaks else ""
    engines = "".join(f", {name} {version}" for name, version in machine.engines.items())
    return (
        f"{machine.processor}, {machine.cores} cores, {format_size(machine.memory)}, "
        f"{machine.system}, Python {machine.python}{engines}{measured}"
    )


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().replace("×", "x").split("x")
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or min(numbers) < 1:
        raise OptionError(f"--sizes takes a side (256) or WIDTHxHEIGHT (640x480), got {text!r}")
    return numbers[0], numbers[-1]
