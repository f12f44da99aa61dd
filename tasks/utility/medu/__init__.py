"""MEDU: a language model describes benchmarks and labels documents (Held et al. 2025, arXiv 2501.11747)."""
