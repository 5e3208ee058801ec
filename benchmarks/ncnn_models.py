"""Models of ncnn in ncnn itself and here: the largest difference in f32, and the time.

    python -m benchmarks.ncnn_models FOLDER…

A folder holds pairs of `.param` and `.bin`. It needs ncnn: pip install --no-deps ncnn. The
difference is that of values in 0–255 on three generated pictures of odd sizes; the times are the
medians of runs on one picture, which alternate. Each runs on all cores: ncnn in f32 and as it is by
default, OpenVINO in f32 and in the precision that `--precision auto` takes.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.ncnn import open_net
from enlarge.engines.openvino import has_bf16
from enlarge.weights.measuring import Runner, natural_picture
from enlarge.weights.ncnn.detecting import find_pair
from enlarge.weights.ncnn.graph import write_graph

ODD = ((37, 53), (41, 29), (64, 33))
SECONDS, MOST = 4.0, 9


def in_ncnn(param: Path, *, exact: bool) -> Callable[[Any], Any]:
    """The model in ncnn: (1, 3, H, W) → (1, 3, sH, sW)."""
    import ncnn

    net = open_net(param, () if exact else None)

    def run(image: Any) -> Any:
        pixels = np.ascontiguousarray(image[0])  # ncnn's Mat does not keep it alive
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], ncnn.Mat(pixels).clone())
        return np.array(extractor.extract(net.output_names()[-1])[1])[None]

    return run


def times(runs: dict[str, Callable[[Any], Any]], image: Any) -> dict[str, float]:
    """The median seconds of each, taken in turn."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(image)
    begun = time.perf_counter()
    for number in range(MOST):
        if number > 1 and time.perf_counter() - begun > SECONDS:
            break
        for name, run in runs.items():
            start = time.perf_counter()
            run(image)
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    """Print a row of the table for each pair."""
    print("| model | levels | ncnn f32 | here f32 | ncnn default | here default |")
    print("|---|--:|--:|--:|--:|--:|")
    for param in sorted({path for name in sys.argv[1:] for path in Path(name).glob("*.param")}):
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model.onnx"
            write_graph(find_pair(param), model)
            ours, exact = Runner(model), in_ncnn(param, exact=True)
            worst = 0.0
            for height, width in ODD:
                image = natural_picture(64)[:, :, :height, :width]
                worst = max(worst, float(np.abs(ours(image) - exact(image)).max()) * 255)
            large = param.stat().st_size > 100_000
            image = natural_picture(64 if large else 128)
            runs: dict[str, Callable[[Any], Any]] = {
                "ncnn f32": exact,
                "here f32": ours,
                "ncnn default": in_ncnn(param, exact=False),
                "here default": Runner(model, "bf16" if has_bf16() else "f32"),
            }
            row = [f"{1000 * seconds:.0f} ms" for seconds in times(runs, image).values()]
            print(f"| {param.stem} | {worst:.3f} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
