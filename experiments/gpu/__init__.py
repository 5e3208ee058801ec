"""Weights trained in minutes on a lent GPU: what is packed, what runs there, what comes back."""
