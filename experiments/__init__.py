"""Experiments: a folder each, with a script, its raw results and a README."""
