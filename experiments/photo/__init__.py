"""How the models for real photographs do, and where they invent."""
