# Every target makes the virtual environment it needs. Only Python >= 3.11, make and git are taken
# for granted.

PYTHON ?= python3
VENV ?= .venv
VENV_BENCH ?= .venv-bench
VENV_TRAIN ?= .venv-bench-train

# A pip requirement for torch, with pip's own options where needed:
#   make demo TORCH="torch==2.13.0+cpu"
#   make demo TORCH="torch --index-url <the CPU index from pytorch.org's install page>"
# Empty: the CPU build where there is no NVIDIA GPU and pip can find one, else what pip prefers.
TORCH ?=
TORCH_CPU := torch==2.13.0+cpu

BIN := $(VENV)/bin
BENCH := $(VENV_BENCH)/bin
TRAIN := $(VENV_TRAIN)/bin

.NOTPARALLEL:
.PHONY: help demo test lint types format bench bench-train bench-learning bench-echo-trap bench-from-zero bench-gpu clean FORCE

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 24
	@echo
	@echo 'Variables: PYTHON=python3.12 (which Python), TORCH="torch==2.13.0+cpu" (which torch; see Makefile)'

demo: $(VENV)/.installed ## Watch a tiny model learn Sokoban; results in runs/demo
	$(BIN)/python -m starpo_plugin.demo

test: $(VENV)/.installed lint types ## Lint, type-check and test everything
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

lint: $(VENV)/.installed ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed ## Check types
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

format: $(VENV)/.installed ## Rewrite the sources in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV_BENCH)/.installed ## Measure the environments beside their peers; rewrites benchmarks/README.md
	$(BENCH)/python benchmarks/env_speed.py

bench-train: $(VENV_TRAIN)/.installed ## Measure the trainer beside TRL; rewrites benchmarks/train_speed.md
	OMP_NUM_THREADS=1 $(TRAIN)/python benchmarks/train_speed.py

bench-learning: $(VENV)/.installed ## Measure what each preset learns; rewrites benchmarks/learning.md
	$(BIN)/python benchmarks/learning.py

bench-echo-trap: $(VENV)/.installed ## Push a run into the echo trap; rewrites benchmarks/echo_trap.md
	$(BIN)/python benchmarks/echo_trap.py

bench-from-zero: $(VENV)/.installed ## Train without imitation; rewrites benchmarks/from_zero.md
	$(BIN)/python benchmarks/from_zero.py

bench-gpu: $(VENV)/.installed ## Test and measure on a CUDA GPU, 10 minutes; rewrites benchmarks/gpu_speed.md
	-$(BIN)/python -m pytest -m gpu
	$(BIN)/python benchmarks/gpu_speed.py

clean: ## Remove everything that make and the tools made, except runs/
	rm -rf $(VENV) $(VENV_BENCH) $(VENV_TRAIN) build dist .hypothesis .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define make_venv
	@command -v "$(PYTHON)" >/dev/null || \
	  { echo 'No "$(PYTHON)" here. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is $$("$(PYTHON)" --version 2>&1), this project needs 3.11 or newer: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(1) || { rm -rf $(1); exit 1; }
endef

$(BIN)/python:
	$(call make_venv,$(VENV))

$(BENCH)/python:
	$(call make_venv,$(VENV_BENCH))

$(TRAIN)/python:
	$(call make_venv,$(VENV_TRAIN))

# Holds the last TORCH that was asked for. Its time changes only with its content, and an empty
# TORCH changes nothing, so that the environment is installed again only for another torch.
$(VENV)/.torch: FORCE | $(BIN)/python
	@if [ ! -f $@ ]; then printf '%s\n' '$(TORCH)' > $@; \
	elif [ -n '$(TORCH)' ] && [ '$(TORCH)' != "$$(cat $@)" ]; then printf '%s\n' '$(TORCH)' > $@; fi

# torch comes first: what is installed afterwards is content with it and fetches no other build.
$(VENV)/.installed: pyproject.toml $(VENV)/.torch | $(BIN)/python
	@torch="$$(cat $(VENV)/.torch)"; pip="$(BIN)/python -m pip install"; \
	if [ -n "$$torch" ]; then \
	  echo "Installing $$torch"; $$pip $$torch; \
	elif $(BIN)/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)'; then \
	  echo "Keeping the torch that is installed"; \
	elif command -v nvidia-smi >/dev/null; then \
	  echo "Installing torch for the NVIDIA GPU"; $$pip torch; \
	elif echo "Installing torch's CPU build"; $$pip "$(TORCH_CPU)" 2>$(VENV)/torch.log; then :; else \
	  echo "pip can't find $(TORCH_CPU) (its reasons: $(VENV)/torch.log). Installing plain torch instead;"; \
	  echo "on Linux that may take several GB. To avoid it, stop this and set TORCH: see the Makefile."; \
	  $$pip torch; \
	fi
	$(BIN)/python -m pip install -e '.[all,dev]'
	@touch $@

# A virtual environment of its own: the peers pin versions that nothing else should be held to.
$(VENV_BENCH)/.installed: pyproject.toml | $(BENCH)/python
	$(BENCH)/python -m pip install -e '.[render,benchmarks]'
	@touch $@

# Another one: TRL decides what versions of transformers and accelerate it takes.
$(VENV_TRAIN)/.installed: pyproject.toml | $(TRAIN)/python
	@command -v nvidia-smi >/dev/null || $(TRAIN)/python -m pip install "$(or $(TORCH),$(TORCH_CPU))" || \
	  echo "pip can't find $(or $(TORCH),$(TORCH_CPU)): installing plain torch instead"
	$(TRAIN)/python -m pip install -e '.[starpo,benchmarks-train]'
	@touch $@

FORCE:
