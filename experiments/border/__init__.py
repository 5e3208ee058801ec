"""Leaving the borders of patches out of the loss."""
