"""Mutated model files: each opens, or is refused in one line; no crash and no hang."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.media.fuzzing import Fuzzed
from tests.media.mutating import mutated
from tests.networks.tiny import tiny
from tests.weights.test_graphs import shuffled

EACH, PATIENCE = 250, 20.0
MEMORY = 3 << 30
"""Bytes that a process may take beyond what it has when it begins."""
BROKEN = Path(__file__).with_name("broken")
"""Where files are kept that once gave a fault."""

WORKER = """
import json, logging, os, resource, sys, time, warnings
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # libraries may print lines of their own
from pathlib import Path
import numpy as np
import torch
logging.disable()
warnings.simplefilter("ignore")
torch.set_num_threads(1)
from enlarge.errors import EnlargeError
from enlarge.weights.contents import model_kind
from enlarge.weights.graphs import describe_plain
from enlarge.weights.measuring import check_finite, natural_picture
from enlarge.weights.opening import open_network
from enlarge.weights.pickled import check_checkpoint
from enlarge.weights.tensors import check_tensors

def look(path, folder):
    kind = model_kind(path)
    check_tensors(path, kind)
    if kind == "onnx":
        run, card = describe_plain(path, folder)[1:]
        image = natural_picture(card.fixed or 64)
        large = run(image)
    else:
        check_checkpoint(path, kind)
        network, card = open_network(path)
        image = natural_picture(64)
        with torch.inference_mode():
            large = network(torch.from_numpy(image)).numpy()
    check_finite(path.name, large)  # as `export_onnx` does
    return "whole"

size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]),) * 2)
for line in sys.stdin:
    path = Path(line.rstrip("\\n"))
    begun = time.perf_counter()
    try:
        said = look(path, path.parent)
    except EnlargeError as error:
        said = f"{type(error).__name__}: {error}"
        if "\\n" in said:
            said = f"BUG of several lines: {said}"
    except BaseException as error:
        said = f"BUG {type(error).__name__}: {error}"
    print(json.dumps([said, time.perf_counter() - begun]), file=answers, flush=True)
"""


@cache
def seeds() -> dict[str, bytes]:
    """Small model files of every kind that is read, by name."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for network in ("srvgg", "rrdb", "replain", "swinir"):
            state = tiny(network).state_dict()
            save_file(state, folder / "m.safetensors")
            torch.save({"params_ema": state}, folder / "m.pth")
            found[f"safetensors {network}"] = (folder / "m.safetensors").read_bytes()
            found[f"pth {network}"] = (folder / "m.pth").read_bytes()
        torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
        found["pth old"] = (folder / "old.pth").read_bytes()
        found["onnx free"] = shuffled(folder / "m.onnx").read_bytes()
        found["onnx fixed"] = shuffled(folder / "m.onnx", sides=(48, 48)).read_bytes()
    return found


def mutations(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """`count` mutated files, (what it was, its bytes): the same ones for the same seed. Headers,
    which are a small part of a file, are changed as often as the rest.
    """
    every = list(seeds().items())
    chance = random.Random(seed)
    for number in range(count):
        name, data = every[number % len(every)]
        other = chance.choice(every)[1]
        if chance.random() < 0.5:
            cut = min(len(data), chance.choice((64, 300, 1500)))
            front = chance.random() < 0.7
            part, rest = (data[:cut], data[cut:]) if front else (data[-cut:], data[:-cut])
            part = mutated(part, other, chance)
            yield name, part + rest if front else rest + part
        else:
            yield name, mutated(data, other, chance)


def fuzz(count: int, *, each: int = EACH, seed: int = 0, keep: Path | None = None) -> Fuzzed:
    """Open `count` mutated files, `each` of them in one process. Files that give a fault are kept
    in the folder `keep` (None: the system's for temporary files).
    """
    result = Fuzzed()
    waiting = list(mutations(count, seed))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        while waiting:
            done = _one_process(Path(name), waiting[:each], result, keep, f"seed{seed}")
            waiting = waiting[done:]
    return result


def open_all(files: dict[str, bytes]) -> Fuzzed:
    """The same for given files."""
    result = Fuzzed()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        waiting = list(files.items())
        while waiting:
            waiting = waiting[_one_process(Path(name), waiting, result, None, "kept") :]
    return result


def _one_process(
    folder: Path, part: list[tuple[str, bytes]], result: Fuzzed, keep: Path | None, label: str
) -> int:
    """Open files in a process of its own. Returns how many it took."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(MEMORY)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for number, (kind, data) in enumerate(part, 1):
            path = folder / "model"
            path.write_bytes(data)
            result.count += 1
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            # The first line waits for the imports too.
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE + 60 * (number == 1))
            line, hung = process.stdout.readline() if ready else "", not ready
            if not line:
                process.kill()
                process.wait()
                said = f"BUG no answer in {PATIENCE:.0f} s" if hung else "BUG crash"
                _note(f"{said} ({process.returncode})", 0.0, kind, data, result, keep, label)
                return number
            said, seconds = json.loads(line)
            _note(said, seconds, kind, data, result, keep, label)
        process.stdin.close()
        process.wait(timeout=60)
    return len(part)


def _note(
    said: str, seconds: float, kind: str, data: bytes, result: Fuzzed, keep: Path | None, label: str
) -> None:
    result.said[said.partition(":")[0]] += 1
    result.slowest = max(result.slowest, seconds)
    if said.startswith("BUG") or seconds > PATIENCE:
        place = keep or Path(tempfile.gettempdir())
        place.mkdir(exist_ok=True)
        kept = place / f"{label}-{result.count:05}-{kind.replace(' ', '-')}"
        kept.write_bytes(data)
        result.faults.append(f"{kind}: {said[:300]} ({seconds:.1f} s); kept as {kept}")
