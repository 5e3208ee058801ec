"""`enlarge benchmark`: how fast the models are on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from enlarge.cli.options import VERBOSE, option, refuse_both, whole
from enlarge.cli.parameters import FLAT
from enlarge.errors import EngineError, OptionError
from enlarge.settings import EngineName

_Engine = Literal[EngineName, "all"]
_Precision = Literal["f32", "bf16", "f16", "int8"]

if TYPE_CHECKING:
    from enlarge.engines import Placement
    from enlarge.metrics.speed import Machine, Speed, SpeedCase
    from enlarge.model_file import Weights


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """The options of `enlarge benchmark`."""

    model: Annotated[
        list[str] | None,
        option(
            "Measure these models: names or paths (default: all that have a name).",
            metavar="MODEL...",
            consume_multiple=True,
        ),
    ] = None
    sizes: Annotated[
        list[str] | None,
        option(
            "Input sizes: a side (256) or a width and height (640x480); default: 256.",
            metavar="SIZE...",
            consume_multiple=True,
        ),
    ] = None
    engine: Annotated[
        list[_Engine] | None,
        option(
            "Engines to measure; all: every one that is installed (default: the one that enlarge "
            "would use).",
            metavar="auto|openvino|onnxruntime|torch|ncnn|all...",
            consume_multiple=True,
        ),
    ] = None
    device: Annotated[
        str,
        option("cpu, cuda:0, mps, ... (default: the one that enlarge would use).", metavar="NAME"),
    ] = "auto"
    precision: Annotated[
        list[_Precision] | None,
        option(
            "Precisions to measure (default: all that the model and the device allow).",
            metavar="f32|bf16|f16|int8...",
            consume_multiple=True,
        ),
    ] = None
    threads: Annotated[
        int,
        option("Number of threads (default: one per core).", metavar="NUMBER", converter=whole(0)),
    ] = 0
    json: Annotated[bool, option("Print one JSON document.")] = False
    verbose: Annotated[bool, option("Print the fastest call too.", name=VERBOSE)] = False
    quiet: Annotated[bool, option("Print the results without the description of the machine.")] = (
        False
    )


_DEFAULTS = BenchmarkOptions()


def benchmark(*, options: Annotated[BenchmarkOptions, FLAT] = _DEFAULTS) -> None:
    """Measure the speed, memory and start-up time of models on this machine."""
    import json

    from enlarge.cli.console import say
    from enlarge.metrics.speed import describe_machine, speed_document
    from enlarge.weights.catalog import find_weights, list_weights

    refuse_both(options.quiet, options.verbose)
    sizes = [_size(text) for text in options.sizes or ["256"]]
    chosen = [find_weights(name, quiet=options.quiet) for name in options.model or ()]
    chosen = chosen or list_weights()
    notes: list[str] = []
    placements = list(_placements(chosen, options, notes))
    if not placements:
        raise EngineError("nothing can be measured; " + "; ".join(notes))
    cases = list(_cases(placements, sizes, options))
    notes += _left_out(placements, options)
    used = list(dict.fromkeys(placement.engine for _, placement in placements))
    machine = describe_machine(_peaks(placements, options), used, options.threads)
    if not options.json and not options.quiet:
        say(_about(machine))
    found = list(_measure(cases, machine, options, notes))
    if options.json:
        say(json.dumps(speed_document(machine, found), ensure_ascii=False, indent=2))
    if not options.quiet:
        for note in notes:
            say(note, sys.stderr)
    if not found:
        raise EngineError("nothing could be measured")


def _peaks(placements: Sequence[tuple[Weights, Placement]], options: BenchmarkOptions) -> list[str]:
    """The precisions at which the machine's own peak is measured: those of the models on a CPU."""
    computed = {
        precision
        for _, placement in placements
        if placement.device == "cpu"
        for precision in placement.precisions
    }
    wanted = options.precision or get_args(_Precision)
    return [precision for precision in wanted if precision in computed & {"f32", "bf16"}]


def _cases(
    placements: Sequence[tuple[Weights, Placement]],
    sizes: Sequence[tuple[int, int]],
    options: BenchmarkOptions,
) -> Iterator[SpeedCase]:
    """Every model at every size and precision. Raises `OptionError` if there is none."""
    from enlarge.metrics.speed import SpeedCase

    wanted = options.precision or get_args(_Precision)
    any_case = False
    for weights, placement in placements:
        place = (placement.engine, placement.device)
        for size in sizes:
            for precision in wanted:
                allowed = options.precision or precision in weights.precisions
                if precision in placement.precisions and allowed:
                    any_case = True
                    yield SpeedCase(weights, *place, precision, *size, options.threads)
    if not any_case:
        there = sorted({kind for _, placement in placements for kind in placement.precisions})
        raise OptionError(
            f"nothing to measure in {' or '.join(wanted)}; what runs here computes in: "
            f"{', '.join(there)}"
        )


def _left_out(
    placements: Sequence[tuple[Weights, Placement]], options: BenchmarkOptions
) -> Iterator[str]:
    """A note on the precisions that were asked for and that an engine does not have here."""
    there = {(place.engine, place.device): place.precisions for _, place in placements}
    for (engine, device), precisions in there.items():
        missing = [name for name in options.precision or () if name not in precisions]
        if missing:
            yield f"left out: {engine} on {device} does not compute in {' or '.join(missing)}"


def _measure(
    cases: Sequence[SpeedCase], machine: Machine, options: BenchmarkOptions, notes: list[str]
) -> Iterator[Speed]:
    """Measure the cases and print each. Failures of `--engine all` are noted instead."""
    from enlarge.cli.console import say
    from enlarge.metrics.speed import measure_speed

    is_first = True
    for case in cases:
        try:
            speed = measure_speed(case, machine)
        except EngineError as error:
            if "all" not in (options.engine or ()):
                raise
            notes.append(f"left out: {error}")
            continue
        if not options.json:
            say((_HEAD + "\n" if is_first else "") + _line(speed))
        if options.verbose and not options.json:
            say(f"  the fastest call took {speed.fastest * 1000:.1f} ms")
        is_first = False
        yield speed


def _placements(
    chosen: Sequence[Weights], options: BenchmarkOptions, notes: list[str]
) -> Iterator[tuple[Weights, Placement]]:
    """Where each model is measured. Engines of `all` that cannot run here are noted instead."""
    from enlarge.engines import EngineOptions, find_placement

    names: list[str] = list(dict.fromkeys(options.engine or ["auto"]))
    is_all = "all" in names
    if is_all:
        names = [name for name in get_args(EngineName) if name != "auto"]
    for weights in chosen:
        seen: set[tuple[str, str]] = set()
        for name in names:
            try:
                placement = find_placement(weights, EngineOptions(name, options.device))
            except (EngineError, OptionError) as error:
                if not is_all:
                    raise
                notes += [] if (note := f"left out: {error}") in notes else [note]
                continue
            place = (placement.engine, placement.device)
            if place not in seen:  # auto may be one of the others
                seen.add(place)
                yield weights, placement


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
