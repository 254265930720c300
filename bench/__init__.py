"""Measured figures, each beside its reference in the same run: `make bench`.

A line is {"name", "value", "unit", "reference", "ratio"}. Absolute times are of the machine that
ran it; the ratios hold elsewhere. `docs/performance.md` keeps results with their date.
"""
