"""The things that are measured, a module for each kind: `measure(scale)` returns its rows."""
