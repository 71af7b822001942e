# Everything a person does with this project, each target from nothing but Python and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Read as vmjira itself reads it: the environment wins. honcho's own reader lets the file win, and drops blanks and quotes.
WITH_DOTENV = $(if $(wildcard .env),$(BIN)/dotenv -f .env run --no-override --)

.DEFAULT_GOAL := help
.PHONY: help demo run test check bench clean python

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## a whole system to look at: sandbox Jira, server, worker and six weeks of made-up scans
	$(BIN)/vmjira demo

run: $(VENV)/.installed ## the server and one worker, with the settings of the environment and of .env
	PATH="$(CURDIR)/$(BIN):$$PATH" $(WITH_DOTENV) $(BIN)/honcho -e /dev/null start

test: $(VENV)/.installed-dev ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.installed-dev ## format, lint, types, who may import whom, and the rule files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vmjira rules check rules

bench: $(VENV)/.installed-dev ## how fast scans and webhooks are taken in, pages are shown, and how many calls the tracker gets
	$(BIN)/python -m bench.read
	$(BIN)/python -m bench.fold
	$(BIN)/python -m bench.calls
	$(BIN)/python -m bench.webhooks
	$(BIN)/python -m bench.pages

clean: ## removes the virtual environment and caches; scans, ledger and tickets in var/ stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "$(PYTHON): not found. Install Python 3.11 or later, or name it: make demo PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), but 3.11 or later is needed. Name one: make demo PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# Made once, and again when what is to be installed has changed.
$(VENV)/.installed: requirements.txt pyproject.toml | python
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
