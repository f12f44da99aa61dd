"""Mixtures against each other at real training: the same tokens, several seeds, several budgets."""
