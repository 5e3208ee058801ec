"""Damaged pictures: what lacks only its end, and what can be had of others."""
