"""How soon a checkpoint is usable: `python -m benchmarks.starting [FILE]`.

Writes benchmarks/starting.json and docs/starting.md, on an otherwise idle Linux machine.

With an empty cache, whole commands are timed: the first call ever on a generated picture of 128²,
on a terminal; the process that prepares the checkpoint after it; and later calls. Then `quality` on
64². The checkpoint is spandrel's SwinIR-light with random weights, which needs
`pip install --no-deps spandrel einops`, or FILE, for which nothing is written. `--try`: a tiny
network, one call of each, nothing is written.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import pty
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.others import swinir_light
from benchmarks.record import signature, stamp, write
from enlarge.weights.measuring import natural_picture

SIDE, SMALL, TIMES = 128, 64, 5
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: processes that outlive their parent become children of this one."""


class Finished(NamedTuple):
    """What a command cost: seconds from its start to its end, and to the first text that it showed;
    seconds of processor time, those of the processes that it waited for included.
    """

    wall: float
    shown: float
    cpu: float
    text: str


class Bar(NamedTuple):
    """A figure: its name in the record, its title and unit, and the most that it may be."""

    key: str
    title: str
    unit: str
    most: float | None


BARS = (
    Bar("first_shown", "first call: something is shown after", "s", 1.0),
    Bar("first_wall", "first call: result after", "s", 10.0),
    Bar("first_cpu", "first call: processor time", "s", None),
    Bar("prepared_cpu", "preparing: processor time", "s", 40.0),
    Bar("prepared_wall", "prepared, after the start of the first call", "s", None),
    Bar("later_wall", "later call: result after", "s", 2.5),
    Bar("later_cpu", "later call: processor time", "s", None),
    Bar("difference", "first result against a later one in f32: largest difference", "levels", 1),
    Bar("quality_compile", f"`quality` on {SMALL}², used before: compile", "s", 0.15),
)


def run(command: Sequence[str], environment: Mapping[str, str]) -> Finished:
    """Run a command on a terminal of its own. Raises `RuntimeError` if it fails."""
    terminal, its_side = pty.openpty()
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=its_side, stderr=its_side
    )
    os.close(its_side)
    shown, text = 0.0, b""
    while part := _read(terminal):
        shown = shown or time.perf_counter() - begun
        text += part
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    os.close(terminal)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{text.decode(errors='replace')}")
    return Finished(wall, shown, _processor_time(usage), text.decode())


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # its other side is closed
        return b""


def wait_for_orphans() -> float:
    """Wait for the processes that outlived the commands that started them; their processor time in
    seconds.
    """
    seconds = 0.0
    while True:
        try:
            _, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return seconds
        if status:
            raise RuntimeError(f"a process in the background failed (wait status {status})")
        seconds += _processor_time(usage)


def adopt_orphans() -> None:
    """Let `wait_for_orphans` wait for them. Raises `OSError` where that is not possible."""
    if sys.platform != "linux" or ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError("processes in the background can only be measured on Linux")


def _processor_time(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def save_picture(path: Path, side: int) -> Path:
    """Write the generated picture, (side, side, 3), 8 bits, as PNG."""
    pixels = natural_picture(side)[0].transpose(1, 2, 0) * 255
    Image.fromarray(pixels.round().astype(np.uint8)).save(path)
    return path


def difference(first: Path, second: Path) -> int:
    """The largest difference between two 8-bit pictures of one size, in levels."""
    with Image.open(first) as one, Image.open(second) as other:
        return int(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max())


def measure(checkpoint: Path, folder: Path, times: int) -> dict[str, float]:
    """The figures of `BARS` for a checkpoint, with a cache in `folder`."""
    environment = {**os.environ, "ENLARGE_CACHE": str(folder / "cache"), "TERM": "xterm"}
    environment.pop("ENLARGE_PREPARE", None)
    picture, small = (save_picture(folder / f"{side}.png", side) for side in (SIDE, SMALL))

    def call(source: Path, target: str, model: str, *more: str) -> Finished:
        command = [sys.executable, "-m", "enlarge", str(source), "-o", str(folder / target)]
        return run([*command, "--overwrite", "--model", model, *more], environment)

    begun = time.perf_counter()
    first = call(picture, "first.png", str(checkpoint))
    prepared = wait_for_orphans()
    ready = time.perf_counter() - begun
    later = [call(picture, "later.png", str(checkpoint)) for _ in range(times)]
    call(picture, "f32.png", str(checkpoint), "--precision", "f32")
    call(small, "small.png", "quality")
    compiling = []
    for _ in range(times):
        done = json.loads(call(small, "small.png", "quality", "--json").text)
        compiling.append(done["results"][0]["stages"]["compile"])
    return {
        "first_shown": first.shown,
        "first_wall": first.wall,
        "first_cpu": first.cpu,
        "prepared_cpu": prepared,
        "prepared_wall": ready,
        "later_wall": statistics.median(each.wall for each in later),
        "later_cpu": statistics.median(each.cpu for each in later),
        "difference": difference(folder / "first.png", folder / "f32.png"),
        "quality_compile": statistics.median(compiling),
    }


def page(result: dict[str, Any]) -> str:
    """The results as a Markdown page."""
    lines = [
        "# How soon is a checkpoint usable?",
        "",
        signature(result, "starting"),
        "",
        "The checkpoint is spandrel's SwinIR-light with random weights, the picture is one of",
        f"{SIDE}×{SIDE} pixels. Times are those of whole commands, from the shell to the file; of",
        f"later calls and of `quality`, the median of {TIMES}. Between the first call and the",
        "later ones, a process in the background prepares the checkpoint",
        "([why](checkpoints.md#why-is-the-second-run-faster)).",
        "",
        "| | measured | at most | |",
        "|---|--:|--:|---|",
    ]
    for bar in BARS:
        found = result["figures"][bar.key]
        number = _with_unit(f"{found:.0f}" if bar.unit == "levels" else f"{found:.2f}", bar.unit)
        most = "" if bar.most is None else _with_unit(f"{bar.most:g}", bar.unit)
        holds = "" if bar.most is None else "yes" if found <= bar.most else "**no**"
        lines.append(f"| {bar.title} | {number} | {most} | {holds} |")
    return "\n".join([*lines, ""])


def _with_unit(number: str, unit: str) -> str:
    return f"{number} {unit.removesuffix('s') if number == '1' and len(unit) > 1 else unit}"


def save_checkpoint(path: Path, *, tiny: bool) -> Path:
    """Write spandrel's SwinIR-light, or a tiny SwinIR, with random weights."""
    import torch

    torch.manual_seed(0)
    network = swinir_light(layers=2, groups=1) if tiny else swinir_light()
    torch.save({"params": network.state_dict()}, path)
    return path


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--try", action="store_true", dest="trial", help="tiny, nothing is written")
    parser.add_argument("file", nargs="?", type=Path, help="a checkpoint, instead of SwinIR-light")
    arguments = parser.parse_args()
    trial, file = arguments.trial, arguments.file
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="enlarge-starting-") as name:
        folder = Path(name)
        checkpoint = file or save_checkpoint(folder / "swinir-light.pth", tiny=trial)
        figures = measure(checkpoint.absolute(), folder, 1 if trial else TIMES)
    result = {**stamp(), "figures": figures}
    write("starting", result, page(result), trial=trial or file is not None)


if __name__ == "__main__":
    main()
