"""Data for training: photographs, pairs, and the patches that a step sees."""
