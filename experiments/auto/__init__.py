"""The limits of the model `auto`."""
