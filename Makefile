# The two commands of the README are `make demo` and `make test`; CONTRIBUTING.md explains the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test setup check bench up coverage clean
.DEFAULT_GOAL := setup

setup: $(VENV)/.ready  ## leaves .venv/bin/cumulo

$(VENV)/.ready: pyproject.toml scripts/setup
	scripts/setup "$(PYTHON)" "$(VENV)"
	touch $@

demo: setup  ## start a cloud, deploy an application, call it, show its logs and its bill
	$(BIN)/python scripts/demo.py

test: setup check  ## everything that this machine can run
	scripts/test-tools
	$(BIN)/python -m pytest -n 3 --dist loadfile

check: setup  ## style, types, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## the budgets, each measured against a floor or a peer in the same run
	scripts/test-tools
	$(BIN)/python -m benchmarks

up: setup
	$(BIN)/cumulo up

coverage: setup  ## writes docs/coverage.md from the code
	$(BIN)/python scripts/coverage.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
