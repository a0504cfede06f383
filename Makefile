PYTHON ?= python3
HASHED := --require-hashes --only-binary :all:
PIP := .venv/bin/python -m pip install -q --disable-pip-version-check
ARGS ?=

.PHONY: help demo test check kills bench lock clean
help:
	@echo "make demo    watch it work, on stand-ins of both providers (about a minute the first time)"
	@echo "make test    every test, on SQLite and on a real Postgres"
	@echo "make check   format, lint, types, tests: what CI runs"
	@echo "make kills   the real daemon, killed with SIGKILL ROUNDS times (2000; about two seconds each), truth checked after each"
	@echo "make bench   how fast it takes history in, one JSON line for each figure"
	@echo "make lock    pin the dependencies anew (maintainers; needs uv)"

demo: .venv/.run
	.venv/bin/porting-aggregator demo

test: .venv/.test
	.venv/bin/python -m pytest $(ARGS)

check: .venv/.test
	.venv/bin/ruff format --check aggregator tests bench
	.venv/bin/ruff check aggregator tests bench
	.venv/bin/mypy
	$(MAKE) --no-print-directory test

ROUNDS ?= 2000
kills: .venv/.test
	.venv/bin/python tests/kills.py --rounds $(ROUNDS) $(ARGS)

bench: .venv/.test
	.venv/bin/python bench/backfill.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is missing; type: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.run: requirements.txt pyproject.toml | .venv/bin/python
	@echo "Installing into .venv: about 20 seconds, 120 MB."
	@$(PIP) $(HASHED) -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.test: requirements-test.txt .venv/.run
	@echo "Installing the test tools into .venv: about 15 seconds, 300 MB (a Postgres server among them)."
	@$(PIP) $(HASHED) -r requirements-test.txt
	@touch $@

LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes --only-binary :all: \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate pyproject.toml
lock:
	$(LOCK) --group build -o requirements.txt
	$(LOCK) --group test -o requirements-test.txt

clean:
	rm -rf .venv demo .pytest_cache .mypy_cache .ruff_cache
