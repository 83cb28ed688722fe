# `make demo` and `make test` set up what they need: Debian packages (when root), then Python packages into .venv.
SHELL := /bin/bash
# The Python to make .venv with, else the first of these that is there.
PYTHON ?=
find_python = p=$(PYTHON); for v in python3.11 python3.12 python3.13 python3; do p=$${p:-$$(command -v $$v)}; done
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# What packages are built with, where there is no wheel, is pinned as well (by a pip that can do it).
export PIP_BUILD_CONSTRAINT := constraints.txt
PROTOS := $(sort $(wildcard proto/minuted/v1/*.proto))
PROTOC = $(BIN)/python -m grpc_tools.protoc -Iproto --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc
RUN_PACKAGES := python3 python3-venv libportaudio2
# g++ and python3-dev: meeteval has no wheel. The rest is a microphone without a sound card (tests/rig).
TEST_PACKAGES := $(RUN_PACKAGES) git g++ python3-dev libasound2-dev libasound2-plugins pulseaudio pulseaudio-utils ffmpeg

.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test check house lint types unit e2e proto proto-check migrations-check wheel clean debian-run debian-test \
	bench bench-attribution bench-live bench-rollover bench-reunion bench-offline bench-endurance bench-footprint bench-noise bench-devices bench-suspect chaos soak

help:  ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 20

demo: debian-run $(VENV)/.run  ## Live turns of a recorded meeting, offline
	@$(BIN)/minuted demo

test: debian-test check e2e  ## Everything CI runs

check: lint types proto-check house unit  ## All static checks and all tests but the end-to-end ones

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	cd proto && ../$(BIN)/buf lint .

house: $(VENV)/.dev  ## How the code keeps to its own bounds, counted
	$(BIN)/python -m tests.house

types: $(VENV)/.dev
	$(BIN)/mypy

unit: $(VENV)/.dev  ## All tests but the end-to-end ones
	$(BIN)/python -m pytest -q -m "not e2e" -n 3 --dist loadfile

e2e: $(VENV)/.dev  ## Whole daemons, in real time: mostly waiting, so four at once
	$(BIN)/python -m pytest -q -m e2e -n 4 --dist loadfile

proto: $(VENV)/.dev  ## Generate the stubs anew
	$(PROTOC) --python_out=clients/python --pyi_out=clients/python --grpc_python_out=clients/python \
		--mypy_grpc_out=quiet:clients/python $(PROTOS)

.PHONY: docs
docs: $(VENV)/.dev  ## Write the table of settings anew, from systemd/minuted.toml
	$(BIN)/python -m tests.documents

proto-check: $(VENV)/.dev
	@set -e; out=$$(mktemp -d); trap 'rm -rf '$$out EXIT; \
	$(PROTOC) --python_out=$$out --pyi_out=$$out --grpc_python_out=$$out --mypy_grpc_out=quiet:$$out $(PROTOS); \
	for f in $$out/minuted/v1/*; do cmp "$$f" "clients/python/minuted/v1/$$(basename $$f)" \
		|| { echo "generated code differs from proto/: run make proto"; exit 1; }; done

migrations-check: $(VENV)/.dev  ## Migrations up, down and beside the tables (part of unit)
	$(BIN)/python -m pytest -q tests/adapters/storage/database/test_migrations.py

bench: bench-attribution bench-live bench-rollover bench-reunion bench-offline bench-footprint  ## All benchmarks but the endurance of the offline engine

bench-attribution: $(VENV)/.dev  ## Six real meetings through the merge in virtual time, in quiet and bad weather
	$(BIN)/python -m tests.bench.attribution

bench-live: $(VENV)/.dev  ## Six sessions at once against stand-ins of both vendors, in real time
	$(BIN)/python -m tests.bench.live

bench-rollover: $(VENV)/.dev  ## Five minutes in which both vendors end every connection soon
	$(BIN)/python -m tests.bench.rollover

bench-reunion: $(VENV)/.dev  ## Who is recognised by voice after the diarizer's connection broke
	$(BIN)/python -m tests.bench.reunion

bench-offline: $(VENV)/.dev  ## The offline engine on recorded and synthetic meetings, in virtual time, then its worker in real time
	$(BIN)/python -m tests.bench.offline

bench-endurance: $(VENV)/.dev  ## The offline engine over a meeting of three hours
	$(BIN)/python -m tests.bench.offline_endurance

bench-footprint: $(VENV)/.dev  ## Memory and processor time of four sessions, and the time to the first answer
	$(BIN)/python -m tests.bench.footprint

bench-noise: $(VENV)/.dev  ## What is sent of rooms in which nobody speaks, and what is kept of short words
	$(BIN)/python -m tests.bench.noise

bench-devices: $(VENV)/.dev  ## Every fault of a microphone and of a sound server: how soon it is noticed and mended
	$(BIN)/python -m tests.bench.device_faults

bench-suspect: $(VENV)/.dev  ## How many real turns are taken for invented, and how many invented ones are caught
	$(BIN)/python -m tests.bench.suspect

chaos: $(VENV)/.dev  ## Everything that can go wrong, and what became of the words; then fifty times kill -9
	$(BIN)/python -m tests.bench.chaos --markdown
	$(BIN)/python -m tests.bench.chaos --kills 50

soak: $(VENV)/.dev  ## 24 hours of virtual time, and two of a real daemon
	$(BIN)/python -m tests.bench.soak

wheel: $(VENV)/.dev  ## The distribution, into dist/
	$(BIN)/python -m build --wheel --no-isolation

debian-run:
	@$(find_python); PACKAGES="$(RUN_PACKAGES)" PYTHON="$$p" .ci/debian

debian-test:
	@$(find_python); PACKAGES="$(TEST_PACKAGES)" PYTHON="$$p" .ci/debian

$(BIN)/python:
	@$(find_python); echo "$$p -m venv $(VENV)"; "$$p" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[daemon,local]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) install --upgrade 'pip>=25.1'
	$(PIP) install -c constraints.txt --group dev
	@touch $@

clean:  ## Take away what make made (not what the demo stored)
	rm -rf $(VENV) build dist
