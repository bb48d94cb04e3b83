# Two commands matter: `make demo` and `make test`. Each prepares the .venv itself.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
REQUIREMENTS := requirements/dev.txt

.PHONY: setup demo test test-tools test-fast lint format lock bench-ingest bench-engine bench-notifier bench-insights chaos chaos-planted clean

setup: .venv/.complete

.venv/.complete: $(REQUIREMENTS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Firstvalue needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	$(BIN)/firstvalue demo

# Fast tests first: a mistake in a rule shows before any server starts. They share nothing and run two at a time; the rest
# shares servers and the machine's cores, and runs one by one.
test: lint test-tools tests/node/node_modules
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit tests/contract tests/simulator
	$(BIN)/python -m pytest tests/conformance tests/integration tests/clients tests/faults tests/e2e

# What tests/clients needs beyond Python: Node packages by their lock file, and Chromium. Where it may not be installed
# these tests are skipped by name, except with CI=true.
test-tools:
	@command -v npm >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -yqq --no-install-recommends nodejs npm; } || true
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -yqq --no-install-recommends chromium; } || true
	@! command -v npm >/dev/null || test tests/clients/node_modules -nt tests/clients/package-lock.json || \
	    { npm ci --prefix tests/clients --silent && touch tests/clients/node_modules; } || true

# Published JavaScript packages that the product is held against. Without npm their tests are skipped by name; in CI none is.
tests/node/node_modules: tests/node/package-lock.json
	@if command -v npm > /dev/null; then npm ci --silent --no-audit --no-fund --prefix tests/node && touch $@; \
	else echo "no npm: tests that need Node.js are skipped"; fi || [ "$$CI" != true ]

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

bench-ingest bench-engine bench-notifier bench-insights: setup
	$(BIN)/python -m tests.bench.$(subst -,_,$(@:bench-%=%))

# Random faults on the real services for MINUTES, or every fault once without them; SEED repeats a run.
chaos: setup
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

# The same with a bug planted in each service: green when every one of them is found.
chaos-planted: setup
	$(BIN)/python -m tests.chaos.planted

# Asks a public service; shut when a package is vulnerable or was not looked at. Leaves build/sbom.cdx.json.
.PHONY: audit
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

# promtool and a Prometheus for the tests, where they may be installed; without them those tests say so and skip.
.PHONY: prometheus
test: prometheus
prometheus:
	@command -v promtool >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	    apt-get install -qq -y --no-install-recommends prometheus >/dev/null; } || true
