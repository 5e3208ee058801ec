"""Tests of fusing frames."""
