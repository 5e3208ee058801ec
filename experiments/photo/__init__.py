"""Finishing of the `photo-sharp` weights."""
