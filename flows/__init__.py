"""The wiring: the whole pipeline on one page (`flows.experiment`), recipes, and the command line."""

from storage.shadowed import check_not_shadowed

check_not_shadowed()

from flows.environment import prepare_environment  # noqa: E402

prepare_environment()
