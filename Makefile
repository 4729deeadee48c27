# One command each; every one of them sets up what it needs first.
#
#   make sweep    the quickstart sweep on a real model, ends with a recommendation and a dashboard
#   make test     the tests           make check   lint, types, layers
#   make lab      JupyterLab on notebooks/
#   make bench    the project's own measures (a few hours)
#
# CMAKE_ARGS is found out (CUDA where there is a GPU and nvcc) and can be set: make sweep CMAKE_ARGS="-DGGML_VULKAN=on"

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SPEC   ?= experiments/quickstart.yaml

# A GPU *and* its compiler: a CUDA build without either only fails later.
HAVE_CUDA := $(shell nvidia-smi -L >/dev/null 2>&1 && command -v nvcc >/dev/null 2>&1 && echo yes)
ifeq ($(HAVE_CUDA),yes)
CMAKE_ARGS ?= -DGGML_CUDA=on
else
CMAKE_ARGS ?=
endif

# Rebuilt when a pin, a dependency or the kind of build changes.
STAMP := $(VENV)/.installed-$(shell printf '%s' '$(CMAKE_ARGS)' | cksum | cut -d' ' -f1)

.DEFAULT_GOAL := help
.PHONY: help install sweep test check lab bench soak doctor clean

help:
	@sed -n 's/^#   //p' Makefile

install: $(STAMP)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'workbench needs Python 3.11 or later; choose one with: make PYTHON=python3.12 …'; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@command -v cmake >/dev/null && command -v cc >/dev/null || \
	  { echo 'llama.cpp is compiled here: install a C/C++ compiler and cmake (Debian: apt-get install build-essential cmake).'; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25'
	@echo 'Building llama.cpp$(if $(CMAKE_ARGS), with $(CMAKE_ARGS)); some minutes the first time …'
	CMAKE_ARGS="$(CMAKE_ARGS)" $(BIN)/python -m pip install --quiet --constraint constraints.txt \
	  $(if $(CMAKE_ARGS),--no-cache-dir --force-reinstall --no-deps) llama-cpp-python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[models,dev]'
	@rm -f $(VENV)/.installed-* && touch $@

sweep: install
	$(BIN)/workbench sweep run $(SPEC)

# Many tests kill real processes on a machine that others use too: what fails is tried once more, and listed as such.
test: install
	$(BIN)/python -m pytest -m 'not soak' -n auto --dist worksteal --reruns 1 -r fEsxXR

soak: install
	$(BIN)/python -m pytest -m soak --timeout 3600

check: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

lab: install
	$(BIN)/jupyter lab --notebook-dir notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

bench: install
	@for room in engine memory compression caching conversation endpoint sweep; do \
	  $(BIN)/workbench bench $$room || missed=1; \
	done; exit $${missed:-0}

doctor: install
	$(BIN)/workbench doctor

clean:
	rm -rf $(VENV) build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache
