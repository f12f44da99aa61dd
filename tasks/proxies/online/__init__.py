"""Mixtures that are learnt inside the training loop of small proxies: DoReMi, ODM and Skill-it."""
