# Sets everything up in .venv, from a fresh clone, and runs it. `make help` lists the targets.

PYTHON ?= python3
PORT ?= 5000
MINUTES ?= 60
N ?= 10
VENV := .venv
# More processes than processors: more than half of the time a test waits for another process.
TESTS := $(VENV)/bin/python -m pytest -n 6 --dist loadfile --no-loadscope-reorder
DEV_EXTRAS := embedded jinja2 genshi test docs dev
# The folder of constraints.txt and psycopg2-from-binary, which lock.py writes.
LOCK := .
LOCKED = --quiet --constraint $(LOCK)/constraints.txt
# pip takes seconds to minutes for what uv does in one or a few.
INSTALL = $(VENV)/bin/uv pip install --python $(VENV)/bin/python $(LOCKED)
# uv reads no pip.conf, where many have an index of their own.
INDEX = UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$($(VENV)/bin/python -m pip config list | sed -n "/\.index-url=/{s/^[^']*'\(.*\)'$$/\1/p;q;}")}"
FAILED = { echo "The installation failed; the reason stands above. If it is the network, type the same command again later."; exit 1; }
SOURCES = setup.py pyproject.toml simpycity_template_pylons_py3.pth $(LOCK)/constraints.txt $(LOCK)/psycopg2-from-binary/pyproject.toml

.PHONY: help demo test test-stress check test-all soak odd-requests lint docs screenshots bench lock test-latest test-oldest clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1: /p' Makefile

demo: $(VENV)/demo.done  ## create a project, and serve it; PORT=8080 make demo for another port
	@$(VENV)/bin/python demo.py --port $(PORT)

test: $(VENV)/dev.done  ## run all tests
	$(TESTS) $(SELECTED)

test-stress: $(VENV)/dev.done  ## run all tests ten times while each processor is busy; N=3 make test-stress for three
	$(VENV)/bin/python tests/stress.py $(N) $(TESTS)

check: $(VENV)/dev.done  ## check style and types, and run the tests that are quick and start no process
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(TESTS) -n 2 -q -m 'not process and not slow'

test-all: $(VENV)/dev.done  ## run all tests on each Python from 3.10 to 3.14 that is on the PATH
	$(VENV)/bin/tox

soak: $(VENV)/dev.done  ## use the manager at random and kill its sessions; MINUTES=60 make soak
	SOAK_MINUTES=$(MINUTES) $(VENV)/bin/python -m pytest --timeout 0 tests/test_machine.py

odd-requests: $(VENV)/dev.done  ## send 20,000 odd requests to an application of each template engine
	ODD_REQUESTS=20000 $(VENV)/bin/python -m pytest --timeout 0 -s -k odd_request tests/security/test_each_engine.py

lint: $(VENV)/dev.done  ## check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

docs: $(VENV)/dev.done  ## build the documentation into docs/_build
	$(VENV)/bin/python -m sphinx -q -W docs docs/_build
	@echo "The documentation begins at file://$(CURDIR)/docs/_build/index.html"

screenshots: $(VENV)/dev.done  ## take the pictures of the documentation anew
	SCREENSHOTS=docs/images $(VENV)/bin/python -m pytest tests/project/test_browser.py tests/test_status_page.py

bench: $(VENV)/bench.done  ## compare the speed with what people would pick instead; takes minutes
	$(VENV)/bin/python benchmarks/compare.py
	$(VENV)/bin/python benchmarks/cost.py
	$(VENV)/bin/python benchmarks/models.py
	$(VENV)/bin/python benchmarks/pages.py
	$(VENV)/bin/python benchmarks/servers.py
	$(VENV)/bin/python benchmarks/growth.py

lock: $(VENV)/bin/uv  ## write the newest versions of what we install into constraints.txt; KEEP=1 only adds
	@$(INDEX) $(VENV)/bin/python lock.py $(if $(KEEP),--keep) .

test-latest: $(VENV)/bin/uv  ## run all tests with the newest versions of everything, in .latest
	@$(INDEX) $(VENV)/bin/python lock.py --extras $(DEV_EXTRAS) -- .latest
	@$(MAKE) test VENV=.latest/venv LOCK=.latest

test-oldest: $(VENV)/bin/uv  ## run most tests with the oldest versions that setup.py allows, in .oldest
	@$(INDEX) $(VENV)/bin/python lock.py --oldest --extras $(DEV_EXTRAS) -- .oldest
	@echo "Left out: the tests marked slow (whole projects, tutorials, servers, each at length)."
	@$(MAKE) test VENV=.oldest/venv LOCK=.oldest SELECTED="-m 'not slow'"

clean:  ## remove what the other targets made
	rm -rf $(VENV) .latest .oldest .demo build dist docs/_build *.egg-info .*_cache

# Each tells by its age when its extras were last installed, in the versions of constraints.txt.

$(VENV)/demo.done: EXTRAS := embedded
$(VENV)/dev.done: EXTRAS := $(DEV_EXTRAS)
$(VENV)/bench.done: EXTRAS := embedded bench

# Built with the setuptools of constraints.txt, and not with what is newest on that day.
$(VENV)/%.done: $(SOURCES) | $(VENV)/bin/uv
	@echo "Installing into $(VENV): $(EXTRAS) ..."
	@export $(INDEX); { $(INSTALL) pip setuptools && \
	  $(INSTALL) --no-build-isolation $(LOCK)/psycopg2-from-binary && \
	  $(INSTALL) --no-build-isolation --editable ".[$$(echo $(EXTRAS) | tr ' ' ,)]"; } || $(FAILED)
	@touch $@

$(VENV)/bin/uv: | $(VENV)/made
	@$(VENV)/bin/python -m pip --disable-pip-version-check install --no-compile $(LOCKED) uv || $(FAILED)

# Anew, whatever is there: an environment that was interrupted, or one of an earlier Makefile.
$(VENV)/made:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "There is no $(PYTHON): install Python 3.10 or later."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "`$(PYTHON) --version 2>&1` is too old: PYTHON=python3.12 make ..., or another from 3.10 on."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments: apt install python3-venv (Debian, Ubuntu)."; exit 1; }
	@echo "Making $(VENV) with `$(PYTHON) --version` ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@
