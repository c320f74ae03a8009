# make quickstart   environment, synthetic data, training, test, table
# make test         environment, tests (minutes; all but the long runs)
# make test-all     the long runs too
# make test-avx2    as make test, with the arithmetic of another processor
# make torture      long attacks on what docs/reliability.md promises (hours)
# make lint         formatter and linter
# make docs         documentation site, in build/docs; warnings are errors
# the newest Python that runs and is tested (a command may be there and fail)
TESTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
    $$python -c '$(TESTED)' 2>/dev/null && echo $$python && break; done)
PIP_FLAGS ?= --quiet --disable-pip-version-check
VENV := .venv
RUN := $(VENV)/bin/python
PYTEST_FLAGS ?=
TORTURE_FLAGS ?=
# in the order of tests/conftest.py: what takes longest first
SUITE = OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist loadfile \
    --no-loadscope-reorder $(PYTEST_FLAGS)
# torch, oneDNN and OpenBLAS as on a processor without AVX-512
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 \
    OPENBLAS_CORETYPE=Haswell

.PHONY: quickstart test test-all test-avx2 torture lint docs clean

quickstart: $(VENV)/.installed
	$(RUN) tools/quickstart.py

test: $(VENV)/.tools
	$(SUITE) -m "not long"

test-all: $(VENV)/.tools
	$(SUITE)

test-avx2: $(VENV)/.tools
	$(AVX2) $(SUITE) -m "not long"

torture: $(VENV)/.tools
	OMP_NUM_THREADS=1 $(RUN) -m tests.torture $(TORTURE_FLAGS)

lint: $(VENV)/.tools
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

docs: $(VENV)/.tools
	$(RUN) -m sphinx -W --keep-going -q -c docs . build/docs
	@echo "open build/docs/index.html"

$(VENV)/.installed: requirements.txt setup.py
	@echo "[environment] $(VENV): pinned wheels, no compiler (about a minute)"
	@test -n "$(PYTHON)" || (echo "Python 3.11, 3.12 or 3.13 not found: set PYTHON=" && false)
	@$(PYTHON) -c '$(TESTED)' || (echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13" && false)
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install $(PIP_FLAGS) -r requirements.txt
	$(RUN) -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation -e .
	@touch $@

# what tests, linter and documentation need beside
$(VENV)/.tools: $(VENV)/.installed requirements-dev.txt
	$(RUN) -m pip install $(PIP_FLAGS) -r requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) build work_dirs data/synth-tiny
