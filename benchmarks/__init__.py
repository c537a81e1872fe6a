"""Measurements, each a program of its own: `python -m benchmarks.NAME` from the root of the project."""
