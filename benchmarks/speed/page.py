"""The recorded results as a Markdown page. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.record import measured_at
from benchmarks.speed.turns import quartiles, times_as_fast

TORCH, ORT_F32, ORT_INT8 = "torch eager f32", "ONNX Runtime f32", "ONNX Runtime int8"
OURS_F32 = "enlarge, f32"
STAGES = ("start", "decode", "compile", "compute", "encode", "rest", "wall")
TITLES = {
    "process": "One picture, from start to finish",
    "pairs": "Against an earlier commit",
    "models": "The models",
    "engines": "Engines",
    "sides": "By the side of the tile",
    "plans": "Tiles that are chosen automatically",
}


def page(result: Mapping[str, Any]) -> str:
    """The whole page. `result`: by cap on the instruction sets ("none": without), by section."""
    lines = [
        "# How fast is it?",
        "",
        "Measure your own machine with `enlarge benchmark` ([evaluate.md](evaluate.md)).",
        "",
        "Written by `python -m benchmarks.speed`, on an otherwise idle machine. What is compared",
        "was measured in turns; times are medians, ratios are medians of the ratios within a turn.",
        "",
    ]
    for section, title in TITLES.items():
        parts = {cap: found[section] for cap, found in result.items() if section in found}
        if not parts:
            continue
        lines += [f"## {title}", ""]
        for cap, found in parts.items():
            if len(parts) > 1 or cap != "none":
                lines += [f"### {_under(cap)}", ""]
            lines += [*_SECTIONS[section](found), ""]
            if cap != "none" and section in ("engines", "sides"):
                lines += [
                    "The cap holds for enlarge and torch; ONNX Runtime and ncnn have no such",
                    "setting, and use all that the processor has.",
                    "",
                ]
    return "\n".join(lines)


def _under(cap: str) -> str:
    return "With all of the processor" if cap == "none" else f"Capped at {cap}"


def _measured(found: Mapping[str, Any]) -> str:
    return f"Measured on {measured_at(found)}; {found['machine']}."


def _process(found: Mapping[str, Any]) -> list[str]:
    warm = found["warm"]
    return [
        "512 × 512 → 2048 × 2048 pixels, PNG to PNG, with `fast`; seconds of the first run ever,",
        f"and medians of {found['runs']} after it. {_measured(found)}",
        "",
        "| stage | first run | warm | share, warm |",
        "|---|--:|--:|--:|",
        *(
            f"| {stage} | {found['first run'].get(stage, 0.0):.2f} | {warm.get(stage, 0.0):.2f} "
            f"| {warm.get(stage, 0.0) / warm['wall']:.0%} |"
            for stage in STAGES
        ),
        "",
        "`start` loads Python, OpenVINO and libvips. `compile` reads the compiled network from",
        "the cache after the first run, as far as that outlasts opening the picture. `encode` is",
        "what remains of writing the PNG after the last tile. Peak memory: "
        f"{warm['peak MB']:.0f} MB.",
        "",
        *(f"- {name}: {value:.0f} ms" for name, value in found["starting"].items()),
    ]


def _pairs(found: Mapping[str, Any]) -> list[str]:
    return [
        f"The same picture, {found['pairs']} alternating pairs: {found['new']:.2f} s, at commit",
        f"{found['against']} {found['old']:.2f} s (medians); ratio {found['ratio']:.3f}, 95 %",
        f"interval {found['low']:.3f} to {found['high']:.3f}. {_measured(found)}",
    ]


def _models(found: Mapping[str, Any]) -> list[str]:
    return [
        "The sample photograph (512 × 769), enlarged by each model's own factor, from JPEG to PNG.",
        "Seconds; the better of two warm runs. `--ensemble` computes everything eight times.",
        _measured(found),
        "",
        "| model | kFLOP per output pixel | total | compute | peak memory |",
        "|---|--:|--:|--:|--:|",
        *(
            f"| {name}, ×{row['scale']:.0f} | {row['flops'] / 1e3:.0f} | {row['wall']:.1f} "
            f"| {row['compute']:.2f} | {row['peak MB']:.0f} MB |"
            for name, row in found["rows"].items()
        ),
    ]


def _engines(found: Mapping[str, Any]) -> list[str]:
    side, operations, seconds = found["side"], found["operations"], found["seconds"]
    lines = [
        f"`fast`, {side}² → {4 * side}² pixels, {operations / 1e9:.1f} GFLOP, the same weights in",
        "each engine, all cores; enlarge gets and gives 8-bit pixels, the others floats. Median of",
        f"{len(seconds[TORCH])} turns, with quartiles. **Bold**: what enlarge takes by default.",
        _measured(found),
        "",
    ]
    others = [name for name in (TORCH, ORT_F32) if name in seconds]
    lines += _table(
        ["", "ms", "quartiles", "GFLOP/s", *(f"times as fast as {name}" for name in others)],
        (
            [
                f"**{name}**" if name == found["default"] else name,
                f"{1000 * middle:.0f}",
                f"{1000 * low:.0f} to {1000 * high:.0f}",
                f"{operations / middle / 1e9:.0f}",
                *(f"{times_as_fast(seconds, name, other):.2f}" for other in others),
            ]
            for name, (low, middle, high) in _fastest_first(seconds)
        ),
    )
    rates = " and ".join(f"{rate / 1e9:.0f} in {name}" for name, rate in found["matmul"].items())
    lines += ["", f"For comparison, torch multiplies matrices of 2048² at {rates}, in GFLOP/s."]
    missing = [ORT_INT8] if ORT_INT8 not in seconds else []
    missing += ["ncnn"] if not any(name.startswith("ncnn") for name in seconds) else []
    if missing:
        lines += [f"Not measured, for lack of it: {', '.join(missing)}."]
    return lines


def _sides(found: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for model, told in found.items():
        default = told["default"]
        first = next(iter(told["seconds"].values()))
        ncnns = [name for name in first if name.startswith("ncnn")]
        names = list(dict.fromkeys([default, OURS_F32, *(n for n in (ORT_F32,) if n in first)]))
        lines += [
            f"`{model}`, milliseconds of a square tile; {default.removeprefix('enlarge, ')} is the",
            f"default here. {_measured(told)}",
            "",
        ]
        header = ["side", *names, *(["ncnn, its fastest"] if ncnns else [])]
        header += [f"{default} over {name}" for name in names if name == ORT_F32]
        header += [f"{default} over ncnn"] if ncnns else []
        rows = []
        for side, seconds in told["seconds"].items():
            row = [f"{side}²", *(_ms(seconds[name]) for name in names)]
            best = min(ncnns, key=lambda name: quartiles(seconds[name])[1]) if ncnns else ""
            if best:
                row.append(f"{_ms(seconds[best])} ({best.removeprefix('ncnn ')})")
            rivals = [name for name in names if name == ORT_F32] + ([best] if best else [])
            row += [f"{times_as_fast(seconds, default, name):.2f}×" for name in rivals]
            rows.append(row)
        lines += [*_table(header, rows), ""]
    return lines[:-1]


def _plans(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "Throughput on pictures of 20 random sizes, relative to that of the network alone on the",
        "same area. *Network alone*: one call on one tile of the plan's shape, in seconds per",
        "pixel. *Picture*: all tiles with their overlap, cut out, computed and joined in memory;",
        "timed on the first tiles of the plan, joined as in the whole picture.",
        "*Against 256²*: relative to calls on a tile of 256² instead.",
        "",
    ]
    rows = []
    for model, told in found.items():
        own = [row["share"] for row in told["rows"]]
        square = [row["share of square"] for row in told["rows"]]
        pixels = [1 / row["computed"] for row in told["rows"]]
        rows.append([
            f"{model}, {told['precision']}",
            *(f"{sum(values) / len(values):.2f}" for values in (own,)),
            f"{min(own):.2f}",
            f"{sum(square) / len(square):.2f}",
            f"{min(square):.2f}",
            f"{sum(pixels) / len(pixels):.2f}",
        ])  # fmt: skip
    lines += _table(
        ["", "mean", "worst", "mean against 256²", "worst", "mean if only overlap cost"], rows
    )
    for model, told in found.items():
        lines += ["", f"`{model}`: {_measured(told)}", ""]
        lines += _table(
            ["picture", "tiles", "seconds", "share", "against 256²", "if only overlap cost"],
            (
                [
                    f"{row['width']} × {row['height']}",
                    f"{row['tiles']} of {row['tile'][0]} × {row['tile'][1]}",
                    f"{row['seconds']:.1f}",
                    f"{row['share']:.2f}",
                    f"{row['share of square']:.2f}",
                    f"{1 / row['computed']:.2f}",
                ]
                for row in told["rows"]
            ),
        )
    return lines


def _ms(seconds: Sequence[float]) -> str:
    return f"{1000 * quartiles(seconds)[1]:.0f}"


def _fastest_first(
    seconds: Mapping[str, Sequence[float]],
) -> list[tuple[str, tuple[float, float, float]]]:
    found = [(name, quartiles(values)) for name, values in seconds.items()]
    return sorted(found, key=lambda item: item[1][1])


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table, whose first column is text."""
    return [
        f"| {' | '.join(header)} |",
        "|---|" + "--:|" * (len(header) - 1),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


_SECTIONS: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "process": _process,
    "pairs": _pairs,
    "models": _models,
    "engines": _engines,
    "sides": _sides,
    "plans": _plans,
}
