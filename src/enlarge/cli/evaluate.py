"""`enlarge evaluate --model … --data …`: how good models are, beside bicubic and Lanczos."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from enlarge.cli.options import (
    EngineWish,
    PrecisionWish,
    Quiet,
    Switch,
    Verbose,
    check_report,
    refuse_both,
    whole,
)
from enlarge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from enlarge.metrics.evaluation import Result, Watch
    from enlarge.metrics.methods import Method
    from enlarge.metrics.pairs import DataSet
    from enlarge.metrics.perceptual import Perceptual
    from enlarge.metrics.protocol import Protocol
    from enlarge.metrics.score_cache import ImageScore
    from enlarge.picture.hooks import ProgressCallback

_WHAT = Group("Models and data")
_PROTOCOL = Group("Protocol")
_OUTPUT = Group("Output")
_MOST_SHOWN = 20


def evaluate(
    *,
    data: Annotated[
        list[str],
        Parameter(group=_WHAT, metavar="FOLDER|CSV...", consume_multiple=True, negative=""),
    ],
    model: Annotated[
        list[str] | None,
        Parameter(group=_WHAT, metavar="MODEL...", consume_multiple=True, negative=""),
    ] = None,
    scale: Annotated[int | None, Parameter(group=_WHAT, metavar="1-16", converter=whole(1))] = None,
    engine: Annotated[EngineWish, Parameter(group=_WHAT)] = "auto",
    device: Annotated[str, Parameter(group=_WHAT, metavar="NAME")] = "auto",
    precision: Annotated[PrecisionWish, Parameter(group=_WHAT)] = "auto",
    ensemble: Annotated[bool, Parameter(group=_WHAT, negative="")] = False,
    colour: Annotated[Literal["y", "full-y", "rgb"], Parameter(group=_PROTOCOL)] = "y",
    border: Annotated[
        int | None, Parameter(group=_PROTOCOL, metavar="PIXELS", converter=whole(0))
    ] = None,
    modcrop: Annotated[bool, Parameter(group=_PROTOCOL, negative="")] = False,
    perceptual: Annotated[Path | None, Parameter(group=_PROTOCOL, metavar="FOLDER|FILE")] = None,
    save: Annotated[Path | None, Parameter(group=_OUTPUT, metavar="FOLDER")] = None,
    cache: Annotated[Path | None, Parameter(group=_OUTPUT, metavar="FILE")] = None,
    report: Annotated[Path | None, Parameter(group=_OUTPUT, metavar="FILE")] = None,
    json: Switch = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Judge models by PSNR and SSIM on pictures whose originals are known.

    Parameters
    ----------
    data
        Folders with HR/ and LR/, DIV2K's folders, csv files with LR,HR, or originals alone.
    model
        Names (see `enlarge models`) or paths of model files; bicubic and Lanczos stand beside.
    scale
        Which LR pictures, where there are several; or the factor of those that are made by
        MATLAB's bicubic, where there are originals alone.
    engine
        What runs the network.
    device
        cpu, cuda:0, mps, … (default: a GPU where an engine is installed for it, else the CPU).
    precision
        auto: bf16 or f16 where the device and the model allow it, else f32.
    ensemble
        Judge each model also as the mean over the eight flips and rotations, as NAME+.
    colour
        y: Y of BT.601, 16 to 235, as the field reports it. full-y: the same, 0 to 255. rgb.
    border
        Pixels left out on each side (default: as many as the factor).
    modcrop
        Crop originals whose sides are not the factor times those of the LR picture.
    perceptual
        LPIPS and DISTS as well, with torchvision's weights of AlexNet or VGG16 that lie there (such
        as ~/.cache/torch/hub/checkpoints); needs enlarge[metrics].
    save
        Keep the enlarged pictures there, and the scores, so that a next run goes on.
    cache
        Keep the scores in this file, so that a next run goes on.
    report
        Write a report too: .json, or .html with charts and the worst pictures.
    json
        Print one JSON document.
    verbose
        List every picture.
    quiet
        Print the means only.

    """
    import json as js

    from enlarge.cli.console import say
    from enlarge.metrics import open_perceptual
    from enlarge.metrics.evaluation import evaluation_document
    from enlarge.metrics.pairs import find_set
    from enlarge.metrics.protocol import Protocol
    from enlarge.report import PERCEPTUAL

    refuse_both(quiet, verbose)
    check_report(report)
    protocol = Protocol(colour, border, modcrop)
    sets = _told_apart({path: find_set(path, scale, modcrop=modcrop) for path in data})
    if cache is None and save is not None:
        cache = save / ".enlarge" / "scores.jsonl"
    judge = None if perceptual is None else open_perceptual(perceptual)
    methods = {
        factor: _methods(model or [], factor, (engine, device, precision), ensemble, quiet=quiet)
        for factor in dict.fromkeys(found.factor for found in sets)
    }
    results = _judge(methods, sets, protocol, judge, cache, save, not quiet and not json)
    document = evaluation_document(protocol, results, judge)
    if report is not None:
        _write_report(report, document, methods, sets, results)
    if json:
        say(js.dumps(document, ensure_ascii=False, indent=2))
        return
    names = ["PSNR in dB", "SSIM", *(PERCEPTUAL[name] for name in (judge.names if judge else ()))]
    say(f"{' / '.join(names)}; {document['protocol']['text']}")
    for found in sets:
        most = 0 if quiet else len(found.pairs) if verbose else _MOST_SHOWN
        say("\n" + _table([r for r in results if r.data == found.name], most))


def _told_apart(found: dict[str, DataSet]) -> list[DataSet]:
    """The sets, by the paths that they were given by; each once, and those of equal names called by
    their paths below the common folder, if need be numbered.
    """
    from dataclasses import replace

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
    """The JSON, or the page, with the pictures on which the first model is worst."""
    import json

    from enlarge.metrics.worst import worst_crops
    from enlarge.report import evaluation_page

    if report.suffix.lower() == ".json":
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    else:
        factor, (_, _, first, *_) = next(iter(methods.items()))
        alike = [found for found in sets if found.factor == factor]
        text = evaluation_page(document, worst_crops(first, alike, results))
    try:
        # A name that is no UTF-8 is shown by its bytes.
        report.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise OutputError(f"{report}: cannot be written: {error.strerror or error}") from error


def _judge(
    methods: dict[int, list[Method]],
    sets: Sequence[DataSet],
    protocol: Protocol,
    judge: Perceptual | None,
    cache: Path | None,
    save: Path | None,
    shown: bool,
) -> list[Result]:
    from enlarge.cli.progress import bar
    from enlarge.metrics.evaluation import evaluate
    from enlarge.metrics.score_cache import ScoreCache

    scores = ScoreCache(cache)
    total = sum(len(found.pairs) * len(methods[found.factor]) for found in sets)
    results: list[Result] = []
    with bar("evaluate", shown=shown) as watcher:
        before = 0
        for found in sets:
            chosen = methods[found.factor]
            watch = _counting(watcher, before, total, [method.name for method in chosen])
            results += evaluate(
                chosen, found, protocol, perceptual=judge, cache=scores, save=save, watch=watch
            )
            before += len(found.pairs) * len(chosen)
    return results


def _counting(
    watcher: ProgressCallback | None, before: int, total: int, names: Sequence[str]
) -> Watch | None:
    """A watch over one data set that moves the bar of the whole run."""
    if watcher is None:
        return None
    import numpy as np

    from enlarge.picture.hooks import Progress

    def watch(method: str, data: str, done: int, pictures: int) -> None:
        now = before + names.index(method) * pictures + done
        if now:
            watcher(Progress(now, total, 0, 0, np.empty(0), True))

    return watch


def _methods(
    models: Sequence[str],
    factor: int,
    wish: tuple[str, str, str],
    ensemble: bool,
    *,
    quiet: bool,
) -> list[Method]:
    """Bicubic, Lanczos and the models, each under a name of its own. `wish`: the engine, the device
    and the precision.
    """
    from enlarge.metrics.methods import bicubic_method, lanczos_method, model_method
    from enlarge.weights.catalog import DEFAULT, find_weights

    engine, device, precision = wish
    found = [find_weights(model, factor, quiet=quiet) for model in models or [DEFAULT]]
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
            engine=engine,
            device=device,
            precision=precision,
            ensemble=together,
        )
        for path, name in zip(paths, names, strict=True)
        for together in ([False, True] if ensemble else [False])
    ]


def _table(results: Sequence[Result], most: int) -> str:
    """A data set's means, and its first `most` pictures."""
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
    if most:
        pictures: list[tuple[str, ...]] = [("picture", *(result.model for result in results))]
        for images in list(zip(*(result.images for result in results), strict=True))[:most]:
            pictures.append((images[0].name, *(_scores(image) for image in images)))
        text += "\n\n" + _aligned(pictures)
        if len(first.images) > most:
            text += f"\n… and {len(first.images) - most} more; --verbose lists them"
    return text


def _scores(image: ImageScore) -> str:
    from enlarge.metrics.fidelity import format_psnr

    values = (f"{value:.4f}" for value in (image.ssim, *image.perceptual.values()))
    return " / ".join([format_psnr(image.psnr), *values])


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns, the first to the left and the others to the right."""
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
