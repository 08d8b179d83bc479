# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Rebuilds all pages each time, because generated pages change with the code.
SITE := $(BIN)/python -m sphinx --fresh-env --write-all --fail-on-warning --keep-going --quiet docs site

.PHONY: help setup demo gallery test test-slow test-drills test-base test-notebooks test-slurm test-components test-compose check docs bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    set up if needed, run configs/demo.yaml, print the laws and the path of the report"
	@echo "make gallery    regenerate published results, each with a control that must fail"
	@echo "make test    set up if needed, run the default tests"
	@echo "make test-slow, test-notebooks    the long tests; only those of the notebooks"
	@echo "make test-drills    faults done to real processes (some as root: host names, clocks)"
	@echo "make test-base    the package without torch and Ray, on Python 3.12 and 3.13"
	@echo "make test-slurm, test-compose    tests on a real Slurm of two nodes; on real containers"
	@echo "make test-components    tests on a real S3 server, Slurm and several hosts"
	@echo "make check   format, lint, types, and the site without a warning"
	@echo "make docs    the site, into site/"
	@echo "make bench   measure widesweep and its peers on this machine"

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "setting up $(VENV) with torch, Ray and the tools of the tests, pinned by constraints.txt; about two minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: setup
	$(BIN)/widesweep run configs/demo.yaml
	$(BIN)/widesweep analyze results/demo.zarr
	$(BIN)/widesweep report results/demo.zarr

gallery: setup
	$(BIN)/widesweep gallery --all

test: setup
	$(BIN)/python -m pytest -q

test-slow: setup
	$(BIN)/python -m pytest -q -m slow

test-drills: setup
	$(BIN)/python -m pytest -q -m slow tests/drills

test-base: setup
	tests/deploy/base.sh

# Runs every notebook from top to bottom, each with its own small sweep.
test-notebooks: setup
	$(BIN)/python -m pytest -q -m slow tests/notebooks

# Real components, installed if they are missing (Debian, root); each prints why it cannot run where it cannot.
test-components: setup
	tests/deploy/components.sh

test-slurm: setup
	tests/deploy/slurm.sh

test-compose: setup
	tests/deploy/compose.sh

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(SITE)
	$(BIN)/python -m tests.audit

docs: setup
	$(SITE)
	@echo "open site/index.html, or serve it: $(BIN)/python -m http.server --directory site 8000"

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build site *.egg-info .pytest_cache .mypy_cache .ruff_cache
