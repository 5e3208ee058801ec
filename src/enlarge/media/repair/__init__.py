"""Damaged pictures: those that lack only their end, and what is left of others."""
