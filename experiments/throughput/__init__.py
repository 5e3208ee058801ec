"""Training throughput against a plain loop."""
