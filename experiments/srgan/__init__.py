"""SRGAN, tiny, against L1 alone."""
