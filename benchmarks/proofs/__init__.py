"""The slow proofs: what `make proof` runs, and what it writes down in docs/proofs.md."""
