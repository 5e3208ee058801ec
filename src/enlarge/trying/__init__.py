"""`enlarge try`: a part of one picture by every model at hand, side by side."""
