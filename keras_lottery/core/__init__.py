"""Pruning in NumPy: pure functions, arrays in, new arrays out."""
