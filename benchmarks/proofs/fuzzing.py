"""Mutated pictures: each gives one clear error or a whole result, and never a crash or a hang."""

from __future__ import annotations

from functools import partial

from tests.media.fuzzing import BROKEN, EACH, MEMORY, PATIENCE, fuzz
from tests.media.seeds import seeds
from tests.weights import fuzzing

from benchmarks.proofs.result import Proof, Result

FILES, MODELS, SEED = 20_000, 5_000, 0


def reader(count: int = FILES) -> Result:
    """20,000 mutated files, of every kind of picture, in processes of 500. What gives a fault is
    kept in tests/media/broken, where the tests read it.
    """
    print(f"  {count:,} files, seed {SEED}", flush=True)
    result = fuzz(count, seed=SEED, keep=BROKEN)
    told = ", ".join(f"{count:,} {word}" for word, count in result.said.most_common())
    for fault in result.faults:
        print(f"  {fault}", flush=True)
    formats = sorted({name.split()[0] for name in seeds()})
    return Result(
        f"{count:,} mutated picture files ({', '.join(formats)}; seed {SEED}) through the reader, "
        f"and with --salvage, in processes of {EACH}, {MEMORY >> 20} MiB each: no crash, no hang "
        f"beyond {PATIENCE:.0f} s, nothing but errors of one line, no file left",
        f"{told}; {result.salvaged:,} salvaged; the slowest took {result.slowest:.1f} s; "
        f"{len(result.faults)} faults",
        not result.faults and result.count == count,
    )


def models(count: int = MODELS) -> Result:
    """5,000 mutated model files. What gives a fault is kept in tests/weights/broken."""
    print(f"  {count:,} files, seed {SEED}", flush=True)
    result = fuzzing.fuzz(count, seed=SEED, keep=fuzzing.BROKEN)
    told = ", ".join(f"{count:,} {word}" for word, count in result.said.most_common())
    for fault in result.faults:
        print(f"  {fault}", flush=True)
    return Result(
        f"{count:,} mutated model files (.onnx, .safetensors, .pth; seed {SEED}) opened and run in "
        f"processes of {fuzzing.EACH}, {fuzzing.MEMORY >> 20} MiB each: no crash, no hang beyond "
        f"{fuzzing.PATIENCE:.0f} s, nothing but errors of one line, no result of NaN",
        f"{told}; the slowest took {result.slowest:.1f} s; {len(result.faults)} faults",
        not result.faults and result.count == count,
    )


PROOFS: dict[str, Proof] = {"fuzzing": reader, "fuzzing-models": models}
SMALL: dict[str, Proof] = {
    "fuzzing": partial(reader, 200), "fuzzing-models": partial(models, 100),
}  # fmt: skip
