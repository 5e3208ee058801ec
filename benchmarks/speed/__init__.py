"""Seconds, measured side by side on an otherwise idle machine: `python -m benchmarks.speed`.

Writes benchmarks/speed.json and docs/speed.md. The sections, each of which can be measured alone
(`python -m benchmarks.speed engines plans`); the others then stay as they were recorded:

    process   the command from the shell to the file, by stage, and what starting costs
    pairs     the command against another commit's, 30 pairs (only with --against COMMIT)
    models    every bundled model on the sample photograph
    engines   `fast` at 256² in this package, torch, ONNX Runtime and ncnn, from the same weights
    sides     `fast` and `quality` by the side of the tile, against ONNX Runtime and ncnn
    plans     `fast` and `quality` in automatic tiles on 20 sizes, against the network alone

What is compared is measured in turns, and ratios are taken within a turn. What the processor does
not compute in is left out, and so are ncnn and pnnx where they are missing (`pip install --no-deps
ncnn pnnx`).

`--cap AVX2` limits the instruction sets and records a second set of tables. `--model NAME` limits
`sides` and `plans` to one model. `--try`: tiny, nothing is written.
"""
