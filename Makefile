# Cloister. `make` shows the targets; `make run` and `make test` need nothing prepared.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:

PYTHON ?= python3
LISTEN := $(or $(CLOISTER_LISTEN),127.0.0.1:8080)
TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := $(TARGET)/test-venv

.PHONY: help run test build runtime lint unit suite clean preflight test-tools

help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

run: build runtime ## Build, prepare Python, start both daemons, serve 127.0.0.1:8080 (CLOISTER_LISTEN)
	@exec $(PYTHON) supervisor/runtime/serve.py --bin $(TARGET)/release --policy policy/policy.toml --listen $(LISTEN)

test: test-tools lint unit runtime suite ## Install what the tests need, then run them all

build: preflight ## Build the programs
	@echo "== build"
	cargo build --release --locked

runtime: preflight ## Prepare the Python that sandboxes see, with numpy, pandas and Flask
	@$(PYTHON) supervisor/runtime/build.py

lint: preflight ## Check format and lints
	@echo "== format and lints"
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

unit: preflight ## Run the tests that need no daemon
	@echo "== unit tests"
	cargo test --workspace --locked

suite: build runtime test-tools ## Run the black-box suite against the real daemons
	@echo "== the runner, over its pipes"
	$(VENV)/bin/python -m pytest -q -p no:cacheprovider supervisor/zygote
	echo "== the black-box suite"
	CLOISTER_BIN=$(TARGET)/release $(VENV)/bin/python -m pytest -q -p no:cacheprovider supervisor/suite

test-tools: preflight
	@$(PYTHON) supervisor/runtime/test_tools.py $(VENV)

clean: ## Remove what was built (not the Python tree in /var/lib/cloister)
	cargo clean
	rm -rf $(VENV)

preflight:
	@say() { echo "cloister: $$1" >&2; exit 1; }
	[ "$$(uname -sm)" = "Linux x86_64" ] || say "this runs on Linux on x86-64 only, this is $$(uname -sm)"
	[ "$$(id -u)" = 0 ] || say "sandboxes need root to begin with: run it with sudo"
	command -v cargo >/dev/null || say "there is no Rust toolchain: apt-get install rustup && rustup default stable"
	command -v cc >/dev/null || say "there is no C linker: apt-get install gcc"
	command -v $(PYTHON) >/dev/null || say "there is no python3: apt-get install python3 python3-pip"
