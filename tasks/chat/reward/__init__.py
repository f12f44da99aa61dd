"""Reward models: an answer to a number, trained on pairs."""
