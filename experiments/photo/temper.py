"""Write photo-sharp's files anew, part of the way back to photo.

    python -m experiments.photo.temper 0.4 --out FOLDER

What the discriminator taught in half a minute brought a visible grid with it. The files
in FOLDER are `photo` moved by that share of the way to the shipped `photo-sharp`, under its name
and without scores: copy them over the shipped ones, then `python -m benchmarks.score`. A share of
what was already tempered is a share of the rest.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from enlarge.weights.catalog import find_weights
from enlarge.weights.mixing import checked_strength, mixed_onnx, mixed_safetensors


def main() -> None:
    """Mix and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("share", type=float)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    share = checked_strength(arguments.share)
    plain, sharp = find_weights("photo"), find_weights("photo-sharp")
    data = f"{sharp.card.data}; {share:g} of the way from photo"
    card = replace(sharp.card, data=data, scores={})
    arguments.out.mkdir(parents=True, exist_ok=True)
    for mix, suffix in ((mixed_onnx, ".onnx"), (mixed_safetensors, ".safetensors")):
        first, second = (w.path.with_suffix(suffix).read_bytes() for w in (plain, sharp))
        (arguments.out / f"photo-sharp{suffix}").write_bytes(mix(first, second, share, card))


if __name__ == "__main__":
    main()
