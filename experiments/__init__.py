"""Scripts that made the shipped weights and their training pictures: one folder each."""
