"""Measures the client beside a bare loop, the official SDK and a callback script: `python -m benchmarks`."""
