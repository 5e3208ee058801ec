"""The shipped command's engine against torch eager, as peers run it: `python -m benchmarks.peers`.

Writes benchmarks/speed_peers.json and docs/speed_peers.md, on an otherwise idle machine.

In one run, from the same random
weights, with two threads, in turns, median of 5: OpenVINO as `enlarge` runs it (8-bit pixels in and
out; its automatic precision, and f32), our own module in torch eager f32 (NCHW), and spandrel's
module the same way (attention written out), where it has the network: it lacks EDSR. Needs
`pip install --no-deps spandrel einops`. `--try`: tiny pictures, nothing is written.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks.others import spandrel_architecture, swinir_light
from benchmarks.record import signature, stamp, write
from enlarge.engines import EngineOptions, TileSpec, pick_engine
from enlarge.model_file import Weights
from enlarge.networks import build
from enlarge.weights.network_file import describe_network
from enlarge.weights.onnx_file import export_onnx

THREADS, TIMES = 2, 5
TORCH, PEER = "our module in torch", "spandrel's module in torch"
AUTO, F32 = "enlarge (OpenVINO, auto)", "enlarge (OpenVINO, f32)"


class Case(NamedTuple):
    """A network, the side of its LR picture, and spandrel's module of it."""

    network: str
    side: int
    peer: Callable[[dict[str, Any]], nn.Module] | None


def _swinir(state: dict[str, Any]) -> nn.Module:
    network: nn.Module = swinir_light()
    network.load_state_dict(state, strict=False)  # it keeps masks and indices as well
    return network


def _rrdb(state: dict[str, Any]) -> nn.Module:
    network: nn.Module = spandrel_architecture("ESRGAN").ESRGANArch().load(state).model
    return network.eval()


CASES = {
    "EDSR-baseline": Case("edsr-baseline", 256, None),
    "SwinIR-light": Case("swinir-light", 128, _swinir),
    "RRDB (ESRGAN)": Case("rrdb", 128, _rrdb),
}


def measure(case: Case, side: int, times: int, threads: int) -> dict[str, Any]:
    """Median milliseconds by contestant, and the precision that `auto` took."""
    torch.manual_seed(0)
    network = build(case.network, scale=4).eval()
    tile = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    batch = (torch.from_numpy(tile).permute(2, 0, 1)[None].float() / 255).contiguous()
    kind = np.dtype(np.uint8)
    runs: dict[str, Callable[[], Any]] = {}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        path = Path(folder) / "model.onnx"
        card = describe_network(network, name="model", architecture=case.network, options={})
        card = card.__class__(**{**vars(card), "precisions": ("f32", "bf16")})
        export_onnx(network, card, path)
        engines = {
            label: pick_engine(
                Weights(path, card), EngineOptions("openvino", precision=precision, threads=threads)
            )
            for label, precision in ((AUTO, "auto"), (F32, "f32"))
        }
        for label, engine in engines.items():
            session = engine.session(TileSpec(side, side, 3, kind, kind))
            runs[label] = partial(session, tile)
        runs[TORCH] = lambda: network(batch)
        if case.peer is not None:
            peer = case.peer(network.state_dict())
            assert (peer(batch) - network(batch)).abs().max() < 1e-3
            runs[PEER] = lambda: peer(batch)
        seconds: dict[str, list[float]] = {label: [] for label in runs}
        for turn in range(times + 1):  # the first warms up
            for label, run in runs.items():
                begun = time.perf_counter()
                run()
                if turn:
                    seconds[label].append(time.perf_counter() - begun)
    medians = {label: statistics.median(each) * 1000 for label, each in seconds.items()}
    return {"side": side, "precision": engines[AUTO].precision, "ms": medians}


def page(result: dict[str, Any]) -> str:
    """The results as a Markdown page."""
    labels = (AUTO, F32, TORCH, PEER)
    lines = [
        "# How fast are other architectures?",
        "",
        signature(result, "peers"),
        "",
        f"Milliseconds; median of {TIMES}, measured in turns; the same random weights and",
        f"{THREADS} threads in each. torch {torch.__version__} runs in eager mode, in f32. The",
        "last two columns show how many times as fast enlarge is; spandrel does not have EDSR.",
        "",
        "| ×4 | " + " | ".join(labels) + " | over spandrel's module | over our module in torch |",
        "|---|" + "--:|" * (len(labels) + 2),
    ]
    for name, found in result["cases"].items():
        ms = found["ms"]
        cells = [f"{ms[label]:.0f}" if label in ms else "–" for label in labels]
        cells[0] += f" ({found['precision']})"
        over_peer = f"{ms[PEER] / ms[AUTO]:.1f}×" if PEER in ms else "–"
        lines.append(
            f"| {name}, {found['side']}² | {' | '.join(cells)} | {over_peer} "
            f"| {ms[TORCH] / ms[AUTO]:.1f}× |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--try", action="store_true", dest="trial", help="tiny, nothing is written")
    trial = parser.parse_args().trial
    os.environ.setdefault("ENLARGE_CACHE", tempfile.mkdtemp(prefix="enlarge-peers-"))
    threads = 1 if trial else THREADS  # on a busy machine torch's two wait for each other
    torch.set_num_threads(threads)
    cases = {}
    for name, case in CASES.items():
        print(f"{name} …", flush=True)
        cases[name] = measure(case, 32 if trial else case.side, 1 if trial else TIMES, threads)
    result = {**stamp(), "cases": cases}
    write("speed_peers", result, page(result), trial=trial)


if __name__ == "__main__":
    main()
