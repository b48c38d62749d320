"""Validation curves of cells: losses over the bytes trained on, and where two of them cross."""
