# Everything a person does here by hand. Each target sets up what it needs; a second set-up costs nothing.
.DEFAULT_GOAL := help
.PHONY: help setup demo up test bench bench-full soak test-compose test-live check fmt

# PYTHON=python3.12 make setup  chooses the Python;  ARGS="-k limiter" make test  goes to pytest.
export PYTHON
ARGS ?=

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

setup: ## make .venv, with what running needs
	@scripts/setup run

demo: ## edit the sample picture through the whole system, on this machine alone, and stop
	@scripts/setup run
	@.venv/bin/retouch demo

up: ## start the whole system here and stay until Ctrl-C
	@scripts/setup run
	@.venv/bin/retouch up

test: ## every check and every test, against real parts (ARGS goes to pytest)
	@scripts/setup dev
	@scripts/ci-parts
	@scripts/test $(ARGS)

bench: ## measure beside baselines, a quarter of an hour: tables, pictures, docs/performance.md (ARGS: the questions)
	@scripts/setup dev
	@.venv/bin/python -m benchmarks $(ARGS)

bench-full: ## the same with more rounds, more cells and longer windows, for 40 minutes or so
	@scripts/setup dev
	@.venv/bin/python -m benchmarks --full $(ARGS)

soak: ## every fault on real processes for long, with a thousand kills; a table at the end (ARGS goes to pytest)
	@scripts/setup dev
	@scripts/soak $(ARGS)

test-compose: ## build the containers, run them as docker compose up does, kill one, scale one, take them down
	@scripts/setup dev
	@scripts/test-compose

test-live: ## the contract suite on the real service, within a spending cap; says what to set (ARGS goes to pytest)
	@scripts/setup dev
	@scripts/test-live $(ARGS)

check: ## lint, format, types, layers
	@scripts/setup dev
	@scripts/check

fmt: ## write the code in the house's format
	@scripts/setup dev
	@.venv/bin/python -m ruff check --quiet --fix-only .
	@.venv/bin/python -m ruff format .
