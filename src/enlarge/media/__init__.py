"""Pixels in and out: picture files by rows (libvips), metadata, and exact bicubic resampling."""
