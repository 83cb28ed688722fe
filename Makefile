# `make test` and `make demo` set up what they need: Debian packages (when root), then Python packages into .venv.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(sort $(wildcard proto/minuted/v1/*.proto))
PROTOC = $(BIN)/python -m grpc_tools.protoc -Iproto --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc
RUN_PACKAGES := python3 python3-venv libportaudio2
TEST_PACKAGES := $(RUN_PACKAGES) git gcc libc6-dev libasound2-dev libasound2-plugins pulseaudio pulseaudio-utils

.PHONY: demo test check lint types unit e2e proto proto-check migrations-check bench bench-attribution clean debian-run debian-test

demo: debian-run $(VENV)/.run  ## Live turns of a recorded meeting, offline
	@$(BIN)/minuted demo

test: debian-test check e2e  ## Everything CI runs

check: $(VENV)/.dev  ## All static checks and all tests but the end-to-end ones
	$(MAKE) --no-print-directory lint types proto-check migrations-check unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	cd proto && ../$(BIN)/buf lint .

types: $(VENV)/.dev
	$(BIN)/mypy

unit: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m "not e2e"

e2e: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m e2e

proto: $(VENV)/.dev  ## Generate the stubs anew
	$(PROTOC) --python_out=clients/python --pyi_out=clients/python --grpc_python_out=clients/python \
		--mypy_grpc_out=quiet:clients/python $(PROTOS)

proto-check: $(VENV)/.dev
	@set -e; out=$$(mktemp -d); trap 'rm -rf '$$out EXIT; \
	$(PROTOC) --python_out=$$out --pyi_out=$$out --grpc_python_out=$$out --mypy_grpc_out=quiet:$$out $(PROTOS); \
	for f in $$out/minuted/v1/*; do cmp "$$f" "clients/python/minuted/v1/$$(basename $$f)" \
		|| { echo "generated code differs from proto/: run make proto"; exit 1; }; done

migrations-check: $(VENV)/.dev
	$(BIN)/python -m pytest -q tests/adapters/storage/test_migrations.py

bench: bench-attribution  ## All benchmarks

bench-attribution: $(VENV)/.dev  ## Six real meetings through the merge in virtual time
	$(BIN)/python -m tests.bench.attribution

debian-run:
	@PACKAGES="$(RUN_PACKAGES)" PYTHON="$(PYTHON)" .ci/debian

debian-test:
	@PACKAGES="$(TEST_PACKAGES)" PYTHON="$(PYTHON)" .ci/debian

$(VENV)/bin/python:
	$$(command -v python3.11 || command -v python3) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[daemon,local]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --group dev
	@touch $@

clean:
	rm -rf $(VENV) build dist
