PYTHON ?= python3
HASHED := --require-hashes --only-binary :all:
PIP := .venv/bin/python -m pip install -q --disable-pip-version-check
ARGS ?=
SEEDS ?= 300
FIRST ?= 1
DAYS ?= 5
MINUTES ?= 0

.PHONY: help demo picture test check sim kills bench audit sbom wheels install uninstall lock clean
help:
	@echo "make demo    watch it work, on stand-ins of both providers (about a minute the first time)"
	@echo "make picture the demo's screen as docs/demo*.svg, byte for byte the same each time; a test compares them"
	@echo "make test    every test, on SQLite and on a real Postgres"
	@echo "make check   format, lint, types, tests: what CI runs"
	@echo "make sim     lives drawn from seeds, all faults in them, held against the truth (SEEDS=300 DAYS=5 FIRST=1)"
	@echo "make kills   the real daemon, killed with SIGKILL ROUNDS times (2000; about two seconds each), truth checked after each"
	@echo "make bench   how fast it takes history in, and what idle polls cost, one JSON line for each figure"
	@echo "make audit   are there known vulnerabilities in what the locks pin? asks the Python advisory database"
	@echo "make sbom    what it is made of: a CycloneDX list of every package that the locks pin, with its hashes"
	@echo "make install    as root: the program, its units and an example configuration; again: an upgrade"
	@echo "make uninstall  takes them away again, keeps configuration, keys and data"
	@echo "make lock    pin the dependencies anew (maintainers; needs uv)"

demo: .venv/.run
	.venv/bin/porting-aggregator demo

test: .venv/.test
	.venv/bin/python -m pytest $(ARGS)

picture: .venv/.run
	.venv/bin/porting-aggregator demo --picture docs/demo.svg

check: .venv/.test
	.venv/bin/ruff format --check aggregator tests bench
	.venv/bin/ruff check aggregator tests bench
	.venv/bin/mypy
	$(MAKE) --no-print-directory test

sim: .venv/.test
	@PYTHONPATH=tests .venv/bin/python tests/simulation/sim.py --seeds $(SEEDS) --first $(FIRST) --days $(DAYS) --minutes $(MINUTES)

ROUNDS ?= 2000
kills: .venv/.test
	.venv/bin/python tests/kills.py --rounds $(ROUNDS) $(ARGS)

bench: .venv/.test
	.venv/bin/python bench/backfill.py
	.venv/bin/python bench/polls.py

# PREFIX, DESTDIR, UNITS, SYSUSERS, PYTHON and PIP_ARGS are explained there.
install uninstall:
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' UNITS='$(UNITS)' SYSUSERS='$(SYSUSERS)' PYTHON='$(PYTHON)' \
		PIP_ARGS='$(PIP_ARGS)' sh systemd/install.sh $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is missing; type: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.run: requirements.txt pyproject.toml | .venv/bin/python
	@echo "Installing into .venv: about 20 seconds, 170 MB."
	@$(PIP) $(HASHED) -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.test: requirements-test.txt .venv/.run
	@echo "Installing the test tools into .venv: about 15 seconds, 240 MB (a Postgres server among them)."
	@$(PIP) $(HASHED) -r requirements-test.txt
	@touch $@

.venv-audit/.done: requirements-audit.txt
	$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip install -q --disable-pip-version-check $(HASHED) -r requirements-audit.txt
	@touch $@

# Only what the locks say is looked up, hash by hash: nothing is resolved, downloaded or built for it.
audit: .venv-audit/.done
	.venv-audit/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes -r requirements.txt
	.venv-audit/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes -r requirements-test.txt
	.venv-audit/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes -r requirements-audit.txt

# What it is made of, as CycloneDX 1.6, from the locks alone: nothing is asked of anybody, nothing installed is looked at.
SBOM := .venv-audit/bin/python -W ignore -m cyclonedx_py requirements --pyproject pyproject.toml --mc-type application --sv 1.6 \
	--output-reproducible --of JSON
sbom: .venv-audit/.done
	@mkdir -p dist
	@$(SBOM) -o dist/sbom.cdx.json requirements.txt
	@$(SBOM) -o dist/sbom-test.cdx.json requirements-test.txt
	@$(SBOM) -o dist/sbom-audit.cdx.json requirements-audit.txt
	@echo "dist/sbom.cdx.json (what is installed), dist/sbom-test.cdx.json and dist/sbom-audit.cdx.json (its tools)"

# Is there a wheel of everything for every Python and machine we speak of? Downloads them, installs nothing.
wheels: .venv-audit/.done
	@for python in 3.11 3.12 3.13; do for machine in x86_64 aarch64; do \
		.venv-audit/bin/python -m pip install -q --disable-pip-version-check --dry-run --ignore-installed --no-deps $(HASHED) \
		--python-version $$python --platform manylinux2014_$$machine --platform manylinux_2_28_$$machine \
		--target .venv-audit/none -r requirements.txt && echo "Python $$python, $$machine: wheels only" || exit 1; \
	done; done

LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes --only-binary :all: \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate
lock:
	$(LOCK) pyproject.toml --group build -o requirements.txt
	$(LOCK) pyproject.toml --group test -o requirements-test.txt
	$(LOCK) --group audit -o requirements-audit.txt

clean:
	rm -rf .venv .venv-audit demo .pytest_cache .mypy_cache .ruff_cache
