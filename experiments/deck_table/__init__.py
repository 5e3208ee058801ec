"""The deck's table, again, on real photographed pairs."""
