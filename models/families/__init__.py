"""Architectures of seed models, one file each, and what a mixture of experts needs to train."""
