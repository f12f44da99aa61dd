"""Duels: mixtures against each other, ways to combine experts against each other, at real training."""
