"""Models made of a seed and its experts: ensembles, routers and mixtures of their blocks."""
