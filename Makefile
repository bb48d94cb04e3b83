# Two commands matter: `make demo` and `make test`. Each prepares the .venv itself.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
REQUIREMENTS := requirements/dev.txt

.PHONY: setup demo test test-tools test-fast lint format lock bench-ingest bench-engine bench-notifier bench-insights bench-pipeline chaos chaos-planted soak-ingest audit clean

setup: .venv/.complete

.venv/.complete: $(REQUIREMENTS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Firstvalue needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	$(BIN)/firstvalue demo

# Fast tests first: a mistake in a rule shows before any server starts, and one in a service before anything is killed.
# Two files run at a time, each process with servers of its own.
test: lint test-tools
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit tests/contract tests/simulator
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/conformance tests/integration tests/clients
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/faults tests/e2e

# What tests need beyond Python, installed where it may be: Debian packages as package:program, and the published
# JavaScript packages. What is missing afterwards skips its tests by name; with CI=true it fails them.
TOOLS := nodejs:node npm:npm chromium:chromium prometheus:promtool golang-go:go
test-tools:
	@missing=; for tool in $(TOOLS); do command -v $${tool#*:} >/dev/null || missing="$$missing $${tool%:*}"; done; \
	test -z "$$missing" || { test "$$(id -u)" = 0 && apt-get update -qq && \
	    apt-get install -yqq --no-install-recommends $$missing >/dev/null; } || echo "not installed:$$missing"
	@test tests/node_modules/.package-lock.json -nt tests/package-lock.json || \
	    npm ci --silent --no-audit --no-fund --prefix tests || echo "not installed: the packages of tests/package.json"

test-fast: setup
	$(BIN)/python -m pytest tests/unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_tidy.py

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# ARGUMENTS are the benchmark's own: make bench-pipeline ARGUMENTS=--short
bench-ingest bench-engine bench-notifier bench-insights bench-pipeline: setup
	$(BIN)/python -m tests.bench.$(subst -,_,$(@:bench-%=%)) $(ARGUMENTS)

# Random faults on the real services for MINUTES, or every fault once without them; SEED repeats a run.
chaos: setup
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

# The same with a bug planted in each service: green when every one of them is found.
chaos-planted: setup
	$(BIN)/python -m tests.chaos.planted

# Ingest at full load while Kafka is away: SECONDS (600) by kill -9, as long by SIGSTOP, a minute without leaders.
soak-ingest: setup
	$(BIN)/python -m tests.soak $(if $(SECONDS),--seconds $(SECONDS))

# Asks a public service; shut when a package is vulnerable or was not looked at. Leaves build/sbom.cdx.json.
audit: setup
	$(BIN)/python -m deploy.audit

# Needs uv; writes pinned, hashed requirement files without addresses.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    pyproject.toml -o requirements/runtime.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    pyproject.toml --group local --group demo --group test --group audit --group lint --group build -o requirements/dev.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
