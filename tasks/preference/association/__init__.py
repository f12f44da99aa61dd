"""Correlations of benchmarks with human ratings, and what the number of models allows to say about them."""
