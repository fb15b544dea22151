# Every target sets up what it needs; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV_VERSION := 0.13.9
LOCK := $(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header -q -o requirements.lock

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/uv:
	@echo "==> creating the virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): requirements.lock pyproject.toml | $(BIN)/uv
	@echo "==> installing the locked dependencies"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: venv
venv: $(STAMP) ## Make the virtual environment

.PHONY: deps
deps: $(STAMP) ## Build the test bed's binaries (once; 10 to 15 minutes on two cores)
	@$(BIN)/python -m testbed build

.PHONY: lock
lock: | $(BIN)/uv ## Renew requirements.lock from pyproject.toml
	@$(LOCK) --upgrade

.PHONY: lint
lint: $(STAMP) ## Style, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: unit
unit: $(STAMP) ## Tests that need no test bed
	@$(BIN)/pytest tests/unit

.PHONY: test
test: $(STAMP) lint deps ## Everything: lint, types, contracts, unit and end-to-end tests
	@$(BIN)/pytest -n 2 --dist loadfile

.PHONY: demo
demo: $(STAMP) ## Watch the operator work; ARGS=--once runs it to the end and checks
	@$(BIN)/python -m testbed build
	@$(BIN)/python -m testbed.demo $(ARGS)

.PHONY: bench
bench: $(STAMP) ## Measure the operator and write docs/benchmarks.md; ARGS="--only calls", ARGS=--long
	@$(BIN)/python -m testbed build
	@$(BIN)/python -m tests.benchmarks $(ARGS)

.PHONY: crds
crds: $(STAMP) ## Write crds/ anew from the models
	@$(BIN)/vsphere-operator crds --output crds

.PHONY: clean
clean: ## Remove the virtual environment and caches of this checkout
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
