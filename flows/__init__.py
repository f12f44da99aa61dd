"""The wiring: the whole pipeline on one page (`flows.experiment`), recipes, and the command line."""

from storage.shadowed import check_not_shadowed

check_not_shadowed()
