"""How the 8-bit forms of the bundled models are made."""
