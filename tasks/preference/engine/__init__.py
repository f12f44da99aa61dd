"""Regressions of many ratings on many benchmarks at once, and how they are tried on what they have not seen."""
