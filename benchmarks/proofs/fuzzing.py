"""Mutated pictures: each gives one clear error or a whole result, and never a crash or a hang."""

from __future__ import annotations

from functools import partial

from tests.media.fuzzing import EACH, PATIENCE, fuzz

from benchmarks.proofs.result import Proof, Result

FILES = 5000


def reader(count: int = FILES) -> Result:
    """5,000 mutated files in processes of 100."""
    result = fuzz(count)
    told = ", ".join(f"{count:,} {word}" for word, count in result.said.most_common())
    for fault in result.faults:
        print(f"  {fault}", flush=True)
    return Result(
        f"{count:,} mutated JPEG, PNG, WebP, TIFF, BMP and GIF files through the reader, in "
        f"processes of {EACH}: no crash, no hang beyond {PATIENCE:.0f} s, no output where the "
        "input cannot be read",
        f"{told}; the slowest took {result.slowest:.1f} s; {len(result.faults)} faults",
        not result.faults and result.count == count,
    )


PROOFS: dict[str, Proof] = {"fuzzing": reader}
SMALL: dict[str, Proof] = {"fuzzing": partial(reader, 200)}
