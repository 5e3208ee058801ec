"""Learning: the memory of a step is known before it is taken, and a killed run goes on exactly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.proofs.memory import picture
from benchmarks.proofs.result import Proof, Result, enlarge
from enlarge.memory import format_size
from enlarge.networks import build
from enlarge.training.callbacks import LAST, LOG
from enlarge.training.config import data_root, load_config
from enlarge.training.footprint import measure_footprint, measure_in_child
from enlarge.weights.measuring import working_sets
from enlarge.weights.network_file import describe_network
from enlarge.weights.onnx_file import export_onnx, with_card

ROOT = Path(__file__).parents[2]
_LIMIT = 64 * 10**9
_STEPS = 100


def estimate_holds() -> Result:
    """The peak of a step on a whole 512² picture: extrapolated from 256² and below, measured."""
    told, worst = [], 0.0
    for name, more in (("toy_edsr", []), ("toy_swinir", ["train.checkpointing=true"])):
        config = load_config(ROOT / f"recipes/{name}.yaml", ["train.patch=512", *more])
        footprint, peak = measure_footprint(config, _LIMIT), measure_in_child(config, 512)
        if footprint is None or peak is None:
            raise RuntimeError(f"{name}: a step could not be measured")
        estimate = footprint.peak(1, 512)
        worst = max(worst, abs(estimate / peak - 1.0))
        words = " ".join([name, *more])
        told.append(f"{words}: estimated {format_size(estimate)}, measured {format_size(peak)}")
    claim = "the estimated peak of a training step on a whole 512² picture is within 20 %"
    return Result(claim, "; ".join(told), worst <= 0.2)


def killed_run_is_exact() -> Result:
    """A run of 100 steps killed (SIGKILL) after step 50 and resumed, and an undisturbed one."""
    with tempfile.TemporaryDirectory() as work:
        whole, parts = (_command(Path(work), name) for name in ("whole", "parts"))
        subprocess.run(whole, cwd=ROOT, env=_environment(work), check=True)
        log = Path(work) / "runs/parts" / LOG
        with subprocess.Popen(parts, cwd=work, env=_environment(work)) as process:
            while not (log.exists() and '"step": 50,' in log.read_text()) or not (
                log.with_name(LAST).exists()
            ):
                if process.poll() is not None:
                    raise RuntimeError("the run ended before its step 50")
                time.sleep(0.02)
            time.sleep(0.3)
            process.send_signal(signal.SIGKILL)
        subprocess.run([*parts, "resume"], cwd=work, env=_environment(work), check=True)
        a, b = (
            torch.load(Path(work) / f"runs/{name}" / LAST, weights_only=True)["state_dict"]
            for name in ("whole", "parts")
        )
        lines = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    equal = all(torch.equal(a[key], b[key]) for key in a)
    went_on = lines == sorted(
        set(lines)
    )  # a run that began anew would have told twice of its start
    text = f"{len(a)} tensors {'equal in every bit' if equal else 'DIFFER'}; checks at {lines}"
    return Result(
        "a run killed after step 50 of 100 and resumed equals an uninterrupted one",
        text,
        equal and went_on,
    )


_RUN = """
import os, sys
from pathlib import Path
from enlarge.training.config import load_config
from enlarge.training.fit import fit
os.chdir(sys.argv[1])
fit(load_config(Path(sys.argv[2]), sys.argv[4:-1] if sys.argv[-1] == "resume" else sys.argv[4:]),
    resume=sys.argv[-1] == "resume")
"""


def _command(work: Path, name: str) -> list[str]:
    recipe = str(ROOT / "recipes/fast_flat.yaml")
    photos = data_root().resolve() / "photos"
    told = [f"name={name}", f"data.photos={photos}", "model.start=", "train.minutes=0"]
    told += ["data.valid=[]", f"train.steps={_STEPS}"]
    told += ["train.check_every=50", "train.batch=4"]
    return [sys.executable, "-c", _RUN, str(work), recipe, "--", *told]


def _environment(work: str) -> dict[str, str]:
    return {**os.environ, "TMPDIR": work}


_SIDE, _TILE, _HALO = 40, 64, 16


def deck_preset() -> Result:
    """The deck's network with 64 blocks of 256 features: built, a step of training, a picture."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "deck.onnx"
        config = load_config(ROOT / "recipes/deck_hybrid.yaml", ["train.batch=1"])
        step = measure_in_child(config, 64)
        if step is None:
            raise RuntimeError("a step of training did not come to an end")
        network = build("edswin-deck-64").eval()
        card = describe_network(
            network, name="deck", architecture=config.model.network, options={}, precisions=("f32",)
        )
        export_onnx(network, replace(card, halo=_HALO), model)
        sets = working_sets(model, replace(card, halo=_HALO), (_TILE,))
        with_card(model, replace(card, halo=_HALO, tiles=sets))
        source = picture(Path(name), _SIDE, _SIDE)
        done = enlarge(source, "-o", Path(name) / "out.png", "--model", model)
    right = (done["width"], done["height"]) == (4 * _SIDE, 4 * _SIDE)
    return Result(
        "edswin-deck with 64 blocks × 256 features builds, takes a training step on a 64² patch, "
        "and enlarges a picture through the command",
        f"{card.parameters:,} parameters; peak of the training process {format_size(step)}; "
        f"{_SIDE}² → {done['width']}² in {done['seconds']:.0f} s, peak "
        f"{format_size(done['peak_memory'])}",
        right and card.parameters > 80e6,
    )


def every_recipe() -> Result:
    """Two steps of every shipped recipe with its network at full size, by `--fast-dev-run`."""
    failed = []
    recipes = sorted((ROOT / "recipes").glob("*.yaml"))
    for recipe in recipes:
        print(f"  {recipe.stem}", flush=True)
        line = [sys.executable, "-m", "enlarge", "train", str(recipe), "--fast-dev-run", "--quiet"]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            failed.append(f"{recipe.stem}: {done.stderr.strip()}")
    return Result(
        "every shipped recipe takes two steps with its network at full size",
        "; ".join(failed) or f"{len(recipes)} recipes",
        not failed,
    )


PROOFS: dict[str, Proof] = {
    "deck preset": deck_preset,
    "recipes": every_recipe,
    "memory of a training step": estimate_holds,
    "killed training": killed_run_is_exact,
}
