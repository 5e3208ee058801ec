"""`enlarge evaluate --model … --data …`: how good models are, beside bicubic and Lanczos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from enlarge.cli.options import PROTOCOL, VERBOSE, check_report, option, refuse_both, whole
from enlarge.cli.parameters import FLAT, PerceptualWeights
from enlarge.settings import EngineName, Precision

if TYPE_CHECKING:
    from enlarge.metrics.evaluation import Result, Watch
    from enlarge.metrics.methods import Method
    from enlarge.metrics.pairs import DataSet
    from enlarge.metrics.perceptual import Perceptual
    from enlarge.metrics.protocol import Protocol
    from enlarge.metrics.score_cache import ImageScore
    from enlarge.picture.hooks import ProgressCallback

_WHAT, _OUTPUT = "Models and data", "Output"
_MAX_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """The options of `enlarge evaluate`."""

    data: Annotated[
        list[str],
        option(
            "Folders with HR/ and LR/, DIV2K's folders, CSV files with LR,HR, or originals alone.",
            group=_WHAT,
            metavar="FOLDER|CSV...",
            consume_multiple=True,
        ),
    ]
    model: Annotated[
        list[str] | None,
        option(
            "Names (see `enlarge models`) or paths of model files (default: fast); bicubic and "
            "Lanczos are always evaluated too.",
            group=_WHAT,
            metavar="MODEL...",
            consume_multiple=True,
        ),
    ] = None
    scale: Annotated[
        int | None,
        option(
            "Factor of the LR pictures to use, if there are several; with originals alone, of "
            "those that are made from them by MATLAB's bicubic.",
            group=_WHAT,
            metavar="1-16",
            converter=whole(1),
        ),
    ] = None
    engine: Annotated[EngineName, option("Engine that runs the network.", group=_WHAT)] = "auto"
    device: Annotated[
        str,
        option(
            "cpu, cuda:0, mps, ... (default: a GPU for which an engine is installed, else the "
            "CPU).",
            group=_WHAT,
            metavar="NAME",
        ),
    ] = "auto"
    precision: Annotated[
        Precision,
        option(
            "Precision of the computation. auto, the default: int8, bf16 or f16 where the device "
            "and the model allow it, else f32.",
            group=_WHAT,
        ),
    ] = "auto"
    ensemble: Annotated[
        bool,
        option(
            "Evaluate each model a second time, as NAME+, with the results of the eight flips and "
            "rotations averaged.",
            group=_WHAT,
        ),
    ] = False
    colour: Annotated[
        Literal["y", "full-y", "rgb"],
        option(
            "Measure in Y of BT.601, 16 to 235, as in the literature (y, the default), or 0 to 255 "
            "(full-y), or in RGB.",
            group=PROTOCOL,
        ),
    ] = "y"
    border: Annotated[
        int | None,
        option(
            "Leave out this many pixels on each side (default: the factor).",
            group=PROTOCOL,
            metavar="PIXELS",
            converter=whole(0),
        ),
    ] = None
    modcrop: Annotated[
        bool,
        option(
            "Crop originals whose sides are not the factor times those of their LR picture.",
            group=PROTOCOL,
        ),
    ] = False
    perceptual: PerceptualWeights = None
    save: Annotated[
        Path | None,
        option(
            "Save the enlarged pictures to this folder, and the scores, so that the next run "
            "resumes.",
            group=_OUTPUT,
            metavar="FOLDER",
        ),
    ] = None
    cache: Annotated[
        Path | None,
        option(
            "Save the scores to this file, so that the next run resumes.",
            group=_OUTPUT,
            metavar="FILE",
        ),
    ] = None
    report: Annotated[
        Path | None,
        option(
            "Write a report: .json, or .html with charts and the worst pictures.",
            group=_OUTPUT,
            metavar="FILE",
        ),
    ] = None
    json: Annotated[bool, option("Print one JSON document.")] = False
    verbose: Annotated[bool, option("List every picture.", name=VERBOSE)] = False
    quiet: Annotated[bool, option("Print the means only.")] = False


def evaluate(*, options: Annotated[EvaluateOptions, FLAT]) -> None:
    """Measure PSNR and SSIM of models on pictures whose originals are known."""
    from enlarge.cli.console import json_text, say
    from enlarge.metrics import open_perceptual
    from enlarge.metrics.evaluation import evaluation_document
    from enlarge.metrics.pairs import find_set
    from enlarge.metrics.protocol import Protocol

    refuse_both(options.quiet, options.verbose)
    check_report(options.report)
    protocol = Protocol(options.colour, options.border, options.modcrop)
    sets = _with_unique_names(
        {path: find_set(path, options.scale, modcrop=options.modcrop) for path in options.data}
    )
    judge = None if options.perceptual is None else open_perceptual(options.perceptual)
    methods = {
        factor: _methods(factor, options)
        for factor in dict.fromkeys(found.factor for found in sets)
    }
    results = _evaluate_all(methods, sets, protocol, judge, options)
    document = evaluation_document(protocol, results, judge)
    if options.report is not None:
        _write_report(options.report, document, methods, sets, results)
    if options.json:
        say(json_text(document))
    else:
        _print(sets, results, document["protocol"]["text"], judge, options)


def _print(
    sets: Sequence[DataSet],
    results: Sequence[Result],
    protocol: str,
    judge: Perceptual | None,
    options: EvaluateOptions,
) -> None:
    """Print a table for each data set."""
    from enlarge.cli.console import say
    from enlarge.report import PERCEPTUAL

    names = ["PSNR in dB", "SSIM", *(PERCEPTUAL[name] for name in (judge.names if judge else ()))]
    say(f"{' / '.join(names)}; {protocol}")
    for found in sets:
        listed = 0 if options.quiet else len(found.pairs) if options.verbose else _MAX_LISTED
        say("\n" + _table([r for r in results if r.data == found.name], listed))


def _with_unique_names(found: dict[str, DataSet]) -> list[DataSet]:
    """The sets by the paths that were given: each once, with unique names.

    Sets of equal names are called by their paths below the common folder, if necessary numbered.
    """
    known: dict[tuple[object, ...], tuple[Path, DataSet]] = {}
    for text, data in found.items():
        pictures = ((p.high.resolve(), p.low and p.low.resolve()) for p in data.pairs)
        known.setdefault((data.factor, *pictures), (Path(text).resolve(), data))
    names = [data.name for _, data in known.values()]
    sets = []
    for path, data in known.values():
        alike = [other for other, same in known.values() if same.name == data.name]
        below = path.relative_to(os.path.commonpath([*alike, *(p.parent for p in alike)]))
        longer = below.as_posix().removesuffix(".csv")
        sets.append(replace(data, name=longer) if names.count(data.name) > 1 else data)
    names = [data.name for data in sets]
    return [
        replace(data, name=f"{data.name}-{number}") if names.count(data.name) > 1 else data
        for number, data in enumerate(sets, 1)
    ]


def _write_report(
    report: Path,
    document: dict[str, Any],
    methods: dict[int, list[Method]],
    sets: Sequence[DataSet],
    results: Sequence[Result],
) -> None:
    """Write the JSON, or the page with the pictures on which the first model is worst."""
    from enlarge.cli.reports import write_report
    from enlarge.metrics.worst import worst_crops
    from enlarge.report import evaluation_page

    def page() -> str:
        factor, (_, _, first, *_) = next(iter(methods.items()))
        alike = [found for found in sets if found.factor == factor]
        return evaluation_page(document, worst_crops(first, alike, results))

    write_report(report, document, page)


def _evaluate_all(
    methods: dict[int, list[Method]],
    sets: Sequence[DataSet],
    protocol: Protocol,
    judge: Perceptual | None,
    options: EvaluateOptions,
) -> list[Result]:
    """Evaluate the methods of each factor on its data sets, with one progress bar."""
    from enlarge.cli.progress import bar
    from enlarge.metrics.evaluation import evaluate
    from enlarge.metrics.score_cache import ScoreCache

    save, cache = options.save, options.cache
    if cache is None and save is not None:
        cache = save / ".enlarge" / "scores.jsonl"
    scores = ScoreCache(cache)
    total = sum(len(found.pairs) * len(methods[found.factor]) for found in sets)
    results: list[Result] = []
    with bar("evaluate", shown=not options.quiet and not options.json) as progress:
        before = 0
        for found in sets:
            chosen = methods[found.factor]
            watch = _counting(progress, before, total, [method.name for method in chosen])
            results += evaluate(
                chosen, found, protocol, perceptual=judge, cache=scores, save=save, watch=watch
            )
            before += len(found.pairs) * len(chosen)
    return results


def _counting(
    progress: ProgressCallback | None, before: int, total: int, names: Sequence[str]
) -> Watch | None:
    """A callback for one data set that moves the progress bar of the whole run."""
    if progress is None:
        return None
    import numpy as np

    from enlarge.picture.hooks import Progress

    def watch(method: str, data: str, done: int, pictures: int) -> None:
        now = before + names.index(method) * pictures + done
        if now:
            progress(Progress(now, total, 0, 0, np.empty(0), True))

    return watch


def _methods(factor: int, options: EvaluateOptions) -> list[Method]:
    """Bicubic, Lanczos and the models, with unique names."""
    from enlarge.metrics.methods import bicubic_method, lanczos_method, model_method
    from enlarge.weights.catalog import CLEAN, find_weights

    models = options.model or [CLEAN]
    found = [find_weights(model, factor, quiet=options.quiet) for model in models]
    paths = list(dict.fromkeys(weights.path.resolve() for weights in found))
    by_path = {weights.path.resolve(): weights for weights in found}
    stems = ["bicubic", "lanczos", *(path.stem for path in paths)]
    longer = [f"{path.parent.name}/{path.stem}" for path in paths]
    names = []
    for path, long in zip(paths, longer, strict=True):
        short = path.stem if stems.count(path.stem) == 1 else long
        names.append(short if longer.count(long) == 1 else str(path).strip("/"))
    return [bicubic_method(), lanczos_method()] + [
        model_method(
            by_path[path],
            name=name,
            engine=options.engine,
            device=options.device,
            precision=options.precision,
            ensemble=together,
        )
        for path, name in zip(paths, names, strict=True)
        for together in ([False, True] if options.ensemble else [False])
    ]


def _table(results: Sequence[Result], listed: int) -> str:
    """A data set's means, and the scores of its first `listed` pictures."""
    from enlarge.memory import format_size
    from enlarge.metrics.fidelity import format_psnr
    from enlarge.report import PERCEPTUAL

    first = results[0]
    shown = (
        first.data if first.data.endswith(f"x{first.factor}") else f"{first.data} ×{first.factor}"
    )
    others = [PERCEPTUAL[name] for name in first.perceptual]
    rows: list[tuple[str, ...]]
    rows = [(shown, "PSNR", "SSIM", *others, "seconds", "peak memory")]
    for result in results:
        name = f"{result.model} ({result.precision})" if result.precision else result.model
        memory = format_size(result.peak_memory) if result.peak_memory else "–"
        values = [f"{value:.4f}" for value in (result.ssim, *result.perceptual.values())]
        rows.append((name, format_psnr(result.psnr), *values, f"{result.seconds:.2f}", memory))
    text = _aligned(rows)
    if listed:
        pictures: list[tuple[str, ...]] = [("picture", *(result.model for result in results))]
        for images in list(zip(*(result.images for result in results), strict=True))[:listed]:
            pictures.append((images[0].name, *(_scores(image) for image in images)))
        text += "\n\n" + _aligned(pictures)
        if len(first.images) > listed:
            text += f"\n… and {len(first.images) - listed} more; --verbose lists them"
    return text


def _scores(image: ImageScore) -> str:
    from enlarge.metrics.fidelity import format_psnr

    values = (f"{value:.4f}" for value in (image.ssim, *image.perceptual.values()))
    return " / ".join([format_psnr(image.psnr), *values])


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as aligned columns: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    )
