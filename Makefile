# Python 3.11 or newer is needed, and nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-long lint clean

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-9s %s\n", $$1, $$2}'

# Redone when what is to be installed changes.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/installed ## a grid of 168 cells on two cores, then D_T and a report: 3 minutes
	$(BIN)/python sweeps/grid.py
	$(BIN)/raydt analyze

test: $(VENV)/installed ## all units, and one small grid through Ray, MLflow and analyze
	$(BIN)/python -m pytest -n 2 -m "not integration"

test-all: test ## and clusters, servers and kills
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "integration and not long"

test-long: $(VENV)/installed ## storms over machines, the audit of the ledger, ten thousand histories, a SLURM: an hour
	$(BIN)/python -m pytest -m long

lint: $(VENV)/installed ## ruff and mypy --strict
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean: ## remove the environment
	rm -rf $(VENV)
