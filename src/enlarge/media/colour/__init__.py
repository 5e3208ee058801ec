"""What the numbers of pixels mean as colours."""
