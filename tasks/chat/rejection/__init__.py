"""Rejection sampling: the best of many answers by the reward model are trained on."""
