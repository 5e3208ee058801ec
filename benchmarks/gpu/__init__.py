"""The parts of `benchmarks/gpu.sh`: what only a GPU shows."""
