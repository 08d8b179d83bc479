# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test test-slow check bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    set up if needed, run configs/demo.yaml, print the laws and the report's path"
	@echo "make test    set up if needed, run the default tests"
	@echo "make check   format, lint, types"
	@echo "make bench   ours beside the peers, on this machine"

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: setup
	$(BIN)/widesweep run configs/demo.yaml
	$(BIN)/widesweep analyze results/demo.zarr
	$(BIN)/widesweep report results/demo.zarr

test: setup
	$(BIN)/python -m pytest -q

test-slow: setup
	$(BIN)/python -m pytest -q -m slow

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
