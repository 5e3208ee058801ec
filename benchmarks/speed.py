"""Seconds, measured side by side on an otherwise idle machine: `python -m benchmarks.speed`.

Writes benchmarks/speed.json and docs/speed.md. Everything in one run, so that ratios hold: the
command from the shell to the file, every bundled model, and the default one in this package's
engine against what others use on a CPU (torch, ONNX Runtime, ncnn), each from the same weights.
ncnn and pnnx are optional. `python -m benchmarks.speed models` measures the bundled models only.
What the processor does not compute in is left out. `--try`: one model, nothing is written.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
import torch

import enlarge
from benchmarks.record import RESULTS, measured_at, stamp, write
from enlarge.engines import EngineOptions, TileSpec, pick_engine
from enlarge.engines.openvino import has_bf16
from enlarge.weights.catalog import find_weights
from enlarge.weights.network_file import load_network

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "samples" / "photo.jpg"
SIDE = 256


def median_ms(run: Callable[[], Any], times: int) -> float:
    """Median milliseconds of a call, after three that warm up."""
    seconds = []
    for i in range(times + 3):
        begun = time.perf_counter()
        run()
        if i >= 3:
            seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds) * 1000


def command(source: Path, target: Path, cache: Path, *options: str) -> dict[str, float]:
    """One run of the command: seconds from the shell to the file, and by stage."""
    environment = {**os.environ, "ENLARGE_CACHE": str(cache)}
    line = [
        sys.executable,
        "-m",
        "enlarge",
        str(source),
        "-o",
        str(target),
        "--overwrite",
        "--json",
        *options,
    ]
    begun = time.perf_counter()
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - begun
    (result,) = json.loads(done.stdout)["results"]
    stages: dict[str, float] = result["stages"]
    return {
        "wall": wall,
        "start": wall - result["seconds"],
        **stages,
        "rest": result["seconds"] - sum(stages.values()),
        "peak MB": result["peak_memory"] / 1e6,
    }


def precisions() -> tuple[str, ...]:
    """f32, and bf16 where this processor computes in it."""
    return ("f32", "bf16") if has_bf16() else ("f32",)


def whole_process(*, times: int = 7) -> dict[str, dict[str, float]]:
    """512 × 512 → 2048 × 2048 PNG: the first run ever (nothing compiled), and the median of 7."""
    sample = pyvips.Image.new_from_file(str(ROOT / "samples" / "photo.jpg"))
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / "in.png", Path(name) / "out.png"
        sample.crop(0, 100, 512, 512).pngsave(str(source), keep=0)
        first = command(source, target, Path(name) / "cache")
        runs = [command(source, target, Path(name) / "cache") for _ in range(times)]
    warm = {key: statistics.median(run.get(key, 0.0) for run in runs) for key in first}
    return {"first run": first, "warm, median of 7": warm}


def engines(times: int) -> dict[str, float]:
    """Milliseconds for 256² → 1024² of the bundled model, by what runs it.

    Ours includes the conversion from and to 8-bit pixels; the others get and give floats.
    """
    weights = find_weights("fast")
    network, _ = load_network(weights.path.with_suffix(".safetensors"))
    tile = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    batch = torch.from_numpy(tile).permute(2, 0, 1)[None].float() / 255
    found: dict[str, float] = {}
    kind = np.dtype(np.uint8)
    for precision in (*precisions(), *(("int8",) if weights.int8 else ())):
        engine = pick_engine(weights, EngineOptions(precision=precision))
        session = engine.session(TileSpec(SIDE, SIDE, 3, kind, kind))
        run = partial(session, tile)
        found[f"enlarge (OpenVINO) {precision}, 8 bits in and out"] = median_ms(run, times)
    with torch.inference_mode():
        wanted = network(batch)[0].numpy()
        found["torch eager f32"] = median_ms(lambda: network(batch), times)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        batch = batch.to(memory_format=torch.channels_last)
        found["torch channels-last f32"] = median_ms(lambda: network(batch), times)
        if has_bf16():
            with torch.autocast("cpu", torch.bfloat16):
                found["torch channels-last bf16"] = median_ms(lambda: network(batch), times)
    found |= onnx_runtime(weights.path, np.ascontiguousarray(batch.numpy()), times)
    found |= ncnn(weights.path, tile, wanted, times)
    return found


def onnx_runtime(model: Path, batch: np.ndarray, times: int) -> dict[str, float]:
    """ONNX Runtime's CPU provider, where it is installed."""
    try:
        import onnxruntime
    except ImportError:
        return {}
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return {"ONNX Runtime f32": median_ms(lambda: session.run(None, {"image": batch}), times)}


def _nearest_skip(param: str) -> str:
    """Pnnx takes the repeated colours of the skip for one colour: put ncnn's own nearest
    enlargement in their place, added behind the pixel shuffle.
    """
    lines = param.splitlines()
    crop, squeeze, tail, _, _ = lines[-5:]
    assert crop.startswith("Crop")
    assert squeeze.startswith("Squeeze")
    image, features = crop.split()[4], tail.split()[5]
    layers, blobs = map(int, lines[1].split())
    lines[1] = f"{layers - 1} {blobs - 1}"
    skip = [
        f"Interp nearest 1 1 {image} skip 0=1 1=4.0 2=4.0",
        tail,
        f"PixelShuffle shuffle 1 1 {features} details 0=4 1=0",
        "BinaryOp sum 2 1 details skip out0 0=0",
    ]
    return "\n".join([*lines[:-5], *skip, ""])


def ncnn(model: Path, tile: np.ndarray, wanted: np.ndarray, times: int) -> dict[str, float]:
    """ncnn, the engine of upscayl, from the same ONNX through pnnx, where both are installed."""
    try:
        import ncnn as library
        import pnnx  # noqa: F401
    except ImportError:
        return {}
    found = {}
    with tempfile.TemporaryDirectory() as name:
        onnx = Path(name) / "fast.onnx"
        onnx.write_bytes(model.read_bytes())
        tool = str(Path(sys.executable).with_name("pnnx"))
        line = [tool, str(onnx), f"inputshape=[1,3,{SIDE},{SIDE}]"]
        subprocess.run(line, cwd=name, check=True, capture_output=True)
        param = Path(name) / "fast.ncnn.param"
        param.write_text(_nearest_skip(param.read_text()))
        for label, half in (("f32", False), ("bf16 storage", True)):
            net = library.Net()
            net.opt.num_threads = os.cpu_count()
            net.opt.use_bf16_storage = half
            net.load_param(str(Path(name) / "fast.ncnn.param"))
            net.load_model(str(Path(name) / "fast.ncnn.bin"))
            pixels = np.ascontiguousarray(tile.transpose(2, 0, 1), np.float32) / 255
            picture = library.Mat(pixels).clone()  # a Mat only points to an array

            def run(net: Any = net, picture: Any = picture) -> Any:
                with net.create_extractor() as extractor:
                    extractor.input("in0", picture)
                    return np.array(extractor.extract("out0")[1])

            assert np.abs(run() - wanted).max() < (0.05 if half else 1e-3)
            found[f"ncnn {label}"] = median_ms(run, times)
    return found


def matmul_peak(times: int) -> dict[str, float]:
    """GFLOP/s of a 2048³ matrix product in torch, the machine's yardstick."""
    found = {}
    for label in precisions():
        dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[label]
        a, b = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
        found[label] = 2 * 2048**3 / median_ms(partial(torch.matmul, a, b), times) / 1e6
    return found


def starting(times: int) -> dict[str, float]:
    """Median milliseconds of `enlarge --help` and of `import enlarge` over bare Python."""

    def timed(*arguments: str) -> float:
        line = [sys.executable, *arguments]
        return median_ms(lambda: subprocess.run(line, check=True, capture_output=True), times)

    bare = timed("-c", "pass")
    return {
        "enlarge --help": timed("-m", "enlarge", "--help"),
        "import enlarge, over bare Python": timed("-c", "import enlarge") - bare,
        "bare Python": bare,
    }


def models(count: int | None = None) -> dict[str, dict[str, float]]:
    """Every bundled model, or the first `count`, on the sample photograph: seconds of the better of
    two warm runs, of one with --ensemble, and operations of an output pixel.
    """
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        cache, target = Path(folder) / "cache", Path(folder) / "out.png"
        for card in enlarge.models()[:count]:
            told = ("--model", card.name, "--scale", str(card.scale))
            runs = [command(SAMPLE, target, cache, *told) for _ in range(3)][1:]
            best = min(runs, key=lambda run: run["compute"])
            whole = command(SAMPLE, target, cache, *told, "--ensemble")
            table[card.name] = {
                "scale": card.scale,
                "flops": card.flops,
                "wall": best["wall"],
                "compute": best["compute"],
                "peak MB": best["peak MB"],
                "ensemble": whole["compute"],
            }
            print(card.name, table[card.name], flush=True)
    return table


def models_page(result: dict[str, Any]) -> list[str]:
    """The section on the bundled models."""
    told = result["models"]
    return [
        "## The models",
        "",
        "The sample photograph (512 × 769), enlarged by each model's own factor, from JPEG to PNG. "
        "Seconds; the better of two warm runs, one run with `--ensemble`. Measured on "
        f"{measured_at(told)}.",
        "",
        "| model | kFLOP per output pixel | total | compute | peak memory | compute with "
        "`--ensemble` |",
        "|---|--:|--:|--:|--:|--:|",
        *(
            f"| {name}, ×{row['scale']:.0f} | {row['flops'] / 1e3:.0f} | {row['wall']:.1f} "
            f"| {row['compute']:.2f} | {row['peak MB']:.0f} MB | {row['ensemble']:.1f} |"
            for name, row in told["rows"].items()
        ),
        "",
    ]


def page(result: dict[str, Any]) -> str:
    """The results as a Markdown page."""
    process, table, peak = result["process"], result["engines"], result["matmul"]
    flops = find_weights("fast").card.flops * (4 * SIDE) ** 2
    torch_f32 = table["torch eager f32"]
    lines = [
        "# How fast is it?",
        "",
        "Measure your own machine with `enlarge benchmark` ([evaluate.md](evaluate.md)).",
        "",
        f"Written by `python -m benchmarks.speed` on {measured_at(result)};",
        f"{result['machine']}, otherwise idle.",
        "",
        "## One picture, from start to finish",
        "",
        "512 × 512 → 2048 × 2048 pixels, PNG to PNG, with `fast`; seconds:",
        "",
        "| stage | " + " | ".join(process) + " | share, warm |",
        "|---|" + "--:|" * (len(process) + 1),
    ]
    warm = process["warm, median of 7"]
    for stage in ("start", "decode", "compile", "compute", "encode", "rest", "wall"):
        cells = " | ".join(f"{run.get(stage, 0.0):.2f}" for run in process.values())
        lines.append(f"| {stage} | {cells} | {warm.get(stage, 0.0) / warm['wall']:.0%} |")
    lines += [
        "",
        "`start` loads Python, OpenVINO and libvips. `compile` reads the compiled network from",
        "the cache after the first run, as far as that outlasts opening the picture. `encode` is",
        "what remains of writing the PNG after the last tile.",
        f"Peak memory: {warm['peak MB']:.0f} MB.",
        "",
        *(f"- {name}: {value:.0f} ms" for name, value in result["starting"].items()),
        "",
        *models_page(result),
        "## Engines",
        "",
        f"`fast`, {SIDE}² → {4 * SIDE}² pixels, {flops / 1e9:.1f} GFLOP, the same weights in each",
        "engine, all cores, median of 15:",
        "",
        "| | ms | GFLOP/s | relative to torch eager f32 |",
        "|---|--:|--:|--:|",
    ]
    for name, ms in sorted(table.items(), key=lambda item: item[1]):
        lines.append(f"| {name} | {ms:.0f} | {flops / ms / 1e6:.0f} | {torch_f32 / ms:.1f}× |")
    rates = " and ".join(f"{rate:.0f} GFLOP/s in {label}" for label, rate in peak.items())
    lines += ["", f"For comparison, torch multiplies matrices of 2048² at {rates} here."]
    if "bf16" not in peak:
        lines += ["This processor does not compute in bf16, so there are no rows for bf16."]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=["models"], help="measure the models only")
    parser.add_argument("--try", action="store_true", dest="trial", help="tiny, nothing is written")
    arguments = parser.parse_args()
    known = stamp()
    if arguments.part:
        result = json.loads((RESULTS / "speed.json").read_text())
    else:
        result = {
            **known,
            "engines": engines(1 if arguments.trial else 15),
            "process": whole_process(times=1 if arguments.trial else 7),
            "matmul": matmul_peak(1 if arguments.trial else 15),
            "starting": starting(1 if arguments.trial else 9),
        }
    result["models"] = {**known, "rows": models(1 if arguments.trial else None)}
    write("speed", result, page(result), trial=arguments.trial)


if __name__ == "__main__":
    main()
