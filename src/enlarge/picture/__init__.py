"""Enlarging one picture: forecast → bands of rows → tiles → engine → bands of rows → file."""
