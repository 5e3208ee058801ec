"""What the lent machine is asked to do, call by call.

    python -m experiments.gpu.calls study:SECONDS       the arrangements of edswin, two seeds each
    python -m experiments.gpu.calls weights:SECONDS     quality, fast, photo, photo-sharp
    python -m experiments.gpu.calls double:SECONDS      quality-x2, fast-x2
    python -m experiments.gpu.calls settle:SECONDS      attention against convolution alone, again
    python -m experiments.gpu.calls peers:SECONDS       EDSR, SwinIR and RRDB, briefly
    python -m experiments.gpu.calls speedrun:SECONDS    recipes for fast, one change at a time
    python -m experiments.gpu.calls further:SECONDS     quality and fast, from the shipped ones

Packs are read from runs/gpu and kept in $KEPT (default /tmp/kept) for the next call; results go to
$KEPT/results and, packed, to $OUT. SECONDS: of training, all of the call's jobs together.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from enlarge.networks import build, resolve
from experiments.gpu.learn import Job, clean_pool, run
from experiments.gpu.pictures import Pool, Tile, degrade, degraded_pairs, read

KEPT = Path(os.environ.get("KEPT", "/tmp/kept"))
RESULTS = KEPT / "results"
OUT = Path(os.environ.get("OUT", str(KEPT / "out")))
PACKS = Path(os.environ.get("PACKS", "runs/gpu"))
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
WORKERS = max(2, (os.cpu_count() or 4) - 2)
SMALL = bool(os.environ.get("SMALL"))  # a rehearsal on a CPU: few pictures, small batches

ARRANGEMENTS = {
    "alternating": {"arrangement": "alternating", "blocks": 8},
    "parallel": {"arrangement": "parallel", "blocks": 8},
    "every-2": {"arrangement": "every_k", "blocks": 10, "every": 2},
    "convolution": {"arrangement": "convolution", "blocks": 12},
    "attention": {"arrangement": "attention", "blocks": 25},
}
"""0.93 to 0.98 million parameters each, 64 features."""
QUALITY = {"heads": 4, "features": 64, "scale": 4, **ARRANGEMENTS["every-2"]}


def stages(*told: tuple[float, int, int]) -> tuple[tuple[float, int, int], ...]:
    """As told, or tiny for a rehearsal."""
    return tuple((share, 2, 16) if SMALL else (share, batch, patch) for share, batch, patch in told)


SMALLER = (0.85, 0.7)
ALL = ("one", "two", "three", "four")


def kept_tiles(folder: Path, scales: Sequence[int]) -> Path:
    """A pack's pictures, decoded and reduced, as a file for this call and the next ones."""
    kept = KEPT / f"tiles-{folder.name}-{'-'.join(map(str, scales))}.pickle"
    if not kept.is_file():
        begun = time.monotonic()
        tiles = read(
            folder, smaller=SMALLER, scales=scales, workers=WORKERS, first=110 if SMALL else 0
        )
        part = kept.with_suffix(".part")
        part.write_bytes(pickle.dumps(tiles, protocol=5))
        part.rename(kept)
        print(f"{folder.name}: decoded in {time.monotonic() - begun:.1f} s", flush=True)
    return kept


def ahead(folders: Sequence[Path], scales: Sequence[int]) -> None:
    """Decode what a later call needs, while the GPU is busy."""
    os.nice(10)
    for folder in folders:
        kept_tiles(folder, scales)


def tiles_of(names: Sequence[str], *, scale: int = 4, smaller: bool = True) -> list[Tile]:
    """The pictures of the packs that are here, decoded once and kept."""
    begun = time.monotonic()
    tiles: list[Tile] = []
    for name in names:
        if (PACKS / name).is_dir():
            waited = time.monotonic() + 40
            kept = KEPT / f"tiles-{name}-{scale}.pickle"
            while decoding() and not kept.is_file() and time.monotonic() < waited:
                time.sleep(0.2)
            tiles += pickle.loads(kept_tiles(PACKS / name, (scale,)).read_bytes())
    tiles = [tile for tile in tiles if smaller or "@" not in tile.name]
    area = sum(t.high.shape[0] * t.high.shape[1] for t in tiles if t.name.startswith("train/"))
    print(f"{len(tiles)} tiles, {area / 1e6:.1f} MP, {time.monotonic() - begun:.1f} s", flush=True)
    return tiles


def decoding() -> bool:
    """Whether `ahead` is at work."""
    return bool(multiprocessing.active_children())


def study(seconds: float) -> None:
    """Every arrangement twice, for the same time each."""
    tiles = tiles_of(["one"], smaller=False)
    pool = clean_pool(tiles, 4, DEVICE)
    told = {"heads": 4, "features": 64, "scale": 4}
    for seed in (0, 1):
        for name, options in ARRANGEMENTS.items():
            job = Job(
                f"study-{name}-{seed}",
                "edswin",
                {**told, **options},
                seconds / (2 * len(ARRANGEMENTS)),
                stages((1.0, 16, 32)),
                seed=seed,
                every=1e9,
            )
            run(job, pool, tiles, RESULTS)


def chosen() -> str:
    """The arrangement with the best mean over parts and seeds."""
    scores: dict[str, float] = {}
    for name in ARRANGEMENTS:
        for seed in (0, 1):
            path = RESULTS / f"study-{name}-{seed}.json"
            last = json.loads(path.read_text())[-1]
            scores[name] = scores.get(name, 0.0) + (last["valid"] + last["detail"]) / 4
    print({k: round(v, 3) for k, v in scores.items()}, flush=True)
    return max(scores, key=lambda name: scores[name])


def weights(seconds: float) -> None:
    """The ×4 models, `quality` first; the degraded pictures are made meanwhile."""
    tiles = tiles_of(ALL)
    folder = KEPT / "degraded"
    sets = 1 if SMALL else 24
    maker = multiprocessing.Process(
        target=degrade,
        args=(tiles, folder),
        kwargs={"workers": max(1, WORKERS - 2), "sets": sets, "seed": 1},
    )
    maker.start()
    pool = clean_pool(tiles, 4, DEVICE)
    arrangement = os.environ.get("ARRANGEMENT") or chosen()
    body = {"heads": 4, "features": 64, "scale": 4, **ARRANGEMENTS[arrangement]}
    print(f"quality: {body}", flush=True)
    quality = Job(
        "quality",
        "edswin",
        body,
        0.55 * seconds,
        stages((0.45, 64, 32), (0.55, 32, 64)),
        compiled=not SMALL,
        every=60.0,
        lr=0.01,
    )
    run(quality, pool, tiles, RESULTS)
    fast = Job(
        "fast",
        "replain",
        {"scale": 4, "channels": 32, "blocks": 6, "taps": 4},
        0.18 * seconds,
        stages((0.6, 64, 32), (0.4, 32, 64)),
        lr=0.012,
    )
    run(fast, pool, tiles, RESULTS)
    del pool
    deadline = time.monotonic() + (60 if SMALL else 20)
    while maker.is_alive() and not list(folder.glob("*.pickle")) and time.monotonic() < deadline:
        time.sleep(0.5)
    pairs = degraded_pairs(tiles, folder, city=0.12)
    print(f"{len(list(folder.glob('*.pickle')))} degraded sets, {len(pairs)} pairs", flush=True)
    pool = Pool(pairs, 4, DEVICE)
    photo = Job(
        "photo",
        "edswin",
        body,
        0.15 * seconds,
        stages((1.0, 32, 32)),
        lr=0.006,
        lr_rest=5e-4,
        start="quality",
        every=15.0,
    )
    run(photo, pool, tiles, RESULTS)
    sharp = Job(
        "photo-sharp",
        "edswin",
        body,
        0.12 * seconds,
        stages((1.0, 16, 32)),
        lr_rest=1e-4,
        start="photo",
        adversarial=0.05,
        extra={"adam": True},
        decay=0.3,
        every=12.0,
    )
    run(sharp, pool, tiles, RESULTS)
    maker.terminate()


def double(seconds: float) -> None:
    """The ×2 models, from the ×4 ones' trunks."""
    tiles = tiles_of(ALL, scale=2)
    pool = clean_pool(tiles, 2, DEVICE)
    arrangement = os.environ.get("ARRANGEMENT") or chosen()
    body = {"heads": 4, "features": 64, "scale": 2, **ARRANGEMENTS[arrangement]}
    fast = {"scale": 2, "channels": 32, "blocks": 6, "taps": 4}
    for name, network, options, share in (
        ("quality-x2", "edswin", body, 0.6),
        ("fast-x2", "replain", fast, 0.4),
    ):
        job = Job(
            name,
            network,
            options,
            share * seconds,
            stages((1.0, 32, 48)),
            lr=0.006,
            lr_rest=5e-4,
            start=name.removesuffix("-x2"),
        )
        run(job, pool, tiles, RESULTS)


def settle(seconds: float) -> None:
    """The best arrangement and convolution alone at a rate that both stand."""
    tiles = tiles_of(["one", "two"], smaller=False)
    pool = clean_pool(tiles, 4, DEVICE)
    told = {"heads": 4, "features": 64, "scale": 4}
    for seed in (0, 1):
        for name in ("convolution", "every-2"):
            job = Job(
                f"settle-{name}-{seed}",
                "edswin",
                {**told, **ARRANGEMENTS[name]},
                seconds / 4,
                stages((1.0, 16, 32)),
                lr=0.01,
                seed=seed,
                every=seconds / 16,
                prepared=True,
            )
            run(job, pool, tiles, RESULTS)


FAST = {"scale": 4, "channels": 32, "blocks": 6, "taps": 4}
SPEEDRUN: dict[str, dict[str, Any]] = {
    "base": {},
    "rate-0.02": {"lr": 0.02},
    "adamw": {"lr_rest": 1e-3, "extra": {"adam": True}},
    "patches-16-of-32": {"stages": stages((1.0, 16, 32))},
    "patches-32-of-48": {"stages": stages((1.0, 32, 48))},
    "4-blocks-of-40": {"options": {**FAST, "channels": 40, "blocks": 4}},
    "11-blocks-of-24": {"options": {**FAST, "channels": 24, "blocks": 11}},
    "recoloured": {"recoloured": 0.3},
    "taught-0.6": {"taught": 0.6},
    "taught-1": {"taught": 1.0},
}
"""What changes against 64 patches of 32² a step, Muon at 0.012, L1 against the photographs."""


def speedrun(seconds: float) -> None:
    """Ten short runs of fast, taught by the shipped quality where they are taught."""
    tiles = tiles_of(["one", "two"], smaller=False)
    pool = clean_pool(tiles, 4, DEVICE)
    begin = torch.load(PACKS / "two" / "begin.pt", weights_only=True)
    taught_by(begin["quality"], pool)
    base = Job(
        "speedrun-base",
        "replain",
        FAST,
        seconds / len(SPEEDRUN),
        stages((1.0, 64, 32)),
        lr=0.012,
        every=1e9,
        prepared=True,
    )
    for name, changed in SPEEDRUN.items():
        run(replace(base, name=f"speedrun-{name}", **changed), pool, tiles, RESULTS)


def taught_by(state: dict[str, torch.Tensor], pool: Pool) -> None:
    """Let the pool keep what quality, with these weights, makes of its tiles."""
    begun = time.monotonic()
    teacher = build("edswin", **QUALITY)
    teacher.load_state_dict(state)
    pool.teach(teacher.to(DEVICE).to(memory_format=torch.channels_last).eval())  # type: ignore[call-overload]
    print(f"taught in {time.monotonic() - begun:.1f} s", flush=True)


def peers(seconds: float) -> None:
    """The published networks, trained enough to look at rounding and receptive fields."""
    tiles = tiles_of(["one", "two"], smaller=False)
    pool = clean_pool(tiles, 4, DEVICE)
    for name in ("edsr-baseline", "swinir-light", "rrdb"):
        network, options = resolve(name, {"scale": 4})
        job = Job(
            f"peers-{name}",
            network,
            options,
            seconds / 3,
            stages((1.0, 16, 32)),
            lr_rest=2e-4,
            extra={"adam": True},
            ema=0.99,
            beta=0.999,
            every=1e9,
            prepared=True,
        )
        run(job, pool, tiles, RESULTS)


def further(seconds: float) -> None:
    """`quality` on more pictures in more colours and sizes; `fast` taught by it."""
    tiles = tiles_of(ALL)
    pool = clean_pool(tiles, 4, DEVICE)
    begin = torch.load(PACKS / "two" / "begin.pt", weights_only=True)
    for name, state in begin.items():
        torch.save(state, RESULTS / f"{name}.pt")
    share = float(os.environ.get("SHARE", "0.6"))
    begun = time.monotonic()
    quality = Job(
        "quality-2",
        "edswin",
        QUALITY,
        share * seconds,
        stages((1.0, 32, 64)),
        lr=0.01,
        lr_rest=7e-4,
        weight_decay=0.05,
        recoloured=0.3,
        start="quality",
        compiled=not SMALL,
        every=40.0,
    )
    run(quality, pool, tiles, RESULTS)
    pool = clean_pool([tile for tile in tiles if "@" not in tile.name], 4, DEVICE)
    taught_by(torch.load(RESULTS / "quality-2.pt", weights_only=True), pool)
    fast = Job(
        "fast-2",
        "replain",
        FAST,
        max(5.0, seconds - (time.monotonic() - begun)),
        stages((0.5, 64, 32), (0.5, 64, 48)),
        lr=0.012,
        taught=0.6,
        start="fast",
        every=30.0,
    )
    fast = replace(fast, **json.loads(os.environ.get("CHANGED", "{}")))
    run(fast, pool, tiles, RESULTS)


def pack(call: str) -> None:
    """Write what a call made into files of at most 16 MiB, which is what comes back."""
    files: dict[str, dict[str, torch.Tensor]] = {}
    for path in sorted(RESULTS.glob("*.pt")):
        name, kind = path.stem, path.stem.partition("-")[0]
        if (kind in SMALL_CALLS) != (call in SMALL_CALLS) or (kind in SMALL_CALLS and kind != call):
            continue
        for key, value in torch.load(path, weights_only=True).items():
            home = kind if kind in SMALL_CALLS else name.partition("@")[0]
            value = value.half() if kind in SMALL_CALLS or "@" in name else value
            files.setdefault(home, {})[f"{name}/{key}"] = value
    for home, tensors in files.items():
        part, parts = 0, [dict[str, torch.Tensor]()]
        for key, value in tensors.items():
            part += value.nbytes
            if part > 14e6:
                part = value.nbytes
                parts.append({})
            parts[-1][key] = value
        for number, content in enumerate(parts):
            torch.save(content, OUT / f"{home}.{number}.pt")


SMALL_CALLS = ("study", "settle", "peers", "speedrun")
"""Calls whose weights are for a study only: half precision."""
CALLS = {
    "study": study,
    "weights": weights,
    "double": double,
    "settle": settle,
    "peers": peers,
    "speedrun": speedrun,
    "further": further,
}


def main() -> None:
    """Run the calls and pack what they made."""
    for folder in (KEPT, RESULTS, OUT):
        folder.mkdir(parents=True, exist_ok=True)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {name}, {os.cpu_count()} cores", flush=True)
    packs = [PACKS / name for name in ALL if (PACKS / name).is_dir()]
    scales = (2,) if "double" in sys.argv[1] else (4,)
    multiprocessing.get_context("spawn").Process(target=ahead, args=(packs, scales)).start()
    for told in sys.argv[1:]:
        call, _, seconds = told.partition(":")
        begun = time.monotonic()
        try:
            CALLS[call](float(seconds))
        finally:
            pack(call)
            logs = {p.stem: json.loads(p.read_text()) for p in sorted(RESULTS.glob("*.json"))}
            (OUT / "logs.json").write_text(json.dumps(logs))
            print(f"{call}: {time.monotonic() - begun:.1f} s in all", flush=True)


if __name__ == "__main__":
    main()
