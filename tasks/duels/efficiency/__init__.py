"""Dense models and mixtures of experts compared at equal FLOPs."""
