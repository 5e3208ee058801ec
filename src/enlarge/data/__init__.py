"""Data for training: photographs, pairs, degradations, and the patches that a step sees."""
