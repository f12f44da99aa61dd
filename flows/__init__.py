"""The wiring: the whole pipeline on one page (`flows.experiment`), recipes, and the command line."""
