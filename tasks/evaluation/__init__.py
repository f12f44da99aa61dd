"""How good a causal language model is: benchmarks and held-out text, every score with its standard error."""
