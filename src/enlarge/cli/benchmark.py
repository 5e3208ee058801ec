"""`enlarge benchmark`: how fast the models are on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, get_args

from cyclopts import Parameter

from enlarge.cli.options import (
    EngineWish,
    Quiet,
    Switch,
    Verbose,
    refuse_both,
    whole,
)
from enlarge.errors import OptionError

_Precision = Literal["f32", "bf16", "f16", "int8"]

if TYPE_CHECKING:
    from enlarge.metrics.speed import Machine, Speed


def benchmark(
    *,
    model: Annotated[
        list[str] | None, Parameter(metavar="MODEL...", consume_multiple=True, negative="")
    ] = None,
    sizes: Annotated[
        list[str] | None, Parameter(metavar="SIZE...", consume_multiple=True, negative="")
    ] = None,
    engine: EngineWish = "auto",
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
        What runs the networks (default: as for pictures).
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

    from enlarge.cli import say
    from enlarge.engines import find_place
    from enlarge.metrics.speed import describe_machine, measure, to_document
    from enlarge.weights.catalog import find_weights, list_weights

    refuse_both(quiet, verbose)
    pairs = [_size(text) for text in sizes or ["256"]]
    chosen = [find_weights(name, quiet=quiet) for name in model] if model else list_weights()
    places = [find_place(w.path, w.card, engine=engine, device=device) for w in chosen]
    computed = {kind for place in places if place.device == "cpu" for kind in place.precisions}
    wished = precision or list(get_args(_Precision))
    machine = describe_machine([kind for kind in wished if kind in computed & {"f32", "bf16"}])
    if not json and not quiet:
        say(_about(machine))
    found: list[Speed] = []
    for weights, place in zip(chosen, places, strict=True):
        kinds = [kind for kind in wished if kind in place.precisions]
        for width, height in pairs:
            for kind in kinds:
                if precision or kind in weights.card.precisions:
                    speed = measure(weights, place, kind, width, height, machine, threads)
                    found.append(speed)
                    if not json:
                        say((_HEAD + "\n" if len(found) == 1 else "") + _line(speed))
                    if verbose and not json:
                        say(f"  the fastest call took {speed.fastest * 1000:.1f} ms")
    if not found:
        raise OptionError(f"nothing to measure: the device or the models do not allow {precision}")
    if json:
        say(js.dumps(to_document(machine, found), ensure_ascii=False, indent=2))


_HEAD = (
    f"{'model':14} {'precision':9} {'input':>11} {'latency':>9} {'output':>10} {'cold':>7} "
    f"{'warm':>7} {'memory':>8} {'of peak':>8}"
)


def _line(speed: Speed) -> str:
    from enlarge.memory import format_size

    share = f"{speed.share:.0%}" if speed.share else "–"
    return (
        f"{speed.model:14} {speed.precision:9} {f'{speed.width}×{speed.height}':>11} "
        f"{speed.latency * 1000:6.0f} ms {speed.throughput:5.2f} MP/s {speed.cold:5.2f} s "
        f"{speed.warm:5.2f} s {format_size(speed.peak_memory):>8} {share:>8}"
    )


def _about(machine: Machine) -> str:
    from enlarge.memory import format_size

    peaks = ", ".join(f"{value / 1e9:.0f} GFLOP/s in {p}" for p, value in machine.matmul.items())
    measured = f"\nmeasured peak of a matrix product: {peaks}" if peaks else ""
    return (
        f"{machine.processor}, {machine.cores} cores, {format_size(machine.memory)}, "
        f"{machine.system}, Python {machine.python}, OpenVINO {machine.openvino}{measured}"
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
