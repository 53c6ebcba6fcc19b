# Commands for people. Each target sets up what it needs; repeated set-up is free.
.DEFAULT_GOAL := help
.PHONY: help setup demo up test bench bench-full soak test-compose test-live check fmt

# PYTHON=python3.12 make setup  chooses the Python;  ARGS="-k limiter" make test  goes to pytest.
export PYTHON
ARGS ?=

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

setup: ## make .venv for running
	@scripts/setup run

demo: ## edit the sample picture through the whole local system, then stop
	@scripts/setup run
	@.venv/bin/retouch demo

up: ## run the whole system here until Ctrl-C
	@scripts/setup run
	@.venv/bin/retouch up

test: ## run every check and test, against real services (ARGS: to pytest)
	@scripts/ci-parts & scripts/setup dev; code=$$?; wait $$! && exit $$code
	@scripts/test $(ARGS)

bench: ## measure against baselines, about 15 min; writes docs/performance.md (ARGS: the questions)
	@scripts/setup dev
	@.venv/bin/python -m benchmarks $(ARGS)

bench-full: ## bench with more rounds, more cells and longer windows, about 40 min
	@scripts/setup dev
	@.venv/bin/python -m benchmarks --full $(ARGS)

soak: ## run every fault on real processes, with a thousand kills; prints a table (ARGS: to pytest)
	@scripts/setup dev
	@scripts/soak $(ARGS)

test-compose: ## build the containers, run them by docker compose, kill one, scale one, remove them
	@scripts/setup dev
	@scripts/test-compose

test-live: ## run the contract suite on the real service, within a spending cap (ARGS: to pytest)
	@scripts/setup dev
	@scripts/test-live $(ARGS)

check: ## run lint, format, types, layers
	@scripts/setup dev
	@scripts/check

fmt: ## format the code
	@scripts/setup dev
	@.venv/bin/python -m ruff check --quiet --fix-only .
	@.venv/bin/python -m ruff format .
