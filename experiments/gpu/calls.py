"""What the lent machine is asked to do, call by call.

    python -m experiments.gpu.calls study SECONDS       the arrangements of edswin, two seeds each
    python -m experiments.gpu.calls weights SECONDS     quality, fast, photo, photo-sharp
    python -m experiments.gpu.calls double SECONDS      quality-x2, fast-x2

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
from pathlib import Path

import torch

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


def stages(*told: tuple[float, int, int]) -> tuple[tuple[float, int, int], ...]:
    """As told, or tiny for a rehearsal."""
    return tuple((share, 2, 16) if SMALL else (share, batch, patch) for share, batch, patch in told)


def tiles_of(folders: list[Path], *, smaller: float) -> list[Tile]:
    """The pictures of the packs, decoded once and kept."""
    begun = time.monotonic()
    kept = KEPT / f"tiles-{'-'.join(f.name for f in folders)}-{smaller}.pickle"
    if kept.is_file():
        tiles: list[Tile] = pickle.loads(kept.read_bytes())
    else:
        tiles = read(folders, smaller=smaller, workers=WORKERS, first=110 if SMALL else 0)
        kept.write_bytes(pickle.dumps(tiles, protocol=5))
    area = sum(t.high.shape[0] * t.high.shape[1] for t in tiles if t.name.startswith("train/"))
    print(f"{len(tiles)} tiles, {area / 1e6:.1f} MP, {time.monotonic() - begun:.1f} s", flush=True)
    return tiles


def study(seconds: float) -> None:
    """Every arrangement twice, for the same time each."""
    tiles = tiles_of([PACKS / "one"], smaller=0.0)
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
    tiles = tiles_of([PACKS / "one", PACKS / "two"], smaller=0.7)
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
    tiles = tiles_of([PACKS / "one", PACKS / "two"], smaller=0.7)
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


def main() -> None:
    """Run one call and pack what it made."""
    begun = time.monotonic()
    for folder in (KEPT, RESULTS, OUT):
        folder.mkdir(parents=True, exist_ok=True)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {name}, {os.cpu_count()} cores", flush=True)
    call = sys.argv[1]
    try:
        {"study": study, "weights": weights, "double": double}[call](float(sys.argv[2]))
    finally:
        results = {p.stem: torch.load(p, weights_only=True) for p in sorted(RESULTS.glob("*.pt"))}
        files: dict[str, dict[str, dict[str, torch.Tensor]]] = {}
        for name, tensors in results.items():
            home = name.partition("@")[0] if "@" in name or "study" in name else "weights"
            if "@" in name or "study" in name:  # to look at only: half the size
                tensors = {key: value.half() for key, value in tensors.items()}
            home = "double" if name.endswith("-x2") else home
            home = f"study-{name[-1]}" if "study" in name else home
            files.setdefault(home, {})[name] = tensors
        for home, content in files.items():
            if home.startswith("study") == (call == "study"):
                torch.save(content, OUT / f"{home}.pt")
        logs = {p.stem: json.loads(p.read_text()) for p in sorted(RESULTS.glob("*.json"))}
        (OUT / "logs.json").write_text(json.dumps(logs))
        print(f"{call}: {time.monotonic() - begun:.1f} s in all", flush=True)


if __name__ == "__main__":
    main()
