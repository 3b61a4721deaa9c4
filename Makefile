# make app | test | check | bench: each makes .venv and installs what it needs by itself; a second call installs nothing.
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two of the workers drive a browser each and often wait for it, so two cores have work for three. Each worker uses one thread.
# tests/conftest.py puts the longest files first, and --no-loadscope-reorder keeps its order.
WORKERS := 3
# pytest keeps its compiled tests only where Python may write bytecode; to compile them takes each worker 4 s of CPU.
BYTECODE := PYTHONDONTWRITEBYTECODE=
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

.PHONY: app test check bench
.DEFAULT_GOAL := app

app: $(STAMP)
	$(RUN)/python app.py

test: $(STAMP)
	$(BYTECODE) $(ONE_THREAD) $(RUN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(STAMP)
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

bench: $(STAMP)
	$(RUN)/python -m tests.bench $(ARGS)

# The versions that torch 2.11 has wheels for; .venv is kept while its own Python is one of them.
SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))

# compileall uses all cores, pip only one. Its failure is ignored: some packages hold files that this Python cannot compile.
$(STAMP): pyproject.toml
	@if ! $(RUN)/python -c '$(SUPPORTED)' 2>/dev/null; then \
	  for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	    if $$python -c '$(SUPPORTED)' 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "Python 3.11 to 3.14 with its venv module is needed and was not found. On Debian or Ubuntu: apt-get install python3-venv;" >&2; \
	    echo "elsewhere install Python 3.12, or name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
	    exit 1; \
	  fi; \
	  echo "making $(VENV) with $$($$found --version)"; \
	  $$found -m venv --clear $(VENV); \
	fi
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev]'
	@-$(RUN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null
	@touch $@
