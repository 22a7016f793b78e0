# `make train` and `make test` set up everything themselves; Python >= 3.11 and a package index are all they need.
#
#   make train ENV=ALE/Breakout-v5 PRESET=r2d2 SEED=3 ARGS="--run.steps 1000000"
#   make test | test-slow | soak | check | format | ablation | ablation-cores | memory-benchmark | control | demonstrations
#   make next-r2d2 | replay-studies | clean
#   make docs | bench | bench-learner | bench-train | bench-gpu
#
# PIP_ARGS is handed to pip, for example to choose a CPU build of torch from an index of your own.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

ENV ?= ALE/Pong-v5
PRESET ?=
SEED ?= 0
ARGS ?=
PIP_ARGS ?=

.PHONY: help install train test test-slow soak check docs format ablation ablation-cores memory-benchmark control demonstrations next-r2d2 bench bench-learner bench-train bench-gpu replay-studies clean

help:
	@sed -n '1,8s/^# \{0,1\}//p' Makefile

$(VENV)/installed: setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python >= 3.11 is needed, $(PYTHON) is `$(PYTHON) --version`: use make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@touch $@

install: $(VENV)/installed

train: $(VENV)/installed
	@$(BIN)/r2d2 train $(PRESET) --env $(ENV) --seed $(SEED) $(ARGS)

test: $(VENV)/installed
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -q -m slow

# A run that is killed a thousand times ends as one that was left alone; ARGS="--kills 100 --out DIR" for less.
soak: $(VENV)/installed
	PYTHONPATH=.:tests $(BIN)/python -c 'import soak; soak.main()' $(ARGS)

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The pages of docs/ as a site in build/docs; a warning or a dead link between them fails.
docs: $(VENV)/installed
	$(BIN)/python -m sphinx -W --keep-going -q docs build/docs
	@echo build/docs/index.html

# The rivals conflict with constraints.txt, and Reverb with the other rivals: environments of their own.
BENCH := .venv-bench

$(BENCH)/installed: setup.py bench-requirements.txt bench-reverb-requirements.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install -q $(PIP_ARGS) -c constraints.txt torch
	$(BENCH)/bin/python -m pip install -q $(PIP_ARGS) -e '.[atari,report]'
	grep -v '^#' bench-requirements.txt | while read -r package; do \
		$(BENCH)/bin/python -m pip install -q $(PIP_ARGS) "$$package" || \
		echo "$$package cannot be installed: the table will say so" >&2; done
	-$(PYTHON) -m venv $(BENCH)-reverb && \
		$(BENCH)-reverb/bin/python -m pip install -q $(PIP_ARGS) -r bench-reverb-requirements.txt
	@touch $@

bench: $(BENCH)/installed
	$(BENCH)/bin/python -m experiments.bench --slow --python reverb=$(BENCH)-reverb/bin/python $(ARGS)

# The study of stored state against burn-in, on Recall, or on another task with ENV=... (and PRESET=...).
ablation: $(VENV)/installed
	$(BIN)/python -m experiments.stored_state $(if $(filter command line environment,$(origin ENV)),--env $(ENV)) \
		$(if $(PRESET),--preset $(PRESET)) $(ARGS)

# The same question with linear cores; resumable. ARGS="--tasks recall-10 --cores lru --seeds 1" for some of it.
ablation-cores: $(VENV)/installed
	$(BIN)/python -m experiments.cores $(ARGS)

EXTRAS = $(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e

# SAC, TD3 and DDPG with and without memory, with the peers beside; resumable. ARGS="--agents masked-rsac --seeds 1"
# for some of it.
control: $(VENV)/installed
	$(EXTRAS) '.[peer,mujoco]'
	$(BIN)/python -m experiments.control --peer $(BIN)/python $(ARGS)

# What R2D2's successors bring; resumable. ARGS="--tasks breakout --variants peng c51 --seeds 1" for some of it.
next-r2d2: $(VENV)/installed
	$(EXTRAS) '.[minatar]'
	$(BIN)/python -m experiments.next_r2d2 $(ARGS)

# A T-maze whose end is far, with and without demonstrations; resumable. ARGS="--agents without few --seeds 1".
demonstrations: $(VENV)/installed
	$(BIN)/python -m experiments.demonstrations $(ARGS)

# How far memory reaches, with RecurrentPPO beside; resumable. ARGS="--tier minute" or "--tier night".
memory-benchmark: $(VENV)/installed
	$(EXTRAS) '.[peer,minigrid,popgym]'
	$(BIN)/python -m experiments.memory --peer $(BIN)/python $(ARGS)

# The learner and the actor, beside the same in plain PyTorch; on a GPU also CUDA graphs and bfloat16.
bench-learner: $(VENV)/installed
	$(BIN)/python -m experiments.bench.learner $(ARGS)
	$(BIN)/python -m experiments.bench.context

# Short runs, acting and learning together.
bench-train: $(VENV)/installed
	$(BIN)/python -m experiments.bench.train $(ARGS)

# Both on a GPU; ARGS=--quick only shows that they run.
bench-gpu: $(VENV)/installed
	$(BIN)/python -m experiments.bench.learner --device cuda $(ARGS)
	$(BIN)/python -m experiments.bench.train --device cuda $(ARGS)

replay-studies: $(VENV)/installed
	$(BIN)/python -m experiments.replay $(ARGS)

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
