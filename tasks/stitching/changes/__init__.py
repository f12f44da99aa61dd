"""Experts that come and go: one dropped from a stitched model, one added to it."""
