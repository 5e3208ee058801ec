"""The deck's third limitation, to look at."""
