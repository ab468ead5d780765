# Everything a user or CI runs. Targets set up what they need; nothing outside this folder is changed.
PYTHON ?= python3
BIN := .venv/bin

OPA_VERSION := v1.22.2
POCKETBASE_VERSION := v0.34.0

# Images often switch byte code off. Tests and benchmarks start hundreds of processes: each would compile the whole package again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup tools run test check bench bench-against soak reliability dist lock clean

setup: .venv/.ready

.venv/.ready: requirements/dev.txt pyproject.toml demo/pyproject.toml
	@echo "setting up .venv (first time: about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "killcord needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable demo
	@touch $@

# What the tests start beside the gateway, in .tools: a real OPA, which both engines have to answer like; nginx, before a real tool; and real
# tools: PocketBase, and those of requirements/tools.txt. What cannot be installed is skipped, loudly.
tools: .tools/python/.ready
	@if command -v opa >/dev/null || test -x .tools/opa; then :; \
	elif command -v go >/dev/null; then \
	  echo "building opa $(OPA_VERSION) into .tools (first time: some minutes)"; \
	  GOBIN=$(CURDIR)/.tools GOFLAGS=-mod=mod go install github.com/open-policy-agent/opa@$(OPA_VERSION); \
	else echo "NOTE: neither opa nor go is here: tests against a real OPA will be skipped"; fi
	@if test -x .tools/pocketbase; then :; \
	elif command -v go >/dev/null; then \
	  echo "building pocketbase $(POCKETBASE_VERSION) into .tools (first time: some minutes)"; \
	  GOBIN=$(CURDIR)/.tools GOFLAGS=-mod=mod go install github.com/pocketbase/pocketbase/examples/base@$(POCKETBASE_VERSION) && \
	  mv .tools/base .tools/pocketbase || echo "NOTE: pocketbase cannot be built: tests with it will be skipped"; \
	else echo "NOTE: neither pocketbase nor go is here: tests with it will be skipped"; fi
	@if command -v nginx >/dev/null || test -x .tools/nginx/usr/sbin/nginx; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "unpacking nginx into .tools"; mkdir -p .tools/nginx; cd .tools/nginx; \
	  { apt-get download -qq nginx || { apt-get update -qq && apt-get download -qq nginx; }; } 2>/dev/null && dpkg -x nginx_*.deb . || \
	  echo "NOTE: apt-get cannot download nginx: tests behind a real nginx will be skipped"; \
	else echo "NOTE: neither nginx nor apt-get is here: tests behind a real nginx will be skipped"; fi

	@if ls .tools/faketime/usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "unpacking libfaketime into .tools"; mkdir -p .tools/faketime; cd .tools/faketime; \
	  { apt-get download -qq libfaketime || { apt-get update -qq && apt-get download -qq libfaketime; }; } 2>/dev/null && dpkg -x libfaketime_*.deb . || \
	  echo "NOTE: apt-get cannot download libfaketime: tests that set a clock will be skipped"; \
	else echo "NOTE: apt-get is not here: tests that set a clock will be skipped without the package faketime"; fi

.tools/python/.ready: requirements/tools.txt
	@echo "installing real tools into .tools/python (first time: about a minute)"
	@$(PYTHON) -m venv .tools/python
	@.tools/python/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.txt && touch $@ || \
	  echo "NOTE: requirements/tools.txt cannot be installed: tests with these tools will be skipped"

run: setup
	@$(BIN)/killcord demo

test: setup tools
	@$(BIN)/python -m pytest -q -m "not soak" -n 4 --no-loadscope-reorder

soak: setup tools
	@$(BIN)/python -m pytest -q -m soak

# The tests of docs/reliability.md, and the table there from their results; some five minutes. `make soak` runs the long ones.
reliability: setup tools
	@$(BIN)/python -m pytest -q -m "reliability and not soak" -n 2 --reliability-report docs/reliability.md tests

check: setup tools
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m checks.words
	@$(BIN)/python -m checks.policies

# Compares with peers on this machine and writes docs/performance.md; some twenty minutes. Peers that are not here are skipped, loudly.
bench: setup tools
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@$(BIN)/python -m bench --write-docs

# This build beside another checkout (set up there by `make setup`), in one run: make bench-against OTHER=../killcord-before
bench-against: setup
	@$(BIN)/python -m bench.against $(OTHER)

# The wheels of killcord and of its demo in dist/, from this checkout. The changelog must have a section for its version.
dist: setup
	@version=$$($(BIN)/python -c 'import gateway; print(gateway.__version__)'); \
	  grep -qF "## [$$version] - " CHANGELOG.md || { echo "CHANGELOG.md has no section [$$version]; add it"; exit 2; }
	@rm -rf dist
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --wheel-dir dist . ./demo
	@ls dist/*.whl

lock: setup
	@cd requirements && for name in build run dev bench tools; do \
	  ../$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --strip-extras \
	    --no-emit-index-url --no-emit-find-links --no-header -o $$name.txt $$name.in; done

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
