"""Proximal policy optimisation of a chat model against the reward models."""
