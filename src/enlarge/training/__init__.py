"""Learning: a recipe and pictures in, a self-describing model out."""
