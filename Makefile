# One command per task, the same by hand, in hooks and in CI.
PYTHON ?= python3
BIN    := .venv/bin
RUN    := .venv/.stamp-run
DEV    := .venv/.stamp-dev

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types unit fuzz bench check-train clean

help:            ## what can be made
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:  +##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

$(RUN): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(RUN) $@

demo: $(RUN)     ## run the main pipeline on generated flights and print the report's path
	$(BIN)/bigml run pipelines/airline_delays.py --out demo

test: lint types unit  ## everything that must hold

lint: $(DEV)     ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(DEV)   ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(DEV)    ## mypy, strict
	$(BIN)/mypy

unit: $(DEV)     ## pytest: tests and doctests, in two processes, a file in one
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

fuzz: $(DEV)     ## the tests that draw their examples, on new ones
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m hypothesis --hypothesis-profile=fuzz tests

bench: $(DEV)    ## every benchmark, small; `.venv/bin/python -m benchmarks --full` for the full size
	$(BIN)/python -m benchmarks

check-train: $(DEV)  ## Keras models on real data (BIGML_DATA), to the figures that they must reach; about 40 minutes
	BIGML_TRUSTED_NETWORK=1 $(BIN)/python benchmarks/real_training.py

clean:           ## remove what make made
	rm -rf .venv demo runs dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
