# Everything here sets up .venv by itself; Python ≥ 3.11 and make are all that a machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# make test TEST_PROCESSES=8 on a larger machine; each takes one thread and about 1.5 GB.
TEST_PROCESSES ?= 2

STUDIES := $(basename $(notdir $(wildcard studies/*.toml)))

# What is compiled once is kept, whatever the environment says: tests, and modules whose shapes are checked, take 16 s.
TEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest

.PHONY: demo studies test collect check lint bench docs format test-arviz1 clean

demo: $(READY)  ## the main job on data/quickstart: a table, a plot, a report
	$(BIN)/bayesrm demo --out demo

studies: $(READY)  ## every study on data/quickstart, reports in runs/: some 80 minutes on two cores
	for name in $(STUDIES); do $(BIN)/bayesrm study $$name --workers 2 --out runs/$$name || exit 1; done

test: $(READY)  ## the whole test suite
	$(TEST) --numprocesses $(TEST_PROCESSES) --dist worksteal

collect: $(READY)  ## the tests compiled, which each process of make test would do for itself
	$(TEST) --collect-only -qq > /dev/null

check: lint  ## lint, format, types, direction of imports
	$(BIN)/python -m pytest tests/test_imports.py

lint: $(READY)  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## ratios against naive implementations, written to bench.json
	$(BIN)/python tests/benchmarks/run.py --out bench.json

docs: $(VENV)/.docs  ## the documentation, in docs/_build/html; its tutorials are executed, a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -n -j 2 -q -b html docs docs/_build/html

test-arviz1: $(READY)  ## files written here, opened by arviz 1.x on a newer Python, where there is one
	$(BIN)/python tests/arviz1/run.py

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo build *.egg-info

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("bayesrm needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": set PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	@echo "Setting up $(VENV) with everything that bayesrm and its tests need. pip downloads some 0.5 GB, which takes a"
	@echo "few minutes, and $(VENV) takes 2 GB of disk; some gigabytes more where pip picks a build of torch with CUDA."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	@echo "$(VENV) is complete and takes $$(du -sh $(VENV) | cut -f1) of disk; make clean removes it."
	@touch $@

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@
