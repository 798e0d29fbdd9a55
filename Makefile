# Undula: what one does with a clone. `make` alone says what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
ifndef SEED
SEED := $(or $(UNDULA_SOAK_SEED),$(shell date +%s))
endif
WORKERS ?= 2

.PHONY: help install demo test unit lint form types layers unused format docs bench soak interop
.PHONY: lock clean
help:  ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $(STAMP)

install: $(STAMP)  ## Undula with all that it needs, in .venv

demo: $(STAMP)  ## A simulated beamline: two scans, a file, a plot; then a shell at a terminal
	$(BIN)/undula demo

test: $(STAMP)  ## Everything that must hold before a change is taken
	@$(MAKE) --no-print-directory -j 2 --output-sync=target docs types layers unused form
	@$(MAKE) --no-print-directory unit

unit: $(STAMP)  ## The tests alone
	$(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder \
		-m "not soak and not interop"

lint: form types layers unused  ## Form, types, layers, unused code

form: $(STAMP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

unused: $(STAMP)
	$(BIN)/vulture

format: $(STAMP)  ## Put the code into form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: $(STAMP)  ## The documentation, in docs/_build; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build

bench: $(STAMP)  ## Measure against the peers, in one run
	$(BIN)/python -m bench

soak: $(STAMP)  ## Long random tests; SEED=n repeats one
	@echo "seed $(SEED); to repeat: UNDULA_SOAK_SEED=$(SEED) make soak"
	UNDULA_SOAK_SEED=$(SEED) $(BIN)/pytest -m soak --timeout 3600

interop: $(STAMP)  ## Against software that others wrote
	$(BIN)/pytest -m interop --timeout 900

lock: $(STAMP)  ## Pin the requirements anew, without any address
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header \
		--python-version 3.11 --extra dev pyproject.toml -o requirements.lock

clean:  ## Remove what was made here
	rm -rf $(VENV) build dist docs/_build .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .grimp_cache .hypothesis
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
