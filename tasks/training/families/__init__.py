"""Families of seed models, one file each, listed here; a recipe names one in `model.family`."""

from tasks.method import by_name, listed, settings_of
from tasks.training.families import llama_family, moe_family, qwen3_family
from tasks.training.families.family import Family

FAMILIES: tuple[Family, ...] = listed(globals(), "FAMILY")
FAMILIES_BY_NAME = by_name(FAMILIES)
ModelChoice = settings_of(FAMILIES, default="llama")
